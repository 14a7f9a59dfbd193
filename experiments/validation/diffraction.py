"""Patterns, and images made of them: CBED, BF, ABF, HAADF and centre of mass, beside abTEM and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from digital_twin import bright_field, elastic, optics, phase_contrast, potential, waves
from digital_twin.optics import Aberrations, Array, Column, wavelength_nm
from experiments.validation import objects
from experiments.validation.check import Check, Mutation
from experiments.validation.stored import golden, made_by
from experiments.validation.waves import square

WAVES, FROZEN, HAADF = made_by("waves"), made_by("frozen"), made_by("haadf")
SHARP = waves.Probe(source_fwhm_nm=0.0, energy_spread_eV=0.0)
CORRECTED = Aberrations(-8.0, 3.0, 0.4, 150.0, 1.1, 100.0, -0.5, 5.0)
"""Those of references/waves.py in the twin's units."""

SIGMA_rad_per_V_nm = 10 * optics.interaction_rad_per_V_A(200.0)
BF, ABF = (0.0, 10.0), (10.0, 20.0)
CPU = torch.device("cpu")


def around(field: Tensor) -> Tensor:
    """A field that repeats, (1, H, W), with half of itself on every side."""
    margin = field.shape[-1] // 2
    return torch.nn.functional.pad(field[None].to(torch.complex64), (margin,) * 4, mode="circular")[0]


def patterns(wave: Tensor, pixel_nm: float, rows_columns: Array, aberrations: Aberrations) -> Tensor:
    """Patterns (P, K, K) of a field (1, K, K) that repeats, of a sharp probe at places in pixels (P, 2)."""
    size = wave.shape[-1]
    places = torch.from_numpy(np.asarray(rows_columns, dtype=np.float64))[None] + size // 2
    return waves.cbed(around(wave), pixel_nm, places, size, [aberrations], SHARP)[0].double()


def slab(cells: int) -> tuple[float, Tensor]:
    """Edge of a pixel, and transmission of strontium titanate along [001], cells thick, (1, 264, 264)."""
    size = objects.CRYSTAL_SIZE
    pixel = objects.CELLS * objects.EDGE_nm / size
    lattice = potential.Lattice.of_cell(
        np.diag([objects.EDGE_nm] * 2), objects.EDGE_nm, [atom[:3] for atom in objects.CELL], 0.0, 50.0
    )
    grid = square(size, pixel)
    volts = lattice.volts(*potential.axes_nm(grid, CPU), potential.finest_per_nm(grid))
    return pixel, waves.transmission(cells * objects.EDGE_nm * volts[None], 200.0)


def crystal() -> float:
    """Largest deviation of a pattern out to 40 mrad, of the largest value."""
    pixel, wave = slab(1)
    places = np.array(objects.CRYSTAL_PLACES_nm)[:, ::-1] / pixel
    found = patterns(wave, pixel, places, CORRECTED).numpy()
    near = np.abs(waves.angles_mrad(objects.CRYSTAL_SIZE, pixel, 200.0)) <= 40.0
    theirs = golden("waves")["cbed"]
    return float(np.abs(found[:, near][:, :, near] - theirs).max() / theirs.max())


def strong(name: str, detector: tuple[float, float]) -> float:
    """Largest deviation of an image of four cells in one slice, of the incident electrons."""
    pixel, wave = slab(objects.THICK)
    image = bright_field.bright_field(wave, pixel, [CORRECTED], SHARP, detector)[0]
    cell = objects.CRYSTAL_SIZE // objects.CELLS
    seen = slice(cell, 2 * cell, objects.THICK_STEP)
    return float(np.abs(image[seen, seen].numpy().ravel() - golden("waves")[f"{name}_strong"]).max())


def scanned(name: str, detector: tuple[float, float]) -> float:
    """Largest deviation of linear contrast on a detector, of the largest contrast."""
    pixel, places = objects.WEAK_PIXEL_nm, objects.WEAK_PLACES
    margin = phase_contrast.margin_pixels(pixel, CORRECTED, SHARP)
    seen = slice(places[0] - margin, places[-1] + 1 + margin)
    volts = torch.from_numpy(objects.weak_phase_rad()[seen, seen]) / SIGMA_rad_per_V_nm
    step = int(places[1] - places[0])
    image = phase_contrast.phase_contrast(volts, pixel, CORRECTED, SHARP, detector)[::step, ::step].numpy().ravel()
    theirs = golden("waves")[f"{name}_object"] - golden("waves")[f"{name}_nothing"]
    return float(np.abs(image - phase_contrast.direct_share(detector, SHARP) - theirs).max() / np.abs(theirs).max())


def exponent_coherent() -> float:
    """Exponent of Z of what single atoms under a probe scatter into 60-150 mrad: deviation."""
    size, pixel = objects.SINGLE_SIZE, objects.SINGLE_PIXEL_nm
    ring = waves.annulus(size, pixel, 200.0, *objects.SINGLE_ANNULUS_mrad)
    middle = torch.full((1, 2), size * pixel / 2, dtype=torch.float64)
    shares = []
    for z in objects.SINGLE:
        atom = potential.draw_atoms(
            [square(size, pixel)], torch.zeros(1, dtype=torch.long), middle, torch.tensor([z]), 0.0
        )
        pattern = waves.cbed(waves.transmission(atom, 200.0), pixel, middle[None] / pixel, size, [Aberrations()], SHARP)
        shares.append(waves.collected(pattern, ring).item())
    return abs(
        _exponent(np.array(objects.SINGLE), np.array(shares))
        - _exponent(np.array(objects.SINGLE), golden("waves")["single_share"])
    )


def exponent_table() -> float:
    """Exponent of Z of the cross-sections into 60-150 mrad, over all elements: deviation."""
    data = golden("haadf")
    numbers = data["atomic_number"][1:]
    ours = np.array([elastic.annular_nm2(int(z), 200.0, 60.0, 150.0) for z in numbers])
    column = int(np.flatnonzero((data["annulus_mrad"] == [60.0, 150.0]).all(axis=1))[0])
    return abs(_exponent(numbers, ours) - _exponent(numbers, data["cross_section_nm2"][1:, column]))


def _exponent(numbers: Array, shares: Array) -> float:
    return float(np.polyfit(np.log(numbers), np.log(shares), 1)[0])


def lookup() -> tuple[Array, Array]:
    """HAADF image of 2 nm of strontium titanate: atoms' cross-sections under a blurred probe, and multislice."""
    fine, cells = 8, 4
    size = objects.HAADF_PLACES * fine * cells
    pixel = objects.EDGE_nm / (objects.HAADF_PLACES * fine)
    column = Column(200.0, 20.0, 2 * math.sqrt(2 * math.log(2)) * objects.THERMAL_nm)
    probe = np.fft.fft2(optics.probe_intensity(size, pixel, Aberrations(), column))
    matter = np.zeros((size, size))
    for z, x, y, _ in objects.CELL:
        row, column_ = (round(place * size / cells) for place in (y, x))
        matter[row, column_] += objects.HAADF_DEEP * elastic.annular_nm2(z, 200.0, *objects.HAADF_ANNULUS_mrad)
    cell = size // cells
    matter[:] = np.tile(matter[:cell, :cell], (cells, cells))
    image = np.fft.ifft2(np.fft.fft2(matter) * np.conj(probe)).real / pixel**2
    return image[:cell:fine, :cell:fine], golden("frozen")["haadf"]


def haadf_correlation() -> float:
    """1 - correlation."""
    ours, theirs = lookup()
    return 1 - float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])


def haadf_residual() -> float:
    """What is left after the best scale, of the reference's norm."""
    ours, theirs = lookup()
    scale = (ours * theirs).sum() / (ours**2).sum()
    return float(np.linalg.norm(scale * ours - theirs) / np.linalg.norm(theirs))


def haadf_scale() -> float:
    """How far the scale of the lookup image over multislice is from 1."""
    ours, theirs = lookup()
    return abs(float((ours * theirs).sum() / (theirs**2).sum()) - 1)


def rough(size: int = 128, batch: int = 1) -> Tensor:
    """A potential that is nowhere smooth, (batch, size, size) V nm."""
    random = np.random.default_rng(3)
    return torch.from_numpy(random.normal(0.0, 60.0, (batch, size, size)))


def kept() -> float:
    """Largest deviation of a pattern's sum from the share of electrons that the specimen lets pass."""
    passed = torch.full((1, 128, 128), 0.7, dtype=torch.float64)
    wave = waves.transmission(rough(), 200.0, 1 - passed)
    places = torch.tensor([[[64.0, 64.0], [63.7, 64.4]]], dtype=torch.float64)
    sums = [
        waves.cbed(wave, 0.05, places, 128, [CORRECTED], probe).double().sum(dim=(-2, -1))
        for probe in (SHARP, waves.Probe())
    ]
    return max(float((each - 0.7).abs().max()) for each in sums)


def shared() -> float:
    """Largest deviation from 1 of what BF, ABF, and the annulus beyond them count together with the rest."""
    wave = waves.transmission(rough(), 200.0)
    pattern = waves.cbed(wave, 0.05, torch.full((1, 1, 2), 64.0, dtype=torch.float64), 128, [CORRECTED], SHARP)
    detectors = [waves.annulus(128, 0.05, 200.0, *pair) for pair in (BF, ABF, (20.0, 25.0))]
    rest = ~torch.stack(detectors).any(dim=0)
    return abs(sum(waves.collected(pattern, each).item() for each in (*detectors, rest)) - 1)


def deflection() -> float:
    """Amplitude of the centre of mass over a phase grating: relative deviation.

    Theory: the gradient of the phase over 2 pi, blurred by the probe, and for a probe without aberrations the transfer
    of its intensity at s = q lambda / 2 alpha is (2 / pi) (acos s - s sqrt(1 - s^2)).
    """
    size, pixel, orders, strength = 256, 0.025, 20, 0.4
    q = orders / (size * pixel)
    x = 2 * math.pi * orders / size * torch.arange(size, dtype=torch.float64)
    grating = strength / SIGMA_rad_per_V_nm * torch.cos(x).expand(1, size, size)
    # A quarter period beside a crest, where the phase falls most steeply.
    place = np.array([[size / 2, size / 2 + size / orders / 4]])
    pattern = patterns(waves.transmission(grating, 200.0), pixel, place, Aberrations())
    seen = waves.centre_of_mass_mrad(pattern, pixel, 200.0)[0, 0].item()
    s = 1e3 * q * wavelength_nm(200.0) / (2 * SHARP.semi_angle_mrad)
    transfer = 2 / math.pi * (math.acos(s) - s * math.sqrt(1 - s**2))
    return abs(seen / (-1e3 * wavelength_nm(200.0) * q * strength * transfer) - 1)


def reciprocity() -> float:
    """BF with a point detector beside HRTEM with odd aberrations turned by 180 degrees: deviation, of the mean."""
    size, pixel = 64, 0.05
    wave = waves.transmission(rough(size), 200.0)
    turned = Aberrations(**{**vars(CORRECTED), "C21_nm": -CORRECTED.C21_nm, "C23_nm": -CORRECTED.C23_nm})
    lens = waves.Lens(aperture_mrad=20.0, energy_spread_eV=0.0, source_angle_mrad=0.0)
    image = waves.hrtem(wave, [pixel], [turned], lens)[0, 8:40:4, 12:44:4].double()
    rows, columns = np.meshgrid(np.arange(8, 40, 4), np.arange(12, 44, 4), indexing="ij")
    found = patterns(wave, pixel, np.stack([rows.ravel(), columns.ravel()], axis=-1), CORRECTED)
    point = found[:, size // 2, size // 2].view(8, 8)
    return float((point / point.mean() - image / image.mean()).abs().max())


def parity() -> float:
    """How far linear ABF contrast at C10 and -C10 is from being opposite, and from none in focus, of the largest."""
    under, over, none = (
        phase_contrast.phase_kernel(0.05, Aberrations(C10_nm=C10_nm, C30_um=0.0), SHARP, ABF)
        for C10_nm in (-12.0, 12.0, 0.0)
    )
    return float(max(np.abs(under + over).max(), np.abs(none).max()) / np.abs(under).max())


def focus_depth() -> float:
    """Full width at half maximum of the intensity of a probe on its axis through focus: relative deviation.

    Theory: sinc^2(C10 alpha^2 / 2 lambda), which is a half at 0.443.
    """
    C10_nm = np.linspace(-8.0, 0.0, 81)
    probe = optics.probe_intensity(128, 0.03, Aberrations(C10_nm=C10_nm), Column(200.0, 20.0))[:, 0, 0]
    half = np.interp(probe[-1] / 2, probe, C10_nm)
    return abs(-2 * float(half) / (1.772 * wavelength_nm(200.0) / 0.02**2) - 1)


def _swapped(original: Any) -> Any:
    def cbed(field: Tensor, pixel_nm: float, places: Tensor, *more: Any) -> Any:
        return original(field, pixel_nm, places.flip(-1), *more)

    return cbed


def _bare(original: Any) -> Any:
    return lambda z, g: z / (2 * math.pi**2 * 0.0529 * g**2)


CHECKS = (
    Check(
        name="CBED of one cell of strontium titanate, aberrated probe, to 40 mrad, of the largest",
        reference=f"{WAVES}: Probe.multislice, one slice, diffraction_patterns",
        achieved=crystal,
        tolerance=2e-3,
        mutation=Mutation("row and column of the place swapped", waves, "cbed", _swapped),
    ),
    Check(
        name="BF of a weak phase object, 0-10 mrad, linear contrast, of the largest",
        reference=f"{WAVES}: one slice, pattern by pattern",
        achieved=lambda: scanned("bf", BF),
        tolerance=5e-3,
        mutation=Mutation("the sign of chi", phase_contrast, "chi_rad", lambda it: lambda *given: -it(*given)),
    ),
    Check(
        name="ABF of a weak phase object, 10-20 mrad, linear contrast, of the largest",
        reference=f"{WAVES}: one slice, pattern by pattern",
        achieved=lambda: scanned("abf", ABF),
        tolerance=5e-3,
        mutation=Mutation(
            "convolution for correlation",
            phase_contrast,
            "phase_kernel",
            lambda it: lambda *given: it(*given)[::-1, ::-1].copy(),
        ),
    ),
    Check(
        name="BF of 1.6 nm of strontium titanate in one slice, all orders, of the incident",
        reference=f"{WAVES}: one slice, pattern by pattern",
        achieved=lambda: strong("bf", BF),
        tolerance=0.01,
        mutation=Mutation("the sign of chi", waves, "chi_coefficients_nm", lambda it: lambda given: -it(given)),
    ),
    Check(
        name="ABF of 1.6 nm of strontium titanate in one slice, all orders, of the incident",
        reference=f"{WAVES}: one slice, pattern by pattern",
        achieved=lambda: strong("abf", ABF),
        tolerance=0.015,
        mutation=Mutation(
            "the probe at -r",
            bright_field,
            "_lit",
            lambda it: lambda size, *given: (lambda lit, beams: (-lit % size**2, beams))(*it(size, *given)),
        ),
    ),
    Check(
        name="single atoms under a probe into 60-150 mrad, C to Au: exponent of Z",
        reference=f"{WAVES}: Lobato, one slice",
        achieved=exponent_coherent,
        tolerance=0.03,
        slow=True,
        mutation=Mutation("h^2 / m e for h^2 / 2 pi m e", potential, "POTENTIAL_V_nm2", lambda it: 2 * math.pi * it),
    ),
    Check(
        name="cross-sections into 60-150 mrad, all elements: exponent of Z",
        reference=f"{HAADF}: Lobato's scattering factors",
        achieved=exponent_table,
        tolerance=0.03,
        mutation=Mutation("bare nuclei", elastic, "factor_nm", _bare),
    ),
    Check(
        name="HAADF of 2 nm of strontium titanate, 50-100 mrad: 1 - correlation",
        reference=f"{FROZEN}: multislice, 8 frozen phonon configurations",
        achieved=haadf_correlation,
        tolerance=0.02,
        mutation=Mutation(
            "aperture of half the angle",
            optics,
            "aperture",
            lambda it: lambda size, pixel, column: it(size, pixel, Column(200.0, column.semi_angle_mrad / 2)),
        ),
    ),
    Check(
        name="the same: residual after the best scale, of the norm",
        reference=f"{FROZEN}: multislice, 8 frozen phonon configurations",
        achieved=haadf_residual,
        tolerance=0.15,
        mutation=Mutation(
            "aperture of half the area",
            optics,
            "aperture",
            lambda it: (
                lambda size, pixel, column: it(size, pixel, Column(200.0, column.semi_angle_mrad / math.sqrt(2)))
            ),
        ),
    ),
    Check(
        name="the same: scale, off 1",
        reference=f"{FROZEN}: multislice, 8 frozen phonon configurations",
        achieved=haadf_scale,
        tolerance=0.15,
        mutation=Mutation("no relativistic mass", elastic, "REST_ENERGY_keV", lambda it: 1e9 * it),
    ),
    Check(
        name="CBED: electrons in a pattern are those that the specimen lets pass, of the incident",
        reference="closed form: Parseval",
        achieved=kept,
        tolerance=1e-5,
        mutation=Mutation(
            "shares taken off amplitudes",
            waves,
            "transmission",
            lambda it: lambda volts, energy, missed: it(volts, energy, 1 - (1 - missed) ** 2),
        ),
    ),
    Check(
        name="4D-STEM: BF, ABF, the annulus beyond and the rest share out all electrons, of the incident",
        reference="closed form: the sum is 1",
        achieved=shared,
        tolerance=1e-5,
        mutation=Mutation(
            "inner angles 10 % less",
            waves,
            "annulus",
            lambda it: lambda size, pixel, energy, inner, outer: it(size, pixel, energy, 0.9 * inner, outer),
        ),
    ),
    Check(
        name="centre of mass over a phase grating of 0.32 nm, relative",
        reference="closed form: lambda q phi x transfer of the probe's intensity",
        achieved=deflection,
        tolerance=2e-3,
        mutation=Mutation(
            "x and y swapped", waves, "centre_of_mass_mrad", lambda it: lambda *given: it(*given).flip(-1)
        ),
    ),
    Check(
        name="BF with a point detector is HRTEM with odd aberrations turned round, of the mean",
        reference="closed form: reciprocity (J. M. Cowley, Appl. Phys. Lett. 15 (1969) 58)",
        achieved=reciprocity,
        tolerance=1e-4,
        mutation=Mutation("row and column of the place swapped", waves, "cbed", _swapped),
    ),
    Check(
        name="linear ABF: opposite under and over focus, none in focus, of the largest",
        reference="closed form: parity of T(q) in chi",
        achieved=parity,
        tolerance=1e-9,
        mutation=Mutation(
            "C10 off by 3 nm",
            phase_contrast,
            "chi_rad",
            lambda it: lambda x, y, given, energy: it(x, y, replace(given, C10_nm=given.C10_nm + 3.0), energy),
        ),
    ),
    Check(
        name="depth of focus of a probe of 20 mrad: full width at half maximum, relative",
        reference="closed form: 1.772 lambda / alpha^2 (Born and Wolf 8.8)",
        achieved=focus_depth,
        tolerance=0.01,
        mutation=Mutation("chi doubled", optics, "chi_polynomials", lambda it: lambda x, y: 2 * it(x, y)),
    ),
)
