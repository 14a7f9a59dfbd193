"""Windows searched on training seeds, then errors on test seeds: the agent's fits and what was best of the usual ways.

What is usual is chosen for each quantity and dose by itself, so that it is nowhere worse than it need be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from agent.perception.atoms import Atoms
from agent.perception.eds import XrayReader
from agent.perception.eels import SpectrumReader
from agent.perception.expectation import Expectation, Likely, load_expectation, save_expectation
from experiments.seeing_spectra import losses, xrays
from experiments.seeing_spectra.losses import Way
from experiments.seeing_spectra.scenes import SUBJECTS, Array, Scene, Subject, scene

TRAINING, TUNING, TESTING = range(100), range(6), range(1000, 1030)
EVERY = 3
"""Of the places of a training seed every third is kept."""
NORMAL_90 = 1.6449
Reading = Mapping[str, tuple[Array, Array]]
"""Values and standard deviations, (N,), by quantity."""

INDICATOR = "share, calibrated"
"""What is no share itself, but rises with it: a straight line to the share is fitted on the training seeds."""


class Chosen(msgspec.Struct, frozen=True):
    """The usual way that was best for a quantity at a dose: its name, its mean error, and its calibration if any."""

    subject: str
    electrons: float
    quantity: str
    way: str
    error: float
    line: tuple[float, float] | None = None


class Score(msgspec.Struct, frozen=True):
    """Errors of one quantity on the spectra of one seed at one dose.

    Mean absolute errors of the agent, of its fit alone, and of the usual way; of the agent's 90 % intervals the share
    that hold the truth and the mean half width; ``ms`` is the least time a spectrum took, all quantities together.
    """

    subject: str
    electrons: float
    seed: int
    quantity: str
    count: int
    ours: float
    alone: float
    usual: float
    inside: float
    half_width: float
    error_90: float
    ms: float


def read(subject: Subject) -> Callable[[Array, float], tuple[Reading, Reading, float]]:
    """The agent's fit of a subject's spectra: from counts (N, E) and electrons to its reading, and the least ms.

    The first reading is with what spectra of that world usually say, the second without.
    """
    if subject.mode == "EELS":
        losses_reader = SpectrumReader(subject.able, subject.axis_eV, subject.edges)

        def fitted(counts: Array, electrons: float) -> Any:
            return losses_reader.read(counts)
    else:
        detector = subject.column.xrays
        table = xrays.line_table(subject.elements, detector, subject.column.beam_energy_keV)
        efficiency = detector.efficiency(np.maximum(subject.axis_eV, 100.0))
        fitted = XrayReader(subject.axis_eV, table, efficiency)

    usual = load_expectation(subject.world, subject.mode)

    def whole(counts: Array, electrons: float) -> tuple[Reading, Reading, float]:
        alone, trained, times_s = [], [], []
        for each in counts:
            begun = time.perf_counter()
            fit = fitted(each, electrons)
            trained.append(_row(subject, fit, usual))
            times_s.append(time.perf_counter() - begun)
            alone.append(_row(subject, fit, None))
        return _columns(trained), _columns(alone), 1e3 * min(times_s)

    return whole


def _columns(rows: Sequence[Mapping[str, tuple[float, float]]]) -> Reading:
    told = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: (both[:, 0], both[:, 1]) for name, both in told.items()}


def _row(subject: Subject, fit: Any, usual: Expectation | None) -> dict[str, tuple[float, float]]:
    fitted: Atoms | None = fit.cores if subject.mode == "EELS" else fit
    atoms: Atoms | Likely | None = fitted
    if usual is not None and fitted is not None:
        atoms = usual.given(fitted, fit.t_over_lambda if subject.mode == "EELS" else None)
    found = {name: (np.nan, np.nan) for name in (*subject.kinds, "share")}
    if atoms is not None:
        for name in subject.kinds:
            told = atoms.told(name)
            found[name] = (told.value, told.sd)
        share = atoms.share(*subject.share)
        found["share"] = (share.value, share.sd)
    if subject.mode == "EELS":
        for name in ("zero_loss_eV", "t_over_lambda"):
            told = getattr(fit, name)
            found[name] = (told.value, told.sd) if told is not None else (np.nan, np.nan)
    return found


def train(subject: Subject) -> None:
    """Learn what spectra of a world usually say, from its truths on the training seeds, and write it."""
    names = (*subject.kinds, "t_over_lambda") if subject.mode == "EELS" else subject.kinds
    scenes = [scene(subject, seed) for seed in TRAINING]
    truths = {name: np.concatenate([each.truth[name][::EVERY] for each in scenes]) for name in names}
    save_expectation(subject.world, subject.mode, truths)


def ways_of(subject: Subject) -> list[Way]:
    """All usual ways that are tried for a subject."""
    return list(losses.ways(subject) if subject.mode == "EELS" else xrays.ways(subject))


def tune(subject: Subject, say: Callable[[str], None]) -> Iterator[Chosen]:
    """Choose the usual way for each quantity and dose on the training seeds."""
    scenes = [scene(subject, seed) for seed in TUNING]
    every = ways_of(subject)
    for electrons in subject.electrons:
        found: dict[str, list[Chosen]] = {}
        counts = [each.counts(electrons, seed) for seed, each in zip(TUNING, scenes, strict=True)]
        for name, way in every:
            told = [way(each) for each in counts]
            for quantity in told[0]:
                values = np.concatenate([_scaled(subject, quantity, one[quantity], electrons) for one in told])
                for each in _judged(subject, electrons, quantity, name, values, scenes):
                    found.setdefault(each.quantity, []).append(each)
        for quantity in subject.asked:
            some = found[quantity]
            best = min(some, key=lambda each: each.error)
            say(f"{subject.name}, {electrons:g} electrons, {quantity}: {best.way}, error {best.error:.4g}")
            yield best


def _scaled(subject: Subject, quantity: str, values: Array, electrons: float) -> Array:
    """Atoms are told as no fewer than none; X-rays are read per incident electron."""
    if quantity not in subject.kinds:
        return values
    return np.asarray(np.maximum(values / (electrons if subject.mode == "EDS" else 1.0), 0.0))


def _judged(
    subject: Subject, electrons: float, quantity: str, name: str, values: Array, scenes: Sequence[Scene]
) -> Iterator[Chosen]:
    told = "share" if quantity == INDICATOR else quantity
    truth = np.concatenate([each.truth[told] for each in scenes])
    asked = np.isfinite(truth)
    line = None
    if quantity == INDICATOR:
        slope, rest = np.polyfit(values[asked], truth[asked], 1)
        values, line = np.clip(slope * values + rest, 0.0, 1.0), (float(slope), float(rest))
    error = float(np.abs(values - truth)[asked].mean())
    yield Chosen(subject.name, electrons, told, name, error, line)


def test(subject: Subject, seed: int, chosen: Sequence[Chosen]) -> Iterator[Score]:
    """Errors on the spectra of one test seed."""
    taken, reader, ways = scene(subject, seed), read(subject), dict(ways_of(subject))
    for electrons in subject.electrons:
        counts = taken.counts(electrons, seed)
        reading, alone, ms = reader(counts, electrons)
        for each in chosen:
            if (each.subject, each.electrons) != (subject.name, electrons):
                continue
            told = ways[each.way](counts)
            usual = _scaled(subject, each.quantity, told[INDICATOR if each.line else each.quantity], electrons)
            if each.line:
                usual = np.clip(each.line[0] * usual + each.line[1], 0.0, 1.0)
            truth, (value, sd) = taken.truth[each.quantity], reading[each.quantity]
            asked = np.isfinite(truth)
            error = np.abs(value - truth)[asked]
            yield Score(
                subject=subject.name,
                electrons=electrons,
                seed=seed,
                quantity=each.quantity,
                count=int(asked.sum()),
                ours=float(error.mean()),
                alone=float(np.abs(alone[each.quantity][0] - truth)[asked].mean()),
                usual=float(np.abs(usual - truth)[asked].mean()),
                inside=float((error < NORMAL_90 * sd[asked]).mean()),
                half_width=float(NORMAL_90 * sd[asked].mean()),
                error_90=float(np.quantile(error, 0.9)),
                ms=ms,
            )


def play(folder: Path, names: Sequence[str], seeds: Sequence[int], say: Callable[[str], None]) -> None:
    """Test what was not tested yet, and append it to scores.jsonl as each seed ends."""
    path = folder / "scores.jsonl"
    there = {(each.subject, each.seed) for each in scores(folder)}
    tuned = chosen(folder)
    for seed in seeds:
        for name in names:
            if (name, seed) in there:
                continue
            lines = b"".join(msgspec.json.encode(each) + b"\n" for each in test(SUBJECTS[name], seed, tuned))
            with path.open("ab") as out:
                out.write(lines)
            say(f"{name}, seed {seed}")


def scores(folder: Path) -> list[Score]:
    """The scores so far."""
    path = folder / "scores.jsonl"
    rows = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(row, type=Score) for row in rows]


def chosen(folder: Path) -> list[Chosen]:
    """What was chosen on the training seeds."""
    path = folder / "tuned.json"
    return msgspec.json.decode(path.read_bytes(), type=list[Chosen]) if path.exists() else []
