"""Images and patterns of thin specimens by abTEM: HRTEM, CBED, BF and ABF, single atoms, and projected potentials.

abTEM counts in Angstrom, mrad and eV, and its first axis is x.
"""

from __future__ import annotations

import numpy as np
from abtem import CTF, Potential, Probe
from abtem.core.energy import energy2sigma
from abtem.potentials.iam import PotentialArray
from abtem.scan import CustomScan
from abtem.waves import Waves
from ase import Atoms

from experiments.validation import objects
from experiments.validation.references.optics import ABERRATIONS
from experiments.validation.stored import Arrays

ENERGY_eV = 200e3
SEMI_ANGLE_mrad = 20.0
PROBE = {"C10": -80.0, "C12": 30.0, "phi12": 0.4, "C21": 1500.0, "phi21": 1.1, "C23": 1000.0, "phi23": -0.5, "C30": 5e4}
"""Aberrations of a well corrected probe, in Angstrom."""


def probe(**aberrations: float) -> Probe:
    """A probe with a sharp aperture."""
    return Probe(energy=ENERGY_eV, semiangle_cutoff=SEMI_ANGLE_mrad, soft=False, **aberrations)


def patterns(thin: PotentialArray, places_A: np.ndarray, **aberrations: float) -> tuple[np.ndarray, np.ndarray]:
    """Patterns (N, ky, kx) of probes at places (N, 2) of x and y, 0 in the middle, and the angles along an edge."""
    build = probe(**aberrations)
    build.grid.match(thin)
    exit_waves = build.multislice(thin, scan=CustomScan(places_A), lazy=False)
    pattern = exit_waves.diffraction_patterns(max_angle=None, fftshift=True)
    size = pattern.array.shape[-1]
    angle = pattern.angular_sampling[0] * (np.arange(size) - size // 2)
    return np.swapaxes(pattern.array, -1, -2), angle


def high_resolution() -> Arrays:
    """Every third pixel of an image through all aberrations and an aperture, and of one with both envelopes."""
    phase = objects.strong_phase_rad()
    extent = 10 * objects.PHASE_PIXEL_nm * objects.PHASE_SIZE
    wave = Waves(np.exp(1j * phase).T.astype(np.complex64), energy=ENERGY_eV, extent=extent)
    images = {}
    for name, lens in {
        "coherent": {"semiangle_cutoff": 18.0},
        "damped": {"semiangle_cutoff": np.inf, "focal_spread": 40.0, "angular_spread": 0.2},
    }.items():
        ctf = CTF(energy=ENERGY_eV, soft=False, **lens, **ABERRATIONS)
        images[f"hrtem_{name}"] = wave.apply_ctf(ctf).intensity().array.T[::3, ::3].astype(np.float32)
    return images


def atoms() -> Arrays:
    """Fourier coefficients of the projected potential of a few atoms in V nm, up to 0.6 of the finest frequency."""
    box = 10 * objects.ATOMS_PIXEL_nm * objects.ATOMS_SIZE
    places = [(10 * x, 10 * y, 1.0) for _, x, y in objects.ATOMS]
    matter = Atoms(numbers=[z for z, _, _ in objects.ATOMS], positions=places, cell=[box, box, 2.0], pbc=True)
    projected = 0.1 * potential(matter, objects.ATOMS_SIZE).array[0].T
    kept = int(0.6 * objects.ATOMS_SIZE / 2)
    spectrum = np.fft.fft2(projected) / objects.ATOMS_SIZE**2
    rows = np.r_[0 : kept + 1, -kept:0]
    return {"atoms_spectrum_V_nm": spectrum[rows][:, : kept + 1].astype(np.complex64)}


def potential(matter: Atoms, size: int) -> PotentialArray:
    """The projected potential of matter as a single slice."""
    return Potential(
        matter, gpts=size, slice_thickness=matter.cell[2, 2], parametrization="lobato", projection="infinite"
    ).build(lazy=False)


def slab(cells: int) -> PotentialArray:
    """Strontium titanate along [001], cells thick, in one slice."""
    edge = 10 * objects.EDGE_nm
    cell = Atoms(
        numbers=[z for z, *_ in objects.CELL],
        positions=[(edge * x, edge * y, edge * z) for _, x, y, z in objects.CELL],
        cell=[edge] * 3,
        pbc=True,
    )
    return potential(cell * (objects.CELLS, objects.CELLS, cells), objects.CRYSTAL_SIZE)


def crystal() -> Arrays:
    """Patterns of one cell's thickness of strontium titanate out to 40 mrad."""
    pattern, angle = patterns(slab(1), 10 * np.array(objects.CRYSTAL_PLACES_nm), **PROBE)
    near = np.abs(angle) <= 40.0
    return {"cbed": pattern[:, near][:, :, near].astype(np.float32)}


def strong() -> Arrays:
    """BF (0-10 mrad) and ABF (10-20 mrad) images, flat (121,), of four cells of strontium titanate in one slice."""
    edge = 10 * objects.EDGE_nm
    step = edge * objects.CELLS / objects.CRYSTAL_SIZE * objects.THICK_STEP
    places = edge + np.arange(0, edge - step / 2, step)
    y, x = (a.ravel() for a in np.meshgrid(places, places, indexing="ij"))
    pattern, angle = patterns(slab(objects.THICK), np.stack([x, y], axis=-1), **PROBE)
    distance = np.hypot(angle[:, None], angle)
    return {
        "bf_strong": pattern[:, distance < 10.0].sum(axis=-1, dtype=np.float64),
        "abf_strong": pattern[:, (distance >= 10.0) & (distance < 20.0)].sum(axis=-1, dtype=np.float64),
    }


def scanned() -> Arrays:
    """BF (0-10 mrad) and ABF (10-20 mrad) images of the weak object, flat (64,), and the same without it."""
    volts = objects.weak_phase_rad().T / energy2sigma(ENERGY_eV)
    sampling = 10 * objects.WEAK_PIXEL_nm
    y, x = (a.ravel() for a in np.meshgrid(objects.WEAK_PLACES, objects.WEAK_PLACES, indexing="ij"))
    result = {}
    for name, field, places in (
        ("object", volts, sampling * np.stack([x, y], axis=-1)),
        ("nothing", 0 * volts, np.array([[64.0, 64.0]])),
    ):
        thin = PotentialArray(field[None].astype(np.float32), slice_thickness=1.0, sampling=sampling)
        pattern, angle = patterns(thin, places, **PROBE)
        distance = np.hypot(angle[:, None], angle)
        result[f"bf_{name}"] = pattern[:, distance < 10.0].sum(axis=-1, dtype=np.float64)
        result[f"abf_{name}"] = pattern[:, (distance >= 10.0)].sum(axis=-1, dtype=np.float64)
    return result


def single_atoms() -> Arrays:
    """Share of a focused probe that single atoms under it scatter into an annulus."""
    box = 10 * objects.SINGLE_PIXEL_nm * objects.SINGLE_SIZE
    shares = []
    for z in objects.SINGLE:
        matter = Atoms(numbers=[z], positions=[(box / 2, box / 2, 1.0)], cell=[box, box, 2.0], pbc=True)
        pattern, angle = patterns(potential(matter, objects.SINGLE_SIZE), np.array([[box / 2, box / 2]]))
        distance, (low, high) = np.hypot(angle[:, None], angle), objects.SINGLE_ANNULUS_mrad
        shares.append(pattern[0][(distance >= low) & (distance < high)].sum())
    return {"single_share": np.array(shares, dtype=np.float64)}


def arrays() -> Arrays:
    """All of it."""
    return {**high_resolution(), **atoms(), **crystal(), **strong(), **scanned(), **single_atoms()}
