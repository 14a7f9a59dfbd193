"""What is usual for X-ray spectra, as eXSpy does it, with its windows to be searched; and tables for the agent's fit.

- windows: counts within so many widths of a line less those of two windows beside it, over what an atom gives of it;
- least squares: Gaussians of all lines, the families of an element in fixed proportion, on a straight line in E within
  some energies, each channel weighted alike or by its counts.

Both know from the same tables as the agent's fit what an atom gives in thin films; shares are Cliff and Lorimer's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from agent.perception.eds import LineTable, fwhm_eV
from digital_twin.xray_lines import absorption_per_nm, element, lines
from digital_twin.xrays import XrayDetector
from experiments.seeing_spectra.losses import Way
from experiments.seeing_spectra.scenes import SYMBOLS, Array, Subject

WIDTHS = (0.7, 1.0, 1.2, 1.5, 2.0)
"""Of a line's window, in full widths at half maximum."""

BESIDE = (1.2, 1.6, 2.0, 3.0)
"""How far off, in those widths, the windows of the background lie."""

FROM_eV = (200.0, 300.0, 600.0)
ALPHA_eV = {"N": 392.0, "O": 525.0, "Si": 1740.0, "Cu": 8040.0, "Zn": 8630.0}
"""The lines that are counted in windows: K alpha."""

AVOGADRO_per_nm3 = 602.214


def line_table(elements: Sequence[int], detector: XrayDetector, beam_energy_keV: float) -> LineTable:
    """What cross-sections and yields say of some elements' lines, for the agent's fit."""
    axis_eV = detector.energy_axis_eV()
    some = [line for z in elements for line in lines(z, beam_energy_keV) if axis_eV[0] < line.energy_eV < axis_eV[-1]]
    energy_eV = np.array([line.energy_eV for line in some])
    seen = detector.solid_share * detector.efficiency(energy_eV)
    # ln of what one atom per nm^2 absorbs: a nm of its element at 1 g/cm^3 holds so many.
    absorbed = [
        detector.way_out * absorption_per_nm(((z, 1.0),), 1.0, energy_eV) * element(z)["molar_mass"] / AVOGADRO_per_nm3
        for z in elements
    ]
    return LineTable(
        elements=tuple(SYMBOLS[z] for z in elements),
        energy_eV=energy_eV,
        whose=np.array([list(elements).index(line.element) for line in some]),
        per_atom=np.array([line.emission_nm2 for line in some]) * seen,
        absorbed=np.array(absorbed),
        resolution_eV=detector.resolution_eV,
    )


def ways(subject: Subject) -> Iterator[Way]:
    """All ways that are tried."""
    usual = Usual(subject)
    for width, beside in itertools.product(WIDTHS, BESIDE):
        told = f"windows of {width:g} widths, background {beside:g} off"
        yield told, partial(usual.windows, width=width, beside=beside)
    for begin, (name, weighted) in itertools.product(FROM_eV, (("plain", False), ("weighted", True))):
        yield f"{name} least squares from {begin:g} eV", partial(usual.linear, from_eV=begin, weighted=weighted)


class Usual:
    """The usual ways on the axis of a subject; what they read is per incident electron."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.axis_eV = subject, subject.axis_eV
        detector = subject.column.xrays
        table = line_table(subject.elements, detector, subject.column.beam_energy_keV)
        width = fwhm_eV(table.energy_eV, table.resolution_eV)[:, None] / np.sqrt(8 * np.log(2))
        shapes = np.exp(-0.5 * ((self.axis_eV - table.energy_eV[:, None]) / width) ** 2)
        shapes *= (table.per_atom / shapes.sum(axis=1))[:, None]
        self.templates = np.stack([shapes[table.whose == n].sum(axis=0) for n in range(len(table.elements))])
        self.resolution_eV = table.resolution_eV

    def windows(self, counts: Array, width: float, beside: float) -> dict[str, Array]:
        """Each element by its strongest K line alone."""
        found = {}
        for name, own in zip(self.subject.kinds, self.templates, strict=True):
            at = ALPHA_eV[name]
            full = float(fwhm_eV(np.array(at), self.resolution_eV))
            inside = np.abs(self.axis_eV - at) < width * full / 2
            low, high = (np.abs(self.axis_eV - at - side * beside * full) < width * full / 4 for side in (-1, 1))
            share = inside.sum() / (low.sum() + high.sum())
            net = counts[:, inside].sum(axis=1) - share * (counts[:, low].sum(axis=1) + counts[:, high].sum(axis=1))
            found[name] = net / own[inside].sum()
        return found | self._share(found)

    def linear(self, counts: Array, from_eV: float, weighted: bool) -> dict[str, Array]:
        """All elements on a straight line."""
        use = (self.axis_eV > from_eV) & (self.axis_eV < 10500.0)
        energy = self.axis_eV[use] / 1e4
        columns = np.concatenate([self.templates[:, use], np.stack([np.ones_like(energy), energy, energy**2])])
        scale = columns.max(axis=1, keepdims=True) + 1e-300
        weight = 1.0 / np.sqrt(np.maximum(counts[:, use], 1.0)) if weighted else np.ones((len(counts), use.sum()))
        solved = np.array(
            [
                np.linalg.lstsq((columns / scale * w).T, each * w, rcond=None)[0] / scale[:, 0]
                for each, w in zip(counts[:, use], weight, strict=True)
            ]
        )
        found = dict(zip(self.subject.kinds, solved.T[: len(self.templates)], strict=True))
        return found | self._share(found)

    def _share(self, found: dict[str, Array]) -> dict[str, Array]:
        one, other = (found[name] for name in self.subject.share)
        whole = one + other
        share = np.clip(one / np.where(whole > 0.0, whole, 1.0), 0.0, 1.0)
        return {"share": np.where(whole > 0.0, share, 0.5)}
