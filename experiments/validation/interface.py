"""The interface world with the beam off beside closed forms, and what the beam adds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from digital_twin import front, interface, radiolysis
from digital_twin.detectors import Spectrometer
from digital_twin.front import COLUMN_NM, COLUMNS, EXTENT_NM, MARGIN_NM, Front
from digital_twin.interface import Interface
from digital_twin.materials import COPPER
from digital_twin.specimen import Grid
from digital_twin.spectra import CU_L3, ZN_L3, edge_nm2_per_eV
from digital_twin.xrays import XraySpectrometer, k_factor
from experiments.validation.check import Check, Mutation

# Numbers of the world, written out so that a mistake in its own is not made here as well.
BIAS_V, LIMIT_NM_PER_S, EXCHANGE_NM_PER_S = -0.07, 12.545, 1.4719
THERMAL_V = 8.314 * 298.0 / 96485.0
SMOOTHING_NM2_PER_S, GRAIN_NM2, SPREAD_NM = 20.0, 64.0, 32.0


@contextmanager
def even(worlds: int, active: float, grain_nm2: float) -> Iterator[Front]:
    """Fronts of electrodes that are alike everywhere and at all times, under a bias that has settled."""
    with patch.object(front, "SUPPLY_SD", 0.0), patch.object(front, "GRAIN_NM2", grain_nm2):
        made = Front(range(worlds))
        made._exchange[:] = EXCHANGE_NM_PER_S
        made.activity[:] = active
        made.height_nm += 50.0
        made.set_point_V = BIAS_V
        made.bias_V[:] = BIAS_V
        yield made


def law_nm_per_s(bias_V: float) -> float:
    """Butler and Volmer's law with two electrons and alpha = 0.4, in series with diffusion."""
    kinetic = EXCHANGE_NM_PER_S * (math.exp(-0.4 * bias_V / THERMAL_V) - math.exp(1.6 * bias_V / THERMAL_V))
    return kinetic / (1 + max(kinetic, 0.0) / LIMIT_NM_PER_S)


def velocity() -> float:
    """Largest relative deviation of the velocity of a flat front at four overpotentials."""
    worst = 0.0
    for bias_V in (-0.15, -0.07, -0.02, 0.01):
        with even(1, active=1.0, grain_nm2=0.0) as flat:
            flat.height_nm += 400.0
            flat.set_point_V = bias_V
            flat.bias_V[:] = bias_V
            before = float(flat.height_nm[0, 0])
            flat.advance_to(50.0)
            worst = max(worst, abs((float(flat.height_nm[0, 0]) - before) / 50.0 / law_nm_per_s(bias_V) - 1))
    return worst


def spreading() -> float:
    """Relative deviation of the way that activity goes along an electrode in 100 s, with Bramson's delay."""
    with even(1, active=0.0, grain_nm2=0.0) as spread:
        spread.activity[:, :2] = 1.0
        reached = []
        for clock_s in (150.0, 250.0):
            spread.advance_to(clock_s)
            right = spread.activity[0, : COLUMNS // 2].numpy()
            reached.append(COLUMN_NM * np.interp(-0.5, -right, np.arange(len(right))))
    speed = spread.draws[0].spreading_nm_per_s
    expected = 100.0 * speed - 1.5 * SPREAD_NM * math.log(250.0 / 150.0)
    return abs((reached[1] - reached[0]) / expected - 1)


def roughness() -> float:
    """Largest relative deviation of the mean square width at four times."""
    worst = 0.0
    with even(120, active=1.0, grain_nm2=GRAIN_NM2) as rough:
        for clock_s in (40.0, 80.0, 160.0, 320.0):
            rough.advance_to(clock_s)
            noise = GRAIN_NM2 * law_nm_per_s(BIAS_V) / 2
            expected = noise * math.sqrt(2 * clock_s / (math.pi * SMOOTHING_NM2_PER_S))
            worst = max(worst, abs(float(rough.height_nm.var(dim=1).mean()) / expected - 1))
    return worst


def beam() -> float:
    """Relative deviation of what 0.05 e/A^2/s everywhere adds to the velocity."""
    edge_nm = EXTENT_NM + 2 * MARGIN_NM
    with even(1, active=1.0, grain_nm2=0.0) as lit:
        reached = []
        for clock_s in (60.0, 160.0):
            while lit.clock_s < clock_s:
                lit.expose(0, (-edge_nm / 2, edge_nm / 2, -edge_nm / 2, edge_nm / 2), 0.05 * (10 * edge_nm) ** 2)
                lit.advance_to(lit.clock_s + 1.0)
            reached.append(float(lit.height_nm[0, 0]))
    added = (reached[1] - reached[0]) / 100.0 - law_nm_per_s(BIAS_V)
    return abs(added / lit.draws[0].beam_coupling_nm_per_s - 1)


THIN = 1e-3
"""So much of the thickness is looked at that no electron is scattered twice."""


def cells() -> tuple[Interface, Tensor, Tensor, Tensor]:
    """A world half way: thickness of its materials in each cell (R, C, M) in nm, share of zinc, and where metal is."""
    world = Interface(5)
    world.set_holder(world.facts.holder)
    world.advance_to(450.0)
    pixels, rows = 64, world.facts.cells
    edge_nm = EXTENT_NM / pixels
    origin = np.full((pixels, 2), edge_nm / 2 - EXTENT_NM / 2)
    origin[:, 1] += edge_nm * np.arange(pixels)
    matter = world.project([Grid(origin, np.array([edge_nm, 0.0]), np.array([0.0, edge_nm]), pixels)])[0]
    size = pixels // rows
    means = matter.view(5, rows, size, rows, size).mean(dim=(2, 4)).movedim(0, -1)
    fields = {name: values.view(rows, rows) for name, values in world.fields().items()}
    return world, means, fields["zinc_fraction"], fields["covered_fraction"] > 0.3


def by_xrays() -> float:
    """Largest deviation of the zinc fraction by X-rays, without absorption, from that of the cells of the world."""
    world, means, zinc, seen = cells()
    column = world.facts.column
    spectrometer = XraySpectrometer(column.xrays, world.materials, column.beam_energy_keV)
    counts = spectrometer.line_counts(THIN * means)
    by_metal = [
        sum(counts[..., n] for n, line in enumerate(spectrometer.lines) if (line.element, line.name[:2]) == (z, "Ka"))
        for z in (29, 30)
    ]
    k = k_factor((30, "Ka"), (29, "Ka"), column.beam_energy_keV, column.xrays)
    ratio = k * by_metal[1] / by_metal[0] * (63.546 / 65.38)
    return float((ratio / (1 + ratio) - zinc)[seen].abs().max())


def by_energy_losses() -> float:
    """Largest deviation of the zinc fraction by L edges from that of the cells of the world.

    Atoms per area are counts over cross-section in a window, once what is there without the metals is taken off: copper
    from 935 to 1,015 eV, zinc from 1,025 to 1,090 eV less what copper has there.
    """
    world, means, zinc, seen = cells()
    column = world.facts.column
    spectrometer = Spectrometer(world.materials, column)
    without = means.clone()
    without[..., :2] = 0.0
    counts = spectrometer.probabilities(THIN * means) - spectrometer.probabilities(THIN * without)
    axis_eV = spectrometer.axis_eV
    windows = [torch.from_numpy((axis_eV > low) & (axis_eV < high)) for low, high in ((935, 1015), (1025, 1090))]
    lower, upper = (counts[..., window].sum(dim=-1) for window in windows)
    sigmas = [edge_nm2_per_eV(edge, axis_eV, column.beam_energy_keV, column.collection_mrad) for edge in (CU_L3, ZN_L3)]
    copper, copper_above, zinc_above = (
        float(sigmas[metal][windows[n].numpy()].sum()) for metal, n in ((0, 0), (0, 1), (1, 1))
    )
    found = [lower / copper, (upper - lower * copper_above / copper) / zinc_above]
    return float((found[1] / (found[0] + found[1]) - zinc)[seen].abs().max())


CHECKS = (
    Check(
        name="velocity of a flat front, -150 to 10 mV, relative",
        reference="closed form: Butler-Volmer with two electrons, in series with diffusion",
        achieved=velocity,
        tolerance=1e-3,
        mutation=Mutation("alpha for its complement", front, "ALPHA", lambda it: 1 - it),
    ),
    Check(
        name="spreading of activity, 150 to 250 s, relative",
        reference="closed form: Fisher-KPP, 2 sqrt(D r), less Bramson's 3/2 sqrt(D / r) ln t",
        achieved=spreading,
        tolerance=0.03,
        mutation=Mutation("D halved", front, "_curvature", lambda it: lambda values: it(values) / 2),
    ),
    Check(
        name="mean square width of a front, 40 to 320 s, relative",
        reference="closed form: Edwards-Wilkinson, N sqrt(2 t / (pi nu)), power 1/4",
        achieved=roughness,
        tolerance=0.1,
        mutation=Mutation("nu doubled", front, "_curvature", lambda it: lambda values: 2 * it(values)),
    ),
    Check(
        name="what the beam adds to the velocity, relative",
        reference="closed form: kappa at the reference dose rate",
        achieved=beam,
        tolerance=1e-3,
        mutation=Mutation("every electron twice", radiolysis, "shares", lambda it: lambda *given: 2 * it(*given)),
    ),
    Check(
        name="zinc by X-rays beside the cells of the world, atomic fraction",
        reference="closed form: Cliff-Lorimer with k-factors",
        achieved=by_xrays,
        tolerance=0.01,
        mutation=Mutation("copper and zinc swapped", interface, "ZINC", lambda it: COPPER),
    ),
    Check(
        name="zinc by L edges beside the cells of the world, atomic fraction",
        reference="closed form: counts over cross-section in two windows (Egerton, 4.5)",
        achieved=by_energy_losses,
        tolerance=0.01,
        mutation=Mutation("copper and zinc swapped", interface, "ZINC", lambda it: COPPER),
    ),
)
