"""Knock-on, hopping and gathering of vacancies beside closed forms, and a doped monolayer's image beside abTEM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import eval_legendre, loggamma
from torch import Tensor

from digital_twin import cone, detectors, elastic, imaging, knock_on, monolayer, signals, vacancies
from digital_twin.defects import ATOM_NM3, ELEMENTS, Defects
from digital_twin.monolayer import LATTICE_NM, NOTHING, PAIRS, SULFUR
from digital_twin.optics import Aberrations
from digital_twin.phase_contrast import direct_share
from digital_twin.points import draw_points
from digital_twin.potential import draw_atoms
from digital_twin.signals import Look, Signals
from digital_twin.specimen import Grid, Still
from digital_twin.vacancies import Vacancies
from experiments.validation.check import Check, Mutation
from experiments.validation.stored import Arrays, golden, made_by
from hardware_bridge.messages import Mode

FINE_STRUCTURE, ELECTRON_keV, BARN_nm2 = 1 / 137.035999, 510.99895, 1e-10
BOLTZMANN_eV_PER_K = 8.617333e-5
MOST_WAVES = 600
BOX = (-8.0, 8.0, -8.0, 8.0)
COLUMN = replace(Defects.facts.column, source_fwhm_nm=0.0, chromatic_mm=0.0)
FOCUS = Aberrations(C10_nm=0.6)
"""Of the reference, whose probe is of one energy, from a point, in focus 0.6 nm above the metal atoms."""

THERMAL_NM = 0.007


def website() -> float:
    """Largest relative deviation of energy, threshold and cross-section of carbon."""
    transfer = float(knock_on.largest_transfer_eV(200.0, 12.0))
    section = float(knock_on.cross_section_barn(6, 200.0, transfer, 10.0))
    return max(
        abs(transfer / 43.7334 - 1), abs(section / 54.101 - 1), abs(knock_on.threshold_keV(10.0, 12.0) / 52.006 - 1)
    )


@lru_cache(maxsize=8)
def mott_nm2(atomic_number: int, beam_energy_keV: float, least_sin2: float) -> float:
    """Exact cross-section of a point charge for scattering beyond an angle, sin^2(angle / 2) >= least_sin2.

    N. F. Mott's series as W. A. McKinley and H. Feshbach write it, the sum faded out where it only oscillates.
    """
    charge = FINE_STRUCTURE * atomic_number
    gamma = 1 + beam_energy_keV / ELECTRON_keV
    beta = math.sqrt(1 - gamma**-2)
    q = charge / beta
    k = np.arange(MOST_WAVES + 1, dtype=np.float64)
    p = np.sqrt(np.maximum(k**2 - charge**2, 1e-300))
    d = np.exp(-1j * np.pi * p + loggamma(p - 1j * q) - loggamma(p + 1j * q)) / (p + 1j * q)
    d[0] = 0.0
    fade = np.exp(-((k / (0.4 * MOST_WAVES)) ** 4))[:-1]
    signs = (-1.0) ** k[:-1]
    of_f = 0.5j * signs * fade * (k[:-1] * d[:-1] + k[1:] * d[1:])
    of_g = 0.5j * signs * fade * (k[:-1] ** 2 * d[:-1] - k[1:] ** 2 * d[1:])
    nodes, weights = np.polynomial.legendre.leggauss(64)
    sin2 = least_sin2 + (1 - least_sin2) * (nodes + 1) / 2
    waves = eval_legendre(np.arange(MOST_WAVES)[:, None], 1 - 2 * sin2)
    f, g = of_f @ waves, of_g @ waves
    # hbar c = 197.327 eV nm; momentum in eV.
    wavelength_nm = 197.327 / (1e3 * ELECTRON_keV * gamma * beta)
    per_sr = wavelength_nm**2 * (q**2 / gamma**2 * np.abs(f) ** 2 / sin2 + np.abs(g) ** 2 / (1 - sin2))
    return float(4 * np.pi * (1 - least_sin2) / 2 * weights @ per_sr)


def mott(atomic_number: int, mass_u: float, displacement_eV: float) -> float:
    """Largest relative deviation from the exact cross-section at 120, 160 and 200 kV."""
    worst = 0.0
    for energy in (120.0, 160.0, 200.0):
        transfer = float(knock_on.largest_transfer_eV(energy, mass_u))
        ours = float(knock_on.cross_section_barn(atomic_number, energy, transfer, displacement_eV))
        exact = mott_nm2(atomic_number, energy, displacement_eV / transfer) / BARN_nm2
        worst = max(worst, abs(ours / exact - 1))
    return worst


def collision() -> float:
    """Largest relative deviation of the energy that moving sulfur takes from conservation laws, solved by halving."""
    mass_keV, worst = 32.06 * 931494.102, 0.0
    for energy, velocity in ((60.0, 500.0), (80.0, -900.0), (80.0, 1200.0), (300.0, 0.0)):
        moving = mass_keV * velocity / 299792458.0
        momentum = math.sqrt(energy * (energy + 2 * ELECTRON_keV)) + moving
        low, high = 0.0, energy
        for _ in range(100):
            left = (low + high) / 2
            recoil = momentum + math.sqrt(left * (left + 2 * ELECTRON_keV))
            excess = left + recoil**2 / (2 * mass_keV) - energy - moving**2 / (2 * mass_keV)
            low, high = (left, high) if excess < 0 else (low, left)
        given_eV = 1e3 * (energy + moving**2 / (2 * mass_keV) - left)
        worst = max(worst, abs(float(knock_on.largest_transfer_eV(energy, 32.06, velocity)) / given_eV - 1))
    return worst


def vibration() -> float:
    """Largest relative deviation, 60 to 120 kV, of the average over velocities from a sum over 400,000 of them."""
    worst, velocity2 = 0.0, 3.6e2**2
    velocity = np.linspace(-10, 10, 400_001) * math.sqrt(velocity2)
    weight = np.exp(-(velocity**2) / (2 * velocity2))
    for energy in (60.0, 80.0, 92.4, 120.0):
        sections = knock_on.cross_section_barn(16, energy, knock_on.largest_transfer_eV(energy, 32.06, velocity), 6.9)
        brute = float((weight * sections).sum() / weight.sum())
        ours = knock_on.thermal_cross_section_barn(16, 32.06, energy, 6.9, velocity2)
        worst = max(worst, abs(ours / brute - 1))
    return worst


def displaced() -> float:
    """Standard deviations by which the number of atoms knocked out is off sigma x fluence x atoms, over 16 seeds."""
    counted, expected, electrons = 0, 0.0, 4e11
    for seed in range(16):
        worlds = Vacancies([seed], 80.0, 473.0)
        x, y = worlds.atoms.pair_nm[0].unbind(-1)
        hit = (x >= -8.0) & (x < 8.0) & (y >= -8.0) & (y < 8.0) & (worlds.atoms.occupant[0, PAIRS:] == SULFUR)
        barn = worlds.displacement_barn(0, 473.0)
        worlds.expose(0, BOX, electrons)
        counted += int((worlds.atoms.occupant[0, PAIRS:][hit] == NOTHING).sum())
        expected += int(hit.sum()) * -math.expm1(-barn * 1e-24 * electrons / (16e-7) ** 2)
    return abs(counted - expected) / math.sqrt(expected)


def local() -> float:
    """Atoms changed outside of the beam, or come back within ten minutes, of some hundred knocked out."""
    worlds, dark = Vacancies([1], 80.0, 473.0), Vacancies([1], 80.0, 473.0)
    worlds.expose(0, BOX, 2e12)
    x, y = worlds.atoms.pair_nm[0].repeat(2, 1).unbind(-1)
    outside = (x.abs() > 8.0) | (y.abs() > 8.0)
    strayed = int((outside & (worlds.atoms.occupant[0] != dark.atoms.occupant[0])).sum())
    lost = int((worlds.atoms.occupant == NOTHING).sum())
    worlds.advance_to(600.0)
    return strayed + abs(lost - int((worlds.atoms.occupant == NOTHING).sum()))


def hopping() -> float:
    """Largest deviation of the number of hops from Arrhenius' law at two temperatures, in standard deviations."""
    worst = 0.0
    for kelvin in (463.0, 483.0):
        with patch.object(vacancies, "BINDING_eV", 0.0):
            worlds = Vacancies(range(8), 80.0, kelvin)
            worlds.advance_to(60.0)
        barriers = np.array([each.barrier_eV for each in worlds.draws])
        rates = 1e13 * np.exp(-barriers / (BOLTZMANN_eV_PER_K * kelvin))
        expected = 60.0 * float(rates @ (worlds.site >= 0).sum(1).numpy())
        worst = max(worst, abs(int(worlds._hops.sum()) - expected) / math.sqrt(expected))
    return worst


def wandering() -> float:
    """Relative deviation of the mean square displacement from hops x lattice constant squared."""
    with patch.object(vacancies, "BINDING_eV", 0.0):
        worlds = Vacancies(range(16), 80.0, 473.0)
        before = worlds.site.clone()
        worlds.advance_to(60.0)
    squares, hops = [], []
    for world, place in enumerate(worlds.atoms.pair_nm):
        start, end = before[world], worlds.site[world]
        near = (start >= 0) & (place[start % PAIRS].norm(dim=-1) < 15.0)
        squares.append(((place[end[near] % PAIRS] - place[start[near] % PAIRS]) ** 2).sum(-1))
        hops.append(worlds._hops[world][near].double())
    return abs(float(torch.cat(squares).mean() / (LATTICE_NM**2 * torch.cat(hops).mean())) - 1)


def gathering() -> float:
    """Relative deviation of how often vacancies lie side by side: exp(E_b / kT) times as often as by chance."""
    thin = {kind: 0.035 * (kind == NOTHING) for kind in monolayer.PER_NM2}
    with (
        patch.object(monolayer, "PER_NM2", thin),
        patch.object(monolayer, "PATCH_SD", 0.0),
        patch.object(vacancies, "ATTEMPTS_PER_S", 1e14),
        patch.object(vacancies, "TICK_S", 0.04),
    ):
        worlds = Vacancies(range(40), 80.0, 500.0)
        layers = (worlds.atoms.occupant.view(40, 2, PAIRS) == NOTHING).sum(-1).double()
        pairs, looks = 0.0, 16
        for look in range(looks):
            worlds.advance_to(12.0 + 3.0 * look)
            pairs += float(worlds._bonds[worlds.site >= 0].sum()) / 2 / looks
    by_chance = float((layers * (layers - 1) / 2 * 6 / (PAIRS - 1)).sum())
    return abs(pairs / by_chance / math.exp(0.06 / (BOLTZMANN_eV_PER_K * 500.0)) - 1)


class Listed(Still):
    """Atoms of the reference, which repeat, drawn as the world draws its own."""

    materials = ELEMENTS
    extent_nm, device = 2.0, torch.device("cpu")

    def __init__(self, reference: Arrays) -> None:
        cells = np.array([(x, y) for y in (0, 1, -1) for x in (0, 1, -1)]) * (4 * LATTICE_NM, 4 * monolayer.ROW_NM)
        self.place_nm = torch.from_numpy((0.1 * reference["place_A"] + cells[:, None]).reshape(-1, 2))
        numbers = [material.atoms[0][0] for material in ELEMENTS]
        self.element = torch.tensor([numbers.index(int(z)) for z in reference["atomic_number"]] * len(cells))

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Each atom as a point with an atom's volume."""
        weights = torch.full_like(self.place_nm[:, 0], ATOM_NM3 / grids[0].pixel_nm ** 2)
        return draw_points([*grids] * len(ELEMENTS), self.element, self.place_nm, weights)[None]

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Each atom with the thermal motion of the reference."""
        numbers = torch.tensor([material.atoms[0][0] for material in ELEMENTS])[self.element]
        return draw_atoms(grids, torch.zeros_like(self.element), self.place_nm, numbers, THERMAL_NM)


def bright(mode: Mode) -> float:
    """Largest deviation of an image with the probe on each kind of column, of the incident electrons."""
    reference, worst = golden("monolayer"), 0.0
    share = direct_share((0.0, 15.0) if mode == "BF" else (15.0, 30.0), COLUMN.coherent_probe())
    seen = Signals(Listed(reference), COLUMN)
    for (x, y), theirs in zip(0.1 * reference["bright_A"], reference[mode.lower()], strict=True):
        look = Look([pixel(x, y, 0.02)], [FOCUS])
        worst = max(worst, abs(float(seen.expected(mode, look)[0, 1, 1]) - share * float(theirs)))
    return worst


def pixel(x_nm: float, y_nm: float, pixel_nm: float) -> Grid:
    """A scan of three by three pixels about a place."""
    steps = pixel_nm * np.arange(-1, 2)
    origin = np.stack([np.full(3, x_nm + steps[0]), y_nm + steps], axis=-1)
    return Grid(origin, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), 3)


@lru_cache(maxsize=1)
def columns() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of electrons scattered with the probe on each column of atoms: the twin's and abTEM's."""
    reference, ours = golden("monolayer"), []
    for x, y in 0.1 * reference["probe_A"]:
        # The middle of the pixels' thermal spread is the 7 pm of the reference.
        image = imaging.expected_haadf(Listed(reference), [pixel(x, y, 0.017)], COLUMN, [FOCUS])
        ours.append(float(image[0, 1, 1]))
    return np.array(ours), reference["haadf"]


def single(*numbers: int) -> float:
    """Largest relative deviation of columns that are a single atom of some elements, on an absolute scale."""
    reference = golden("monolayer")
    ours, theirs = columns()
    apart = np.linalg.norm(reference["probe_A"][:, None] - reference["place_A"], axis=-1) < 0.1
    alone = [reference["atomic_number"][found].tolist() in [[z] for z in numbers] for found in apart]
    return float(np.abs(ours / theirs - 1)[alone].max())


def contrast() -> float:
    """Largest relative deviation of a column of atoms, on the scale that fits all best."""
    ours, theirs = columns()
    bright = theirs > 0.3 * np.median(theirs)
    scale = float(ours @ theirs / (ours @ ours))
    return float(np.abs(scale * ours / theirs - 1)[bright].max())


ABTEM = f"{made_by('monolayer')}: multislice, 8 frozen phonons"
SEEDS = "closed form; over its standard deviation"
CHECKS = (
    Check(
        name="energy, threshold and cross-section of carbon, 10 eV at 200 kV, relative",
        reference="R. F. Egerton, SIGDIS: 43.7334 eV, 52.006 keV, 54.101 barn on the website of his book",
        achieved=website,
        tolerance=1e-3,
        mutation=Mutation("no interference by the spin", knock_on, "FINE_STRUCTURE", lambda it: 0.0 * it),
    ),
    Check(
        name="cross-section of carbon, 10 eV, 120-200 kV, relative",
        reference="exact: Mott's series for a point charge",
        achieved=lambda: mott(6, 12.0, 10.0),
        tolerance=5e-3,
        mutation=Mutation("a positron", knock_on, "FINE_STRUCTURE", lambda it: -it),
    ),
    Check(
        name="cross-section of sulfur, 6.9 eV, 120-200 kV, relative",
        reference="exact: Mott's series for a point charge, of which McKinley and Feshbach kept two orders",
        achieved=lambda: mott(16, 32.06, 6.9),
        tolerance=0.03,
        mutation=Mutation("twice the radius of Bohr", knock_on, "BOHR_nm", lambda it: 2 * it),
    ),
    Check(
        name="energy that a moving atom takes, 60-300 kV, relative",
        reference="closed form: conservation of energy and momentum",
        achieved=collision,
        tolerance=1e-8,
        mutation=Mutation("the atom's motion left out", knock_on, "LIGHT_m_per_s", lambda it: 1e9 * it),
    ),
    Check(
        name="cross-section smeared by vibration, 60-120 kV, relative",
        reference="closed form, summed over 400,001 velocities",
        achieved=vibration,
        tolerance=1e-5,
        mutation=Mutation("fast atoms left out", knock_on, "WIDEST", lambda it: it / 4),
    ),
    Check(
        name="atoms knocked out, 16 seeds, sigma x fluence x atoms",
        reference=SEEDS,
        achieved=displaced,
        tolerance=3.5,
        mutation=Mutation("nm^2 for A^2", vacancies, "A2_PER_BARN", lambda it: it / 100),
    ),
    Check(
        name="atoms changed outside of the beam, or that come back by themselves",
        reference="closed form: none",
        achieved=local,
        tolerance=0.0,
        mutation=Mutation(
            "the beam is everywhere", vacancies, "_inside", lambda it: lambda place, box: it(place, (-99, 99, -99, 99))
        ),
    ),
    Check(
        name="hops in a minute at 463 and 483 K, Arrhenius",
        reference=SEEDS,
        achieved=hopping,
        tolerance=3.5,
        mutation=Mutation("half as many attempts", vacancies, "ATTEMPTS_PER_S", lambda it: it / 2),
    ),
    Check(
        name="mean square displacement of vacancies, relative",
        reference="closed form: hops x lattice constant squared, random walk",
        achieved=wandering,
        tolerance=0.1,
        mutation=Mutation(
            "rows not shifted", vacancies, "neighbours", lambda it: lambda device: it(device)[it(device)[:, 2]]
        ),
    ),
    Check(
        name="vacancies side by side, 40 seeds, relative",
        reference="closed form: exp(E_b / kT) times by chance, detailed balance",
        achieved=gathering,
        tolerance=0.12,
        mutation=Mutation("vacancies repel each other", vacancies, "BINDING_eV", lambda it: -it),
        slow=True,
    ),
    Check(
        name="HAADF of a single sulfur atom in MoS2, 80 kV, 60-200 mrad, relative",
        reference=ABTEM,
        achieved=lambda: single(16),
        tolerance=0.1,
        mutation=Mutation("no relativistic mass", elastic, "REST_ENERGY_keV", lambda it: 1e9 * it),
    ),
    Check(
        name="HAADF of single atoms of molybdenum and tungsten in MoS2, 80 kV, 60-200 mrad, relative",
        reference=ABTEM,
        achieved=lambda: single(42, 74),
        tolerance=0.1,
        mutation=Mutation("first Born approximation", elastic, "beyond_first_order_nm", lambda it: lambda *given: 0.0),
    ),
    Check(
        name="HAADF of columns of MoS2 with tungsten and selenium, 80 kV, on the best scale, relative",
        reference=ABTEM,
        achieved=contrast,
        tolerance=0.1,
        mutation=Mutation("all elements are sulfur", detectors, "annular_nm2", lambda it: lambda z, *a: it(16, *a)),
        unmet="the first of two atoms above each other gathers the beam on the second, so that they scatter 2.4 times "
        "as much as one; cross-sections that add up do not know it, and such columns are a fifth too dark beside those "
        "of one atom",
    ),
    Check(
        name="ABF of columns and single atoms of MoS2, 80 kV, 15-30 mrad, in focus, of the incident",
        reference=ABTEM,
        achieved=lambda: bright("ABF"),
        tolerance=0.015,
        mutation=Mutation("contrast linear in the phase", cone, "MOST_PARTS", lambda it: 0),
    ),
    Check(
        name="BF of columns and single atoms of MoS2, 80 kV, 0-15 mrad, in focus, of the incident",
        reference=ABTEM,
        achieved=lambda: bright("BF"),
        tolerance=0.015,
        mutation=Mutation(
            "what leaves the cone taken off twice", signals, "followed_mrad", lambda it: lambda *given: 30.0
        ),
    ),
)
