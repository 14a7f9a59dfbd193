"""Potentials and HRTEM images, beside abTEM and what theory says of Thon rings and of counting."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from digital_twin import noise, optics, potential, speckle, waves
from digital_twin.materials import Material
from digital_twin.optics import Aberrations, wavelength_nm
from digital_twin.specimen import Grid
from experiments.validation import objects
from experiments.validation.check import Check, Mutation
from experiments.validation.optics import ALL
from experiments.validation.stored import golden, made_by

ABTEM = made_by("waves")
CARBON = Material("amorphous carbon", 100.0, 2.0, ((6, 1),), 24.0, 10.0)
COHERENT = {"energy_spread_eV": 0.0, "source_angle_mrad": 0.0}
ZONE = slice(20, 90)
"""Rings of the spectrum, in steps of 1 / field, in which Thon rings are looked for."""


def square(size: int, pixel_nm: float, x_nm: float = 0.0) -> Grid:
    """A scan of size x size pixels at rest."""
    origin = np.stack([np.full(size, x_nm), pixel_nm * np.arange(size)], axis=-1)
    return Grid(origin, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), size)


def strong() -> Tensor:
    """The exit wave of the strong phase object."""
    phase = torch.from_numpy(objects.strong_phase_rad())
    return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)[None]


def atoms() -> float:
    """Largest deviation of a Fourier coefficient up to 0.6 of the finest frequency, of the largest one."""
    size, pixel = objects.ATOMS_SIZE, objects.ATOMS_PIXEL_nm
    table = np.array(objects.ATOMS)
    places, numbers = torch.from_numpy(table[:, 1:].copy()), torch.from_numpy(table[:, 0].astype(int))
    drawn = potential.draw_atoms([square(size, pixel)], torch.zeros_like(numbers), places, numbers, 0.0)[0]
    theirs = golden("waves")["atoms_spectrum_V_nm"]
    kept = theirs.shape[1] - 1
    rows = np.r_[0 : kept + 1, -kept:0]
    ours = np.fft.fft2(drawn.numpy())[rows][:, : kept + 1] / size**2
    near = np.hypot(rows[:, None], np.arange(kept + 1)) <= kept
    return float(np.abs(ours - theirs)[near].max() / np.abs(theirs).max())


def coherent() -> float:
    """Largest deviation of an image through all aberrations and an aperture, of the mean."""
    lens = waves.Lens(aperture_mrad=18.0, **COHERENT)
    image = waves.hrtem(strong(), [objects.PHASE_PIXEL_nm], [ALL], lens)[0].numpy()[::3, ::3]
    return float(np.abs(image - golden("waves")["hrtem_coherent"]).max())


def damped() -> float:
    """The same of contrast through both envelopes: the twin lays what they damp evenly over the image."""
    # A focal spread of 4 nm, as in the reference.
    per_eV = optics.focal_spread_nm(1.0, 1.0, 200.0)
    lens = waves.Lens(chromatic_mm=1.0, energy_spread_eV=4.0 / per_eV, source_angle_mrad=0.2)
    image = waves.hrtem(strong(), [objects.PHASE_PIXEL_nm], [ALL], lens)[0].numpy()[::3, ::3]
    apart = image - golden("waves")["hrtem_damped"]
    return float(np.abs(apart - apart.mean()).max())


def electrons() -> float:
    """How far the mean of an image is from the electrons that pass the aperture, with and without one."""
    wave = strong()
    power = torch.fft.fft2(wave[0].to(torch.complex128)).abs().square() / wave[0].numel() ** 2
    x = 1e3 * wavelength_nm(200.0) * np.fft.fftfreq(objects.PHASE_SIZE, objects.PHASE_PIXEL_nm)
    angle = torch.from_numpy(np.hypot(x[:, None], x))
    worst = 0.0
    for aperture in (None, 8.0, 18.0):
        image = waves.hrtem(wave, [objects.PHASE_PIXEL_nm], [ALL], waves.Lens(aperture_mrad=aperture))
        passed = power[angle <= (aperture or math.inf)].sum()
        worst = max(worst, abs(float(image.double().mean() - passed)))
    return worst


def rings(C10_nm: float, C12_nm: float) -> float:
    """Defocus along x less true, and along y, as found in the Thon rings of an amorphous film: the larger, relative.

    Theory: |sin chi|^2 with chi = pi lambda C q^2, C = C10 + C12 along x and C10 - C12 along y. For each direction the
    C is sought whose rings fit the spectrum of the twin's images best.
    """
    size, pixel = 256, 0.1
    power = np.zeros((size, size))
    for field in range(6):
        grid = square(size, pixel, 60.0 * field)
        film = speckle.speckle_V_nm([grid], [1], CARBON, torch.full((1, size, size), 2.0, dtype=torch.float64))
        given = Aberrations(C10_nm=C10_nm, C12_nm=C12_nm)
        image = waves.hrtem(waves.transmission(film, 200.0), [pixel], [given], waves.Lens(**COHERENT))[0].numpy()
        power += np.abs(np.fft.fft2(image - image.mean())) ** 2
    index = np.fft.fftfreq(size, 1 / size)
    worst = 0.0
    for along, across, true in ((index, index[:, None], C10_nm + C12_nm), (index[:, None], index, C10_nm - C12_nm)):
        sector = np.abs(across) <= 0.15 * np.abs(along)
        radius = np.hypot(along, across)
        ring = np.round(2 * radius).astype(int)
        held = np.bincount(ring[sector], minlength=2 * ZONE.stop)
        profile = np.bincount(ring[sector], power[sector], minlength=2 * ZONE.stop) / np.maximum(held, 1)
        half = slice(2 * ZONE.start, 2 * ZONE.stop)
        q2 = (np.arange(len(profile))[half] / 2 / (size * pixel)) ** 2
        seen = profile[half] / np.convolve(profile, np.ones(31) / 31, mode="same")[half]
        tried = true * np.linspace(0.8, 1.2, 401)
        fits = [np.corrcoef(np.sin(math.pi * wavelength_nm(200.0) * c * q2) ** 2, seen)[0, 1] for c in tried]
        worst = max(worst, abs(tried[int(np.argmax(fits))] / true - 1))
    return worst


def counting() -> float:
    """Exponent with which the signal-to-noise ratio of a counted image grows with the dose: how far from a half.

    Signal is the contrast of the image, noise the scatter about it, from 0.1 to 1000 electrons a pixel.
    """
    image = waves.hrtem(strong(), [objects.PHASE_PIXEL_nm], [ALL], waves.Lens())
    doses = np.geomspace(0.1, 1000.0, 9)
    ratios = [
        float(dose * image.std() / (noise.poisson(dose * image, [n]) - dose * image).std())
        for n, dose in enumerate(doses)
    ]
    return abs(float(np.polyfit(np.log(doses), np.log(ratios), 1)[0]) - 0.5)


def _mirrored(original: Any) -> Any:
    return lambda aberrations: original(replace(aberrations, C12_nm=-aberrations.C12_nm))


CHECKS = (
    Check(
        name="projected potential of Mo, S, Sr and O: Fourier coefficients to 0.6 of the finest, of the largest",
        reference=f"{ABTEM}: Potential, Lobato, infinite projection",
        achieved=atoms,
        tolerance=1e-2,
        mutation=Mutation(
            "x and y swapped",
            potential,
            "_draw",
            lambda it: lambda drawn, grid, places, profile: it(drawn, grid, places.flip(-1), profile),
        ),
    ),
    Check(
        name="HRTEM of a strong phase object, C10 to C30 all non-zero, 18 mrad aperture, of the mean",
        reference=f"{ABTEM}: Waves.apply_ctf",
        achieved=coherent,
        tolerance=1e-4,
        mutation=Mutation("C12 with the other sign", waves, "chi_coefficients_nm", _mirrored),
    ),
    Check(
        name="HRTEM with focal spread and source angle: contrast, of the mean",
        reference=f"{ABTEM}: Waves.apply_ctf with focal_spread and angular_spread",
        achieved=damped,
        tolerance=1e-4,
        mutation=Mutation(
            "1/e focal spread for a standard deviation",
            waves.Lens,
            "focal_spread_nm",
            lambda it: property(lambda lens: math.sqrt(2) * it.fget(lens)),
        ),
    ),
    Check(
        name="HRTEM: electrons in the image are those that pass the aperture, of the incident",
        reference="closed form: Parseval",
        achieved=electrons,
        tolerance=1e-4,
        mutation=Mutation(
            "envelopes swallow electrons",
            waves,
            "_objective",
            lambda it: lambda *given: (it(*given)[0], torch.zeros(1)),
        ),
    ),
    Check(
        name="Thon rings follow C10 (-400 nm): defocus found, relative",
        reference="closed form: sin^2(pi lambda C10 q^2)",
        achieved=lambda: rings(-400.0, 0.0),
        tolerance=0.02,
        slow=True,
        mutation=Mutation("chi halved", waves, "chi_coefficients_nm", lambda it: lambda given: it(given) / 2),
    ),
    Check(
        name="Thon rings follow C12 (100 nm at C10 -400 nm): defocus along x and y found, relative",
        reference="closed form: sin^2(pi lambda (C10 +- C12) q^2)",
        achieved=lambda: rings(-400.0, 100.0),
        tolerance=0.02,
        slow=True,
        mutation=Mutation("C12 with the other sign", waves, "chi_coefficients_nm", _mirrored),
    ),
    Check(
        name="signal-to-noise ratio grows as the square root of the dose: exponent, 0.1-1000 electrons a pixel",
        reference="closed form: 1/2",
        achieved=counting,
        tolerance=2e-3,
        mutation=Mutation(
            "noise of read-out alone",
            noise,
            "poisson",
            lambda it: (
                lambda means, seeds: means + 3.0 * torch.randn(means.shape, generator=torch.Generator().manual_seed(1))
            ),
        ),
    ),
)
