"""What the agent reads of each subject's data: values with their standard deviations, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from agent.perception.atoms import Atoms
from agent.perception.diffraction import PatternFit
from agent.perception.eds import XrayReader
from agent.perception.eels import SpectrumReader
from agent.perception.expectation import Expectation, Likely, load_expectation
from experiments.seeing_spectra import spots, xrays
from experiments.seeing_spectra.crystals import Crystalline
from experiments.seeing_spectra.scenes import Array, Subject

Reading = Mapping[str, tuple[Array, Array]]
"""Values and standard deviations, (N,), by quantity."""

Reader = Callable[[Array, float], tuple[Reading, Reading, float]]
Row = dict[str, tuple[float, float]]


def reader(subject: Subject | Crystalline) -> Reader:
    """From counts (N, ...) and electrons to the agent's reading, and the least ms that one takes.

    The first reading is with what spectra of that world usually say, the second without.
    """
    fitted = _fitted(subject)
    usual = load_expectation(subject.world, subject.mode) if isinstance(subject, Subject) else None

    def whole(counts: Array, electrons: float) -> tuple[Reading, Reading, float]:
        trained, alone, times_s = [], [], []
        for each in counts:
            begun = time.perf_counter()
            fit = fitted(each, electrons)
            trained.append(_row(subject, fit, usual))
            times_s.append(time.perf_counter() - begun)
            alone.append(_row(subject, fit, None))
        return _columns(trained), _columns(alone), 1e3 * min(times_s)

    return whole


def _fitted(subject: Subject | Crystalline) -> Callable[[Array, float], Any]:
    if isinstance(subject, Crystalline):
        pattern_reader = spots.reader_of(subject)
        return lambda counts, electrons: pattern_reader.read(counts)
    if subject.mode == "EELS":
        spectrum_reader = SpectrumReader(subject.able, subject.axis_eV, subject.edges)
        return lambda counts, electrons: spectrum_reader.read(counts)
    detector = subject.column.xrays
    table = xrays.line_table(subject.elements, detector, subject.column.beam_energy_keV)
    return XrayReader(subject.axis_eV, table, detector.efficiency(np.maximum(subject.axis_eV, 100.0)))


def _columns(rows: Sequence[Row]) -> Reading:
    told = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: (both[:, 0], both[:, 1]) for name, both in told.items()}


def _row(subject: Subject | Crystalline, fit: Any, usual: Expectation | None) -> Row:
    if isinstance(subject, Crystalline):
        return _of_pattern(subject, fit)
    fitted: Atoms | None = fit.cores if subject.mode == "EELS" else fit
    atoms: Atoms | Likely | None = fitted
    if usual is not None and fitted is not None:
        atoms = usual.given(fitted, fit.t_over_lambda if subject.mode == "EELS" else None)
    found = dict.fromkeys((*subject.kinds, "share"), (np.nan, np.nan))
    if atoms is not None:
        told = {name: atoms.told(name) for name in subject.kinds} | {"share": atoms.share(*subject.share)}
        found |= {name: (each.value, each.sd) for name, each in told.items()}
    if subject.mode == "EELS":
        for name in ("zero_loss_eV", "t_over_lambda"):
            each = getattr(fit, name)
            found[name] = (each.value, each.sd) if each is not None else (np.nan, np.nan)
    return found


def _of_pattern(subject: Crystalline, fit: PatternFit | None) -> Row:
    if fit is None:
        return dict.fromkeys(subject.asked, (np.nan, np.nan))
    beam, step = fit.deflection_px(1), subject.step_mrad
    told = {
        "strain_xx": fit.strain(0),
        "strain_xy": fit.strain(2),
        "turn_rad": fit.turn_rad,
        "ordered_nm": fit.ordered_nm(subject.crystal),
    }
    return {"deflection_mrad": (step * beam.value, step * beam.sd)} | {
        name: (each.value, each.sd) for name, each in told.items()
    }
