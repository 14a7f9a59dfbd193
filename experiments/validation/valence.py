"""The valence world with the beam off beside closed forms, what the beam does, and what a spectrum says of it."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from scipy.optimize import nnls

from digital_twin import cathode, detectors, valence
from digital_twin.cathode import Cathode
from digital_twin.detectors import Spectrometer
from digital_twin.materials import FEPO4, LIFEPO4
from digital_twin.mosaic import COLUMNS, neighbours
from digital_twin.optics import Array
from digital_twin.specimen import Grid
from digital_twin.spectra import FE2_L3, FE3_L3, edge_nm2_per_eV
from digital_twin.valence import Valence
from experiments.validation.check import Check, Mutation

# Numbers of the world, written out so that a mistake in its own is not made here as well.
RADIUS_NM, ACTIVATION_J_PER_MOL, GAS = 62.0, 40e3, 8.314
PRE_EDGE_eV, EDGE_eV, LOW_LOSS_eV = (640.0, 700.0), (700.0, 745.0), (-15.0, 120.0)


def driven(worlds: int) -> Cathode:
    """Cathodes under the reference drive, settled."""
    made = Cathode(range(worlds))
    made.drive = made.set_point = cathode.drive(0.05, 298.0)
    return made


def conversion() -> float:
    """Largest deviation of the converted share of particles that are all awake from the start."""
    worst, awake = 0.0, driven(4)
    awake.awake[:] = True
    radius_nm = np.array([each.radius_nm for each in awake.placed])
    rate = np.array([[each.conversion_per_s] for each in awake.draws]) * RADIUS_NM / radius_nm
    for clock_s in (20.0, 60.0, 180.0):
        awake.advance_to(clock_s)
        worst = max(worst, float(np.abs(awake.converted.numpy() - (1 - np.exp(-rate * clock_s))).max()))
    return worst


def activation() -> float:
    """Relative deviation of the activation energy read off conversion at 288 and 318 K."""
    rates = []
    for temperature_K in (288.0, 318.0):
        made = driven(1)
        made.drive = made.set_point = cathode.drive(0.05, temperature_K)
        made.awake[:] = True
        made.advance_to(10.0)
        rates.append(-math.log(1 - float(made.converted[0, 0])) / 10.0)
    energy = GAS * math.log(rates[1] / rates[0]) / (1 / 288.0 - 1 / 318.0)
    return abs(energy / ACTIVATION_J_PER_MOL - 1)


def waking() -> float:
    """How many standard deviations the number of particles that wake without contact is off."""
    apart = driven(16)
    apart._touching.zero_()
    apart.advance_to(600.0)
    radius_nm = np.array([each.radius_nm for each in apart.placed])
    rate = np.array([[each.waking_per_s] for each in apart.draws]) * RADIUS_NM / radius_nm
    chance = 1 - np.exp(-600.0 * rate)
    return abs(float(apart.awake.sum()) - float(chance.sum())) / math.sqrt(float((chance * (1 - chance)).sum()))


def dominoes() -> float:
    """Relative deviation of the mean time from one particle of a row to the next that it wakes."""
    spreading, converting = 0.05, 0.1
    row = driven(200)
    row._touching.zero_()
    row._index[:, 0] = torch.from_numpy(neighbours()[0][:, 0])
    row._touching[:, 1:COLUMNS, 0] = 1.0
    for name, value in (("_waking", 0.0), ("_spreading", spreading), ("_conversion", converting)):
        getattr(row, name).fill_(value)
    row.awake[:, 0] = True
    asleep = torch.zeros(200, COLUMNS)
    while not row.awake[:, :COLUMNS].all():
        row.advance_to(row.clock_s + 1.0)
        asleep += ~row.awake[:, :COLUMNS]
    t = np.arange(0.025, 2000.0, 0.05)
    wait = 0.05 * np.exp(-spreading * (t - (1 - np.exp(-converting * t)) / converting)).sum()
    return abs(float((asleep[:, 1:] - asleep[:, :-1]).mean()) - float(wait)) / float(wait)


def reduction() -> float:
    """Relative deviation of what is left of Fe3+ after one and two critical fluences."""
    world, worst = Valence(3), 0.0
    world.cathode.converted[:] = 1.0
    for times in (1, 2):
        world.expose(0, (-512.0, 512.0, -512.0, 512.0), world.cathode.draws[0].reduction_e_per_A2 * 10240.0**2)
        left = float(world.fields()["oxidation_state"][0, 27]) - 2
        worst = max(worst, abs(left / math.exp(-times) - 1))
    return worst


@cache
def _seen() -> tuple[Array, Array]:
    """Mean thickness (cells, 3) in nm of a world at half time, and its valence by cell."""
    world = Valence(4)
    world.set_holder(world.facts.holder)
    world.advance_to(450.0)
    edge_nm = 8.0
    origin = np.full((256, 2), edge_nm / 2 - 1024.0)
    origin[:, 1] += edge_nm * np.arange(256)
    matter = world.project([Grid(origin, np.array([edge_nm, 0.0]), np.array([0.0, edge_nm]), 256)])[0]
    means = matter.view(3, 8, 32, 8, 32).mean(dim=(2, 4)).flatten(1).T.numpy()
    return means, world.fields()["oxidation_state"][0].numpy()


def _iron_per_nm2() -> tuple[Array, Array]:
    """Fe2+ and Fe3+ by cell, (cells, 2) per nm^2, from noiseless spectra, and what the specimen has.

    As an analyst does it: a power law before the edge is taken off, and reference edges, broadened by the measured low
    loss, are fitted to the rest.
    """
    column = Valence.facts.column
    axis = column.energy_axis_eV()
    step = column.energy_step_eV
    thickness, _ = _seen()
    spectra = Spectrometer(Valence.materials, column).probabilities(torch.from_numpy(thickness)).numpy()
    before, edge, low = ((axis >= a) & (axis <= b) for a, b in (PRE_EDGE_eV, EDGE_eV, LOW_LOSS_eV))
    shapes = [edge_nm2_per_eV(each, axis, column.beam_energy_keV, column.collection_mrad) for each in (FE2_L3, FE3_L3)]
    found = []
    for spectrum in spectra:
        slope, level = np.polyfit(np.log(axis[before]), np.log(spectrum[before]), 1)
        rest = spectrum - np.exp(level + slope * np.log(np.maximum(axis, 1.0)))
        zero = np.argmin(np.abs(axis[low]))
        broad = [step * np.convolve(shape, spectrum[low])[zero : zero + axis.size] for shape in shapes]
        found.append(nnls(np.stack(broad, axis=-1)[edge], rest[edge])[0])
    formula = np.array([LIFEPO4.formula_per_nm3, FEPO4.formula_per_nm3])
    return np.array(found), thickness[:, :2] * formula


def valence_by_spectrum() -> float:
    """Largest deviation of the mean valence of a cell."""
    found, _ = _iron_per_nm2()
    return float(np.abs(2 + found[:, 1] / found.sum(axis=1) - _seen()[1]).max())


def iron_by_spectrum() -> float:
    """Largest relative deviation of the iron of a cell."""
    found, there = _iron_per_nm2()
    return float(np.abs(found.sum(axis=1) / there.sum(axis=1) - 1).max())


TWICE = Mutation("everything twice as fast", cathode, "drive", lambda it: lambda *given: 2 * it(*given))
CHECKS = (
    Check(
        name="converted share of particles that are awake, absolute",
        reference="closed form: 1 - exp(-k t R0 / R)",
        achieved=conversion,
        tolerance=1e-6,
        mutation=Mutation("rates by volume for surface", cathode, "RADIUS_NM", lambda it: it**2),
    ),
    Check(
        name="activation energy read off conversion, relative",
        reference="closed form: Arrhenius, 40 kJ/mol",
        achieved=activation,
        tolerance=1e-6,
        mutation=Mutation("J for two J", cathode, "ACTIVATION_K", lambda it: it / 2),
    ),
    Check(
        name="particles that wake without contact in 600 s",
        reference="closed form: 1 - exp(-J t R0 / R), binomial",
        achieved=waking,
        tolerance=3.0,
        mutation=TWICE,
        unit="sd",
    ),
    Check(
        name="time from one particle of a row to the next, relative",
        reference="closed form: integral of exp(-S (t - (1 - exp(-k t)) / k))",
        achieved=dominoes,
        tolerance=0.04,
        mutation=TWICE,
        slow=True,
    ),
    Check(
        name="Fe3+ left after one and two critical fluences, relative",
        reference="closed form: exp(-D / Dc)",
        achieved=reduction,
        tolerance=1e-6,
        mutation=Mutation("every electron twice", valence, "shares", lambda it: lambda *given: 2 * it(*given)),
    ),
    Check(
        name="valence from noiseless spectra beside that of the cells, absolute",
        reference="reference edges fitted after a power law, broadened by the low loss",
        achieved=valence_by_spectrum,
        tolerance=0.02,
        mutation=Mutation(
            "the edge of Fe3+ for that of Fe2+",
            detectors,
            "edge_nm2_per_eV",
            lambda it: lambda edge, *given: it(FE3_L3 if edge == FE2_L3 else edge, *given),
        ),
    ),
    Check(
        name="iron from noiseless spectra beside that of the specimen, relative",
        reference="reference edges fitted after a power law, broadened by the low loss",
        achieved=iron_by_spectrum,
        tolerance=0.03,
        mutation=Mutation(
            "cross-sections doubled", detectors, "edge_nm2_per_eV", lambda it: lambda *given: 2 * it(*given)
        ),
    ),
)
