"""Waves through a thin specimen and what a column makes of them: HRTEM images, patterns of CBED and 4D-STEM.

A specimen is thin: it turns the phase of the wave by sigma V, the projected potential of ``Specimen.potential_V_nm``
(no propagation inside it). Fields are periodic, so a field wants a margin as wide as what blurs into it. A pixel of a
pattern lies at the angle (index - size // 2) lambda / (size x pixel); order is (ky, kx), x the direction of columns.

Everything counts in shares of the incident electrons: an image of nothing is 1 everywhere (HRTEM), a pattern sums to 1
(CBED); what an aperture or ``missed`` takes away is less. Waves are complex64, good to some 1e-6. BF and ABF images of
whole fields are in ``phase_contrast``.

Defaults: Cc 1.2 mm (of 1-2), energy spread 0.7 eV (of 0.5-2) and illumination half-angle 0.1 mrad (of 0.1-1) lie in the
ranges that the manual of ReciPro calls typical (seto77.github.io/ReciPro, HRTEM simulation), at the end of a field
emission gun. The size of the source image, 0.08 nm, is what the guide to TEM simulation of abTEM's makers blurs images
by, a Gaussian with an sd of 0.035 nm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from digital_twin import optics
from digital_twin.optics import Aberrations, Array, chi_coefficients_nm, wavelength_nm

SOURCES = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
"""Points of the source in units of sqrt(2) standard deviations."""

CACHED = 2**17
"""Pixels of waves that are transformed at a time: what that takes fits into the cache of a processor."""


@dataclass(frozen=True)
class Lens:
    """The column as HRTEM sees it: ``energy_spread_eV`` and ``source_angle_mrad`` are 1/e half-widths.

    ``aperture_mrad`` is the objective aperture; None is none.
    """

    beam_energy_keV: float = 200.0
    aperture_mrad: float | None = None
    chromatic_mm: float = 1.2
    energy_spread_eV: float = 0.7
    source_angle_mrad: float = 0.1

    @property
    def focal_spread_nm(self) -> float:
        """The 1/e half-width of the spread of focus."""
        return optics.focal_spread_nm(self.chromatic_mm, self.energy_spread_eV, self.beam_energy_keV)


@dataclass(frozen=True)
class Probe:
    """The column as STEM sees it: ``energy_spread_eV`` is a 1/e half-width, the image of the source a Gaussian."""

    beam_energy_keV: float = 200.0
    semi_angle_mrad: float = 20.0
    source_fwhm_nm: float = 0.08
    chromatic_mm: float = 1.2
    energy_spread_eV: float = 0.7

    def column(self) -> optics.Column:
        """What the formulae of ``optics`` want to know of it."""
        return optics.Column(self.beam_energy_keV, self.semi_angle_mrad, self.source_fwhm_nm)

    @property
    def focal_spread_nm(self) -> float:
        """The 1/e half-width of the spread of focus."""
        return optics.focal_spread_nm(self.chromatic_mm, self.energy_spread_eV, self.beam_energy_keV)

    def points_nm(self) -> Array:
        """A few foci and points of the source instead of all: (J, 4) of weight, C10, x and y.

        Three foci (Gauss-Hermite nodes), each with the four points that have the second moments of the source.
        """
        foci, weights = np.polynomial.hermite.hermgauss(3) if self.focal_spread_nm else (np.zeros(1), np.ones(1))
        sources = (
            self.source_fwhm_nm / math.sqrt(4 * math.log(2)) * SOURCES if self.source_fwhm_nm else np.zeros((1, 2))
        )
        share = np.repeat(weights / weights.sum() / len(sources), len(sources))
        C10_nm = np.repeat(self.focal_spread_nm * foci, len(sources))
        return np.column_stack([share, C10_nm, np.tile(sources, (len(foci), 1))])


def transmission(potential_V_nm: Tensor, beam_energy_keV: float, missed: Tensor | None = None) -> Tensor:
    """What a thin specimen multiplies a wave with, exp(i sigma V), complex64 of the shape of the potential.

    ``missed`` (same shape) is the share of electrons that it takes out of the wave altogether: scattered farther than
    the pixels follow, or with a loss.

    Raises:
        ValueError: a potential is not finite, or a share lies outside 0..1.
    """
    if not bool(torch.isfinite(potential_V_nm).all()):
        raise ValueError("potential_V_nm holds values that are not finite")
    phase = 10 * optics.interaction_rad_per_V_A(beam_energy_keV) * potential_V_nm
    wave = _turned(1.0, phase)
    if missed is None:
        return wave
    if not bool(((missed >= 0) & (missed <= 1)).all()):
        raise ValueError(f"missed lies in {float(missed.min()):g}..{float(missed.max()):g}, but must be within 0..1")
    return wave * (1 - missed).sqrt().float()


def largest_mrad(pixel_nm: float, beam_energy_keV: float) -> float:
    """The largest angle that pixels sample along their edges: lambda / (2 pixel)."""
    return 1e3 * wavelength_nm(beam_energy_keV) / (2 * pixel_nm)


def checked_angle(name: str, angle_mrad: float, pixel_nm: float, beam_energy_keV: float) -> None:
    """Refuse an angle that pixels do not sample.

    Raises:
        ValueError: the angle is not above 0, or beyond ``largest_mrad``.
    """
    most = largest_mrad(pixel_nm, beam_energy_keV)
    if not 0.0 < angle_mrad <= most:
        raise ValueError(
            f"{name} is {angle_mrad:g} mrad, but pixels of {pixel_nm:g} nm sample angles above 0 up to {most:.3g} mrad"
        )


def hrtem(waves: Tensor, pixels_nm: Sequence[float], aberrations: Sequence[Aberrations], lens: Lens) -> Tensor:
    """Images (B, H, W) float32 of exit waves (B, H, W): share of the electrons that each pixel's area received.

    |F^-1 [F psi] A exp(-i chi) E|^2 with the envelopes of focal spread and illumination angle. Envelopes take away
    contrast, not electrons: what they damp arrives evenly spread, so that the mean is what passes the aperture.

    Raises:
        ValueError: the aperture is beyond what pixels sample.
    """
    images = []
    for wave, pixel_nm, each in zip(waves, pixels_nm, aberrations, strict=True):
        if lens.aperture_mrad is not None:
            checked_angle("aperture_mrad", lens.aperture_mrad, pixel_nm, lens.beam_energy_keV)
        passed, blurred = _objective(tuple(wave.shape), pixel_nm, each, lens, wave.device)
        spectrum = torch.fft.fft2(wave)
        power = spectrum.real.square() + spectrum.imag.square()
        haze = (power * blurred).sum() / wave.numel() ** 2
        seen = torch.fft.ifft2(spectrum * passed)
        images.append(seen.real.square() + seen.imag.square() + haze)
    return torch.stack(images)


def margin_nm(pixel_nm: float, aberrations: Aberrations, lens: Lens) -> float:
    """How far what lies outside an HRTEM image reaches into it: the width of the margin that its field wants.

    Rays at an angle land beside their origin by the slope of the wavefront there. Those count that pass the aperture
    and the pixels, and of whose contrast both envelopes leave a hundredth; the source angle alone limits it to some
    17 nm at the defaults, however far out of focus.
    """
    stop = largest_mrad(pixel_nm, lens.beam_energy_keV)
    angle = 1e-3 * np.linspace(0.0, min(stop, lens.aperture_mrad or stop), 1000)
    size = replace(Aberrations(), **{name: abs(value) for name, value in vars(aberrations).items()})
    slope = (size.C10_nm + size.C12_nm) * angle + (size.C21_nm + size.C23_nm) * angle**2 + 1e3 * size.C30_um * angle**3
    wave_nm = wavelength_nm(lens.beam_energy_keV)
    damped = (math.pi * lens.focal_spread_nm * angle**2 / (2 * wave_nm)) ** 2
    damped += (math.pi * 1e-3 * lens.source_angle_mrad / wave_nm * slope) ** 2
    return float(slope[damped < math.log(100)].max()) + 4 * pixel_nm


@lru_cache(maxsize=32)
def _objective(
    shape: tuple[int, ...], pixel_nm: float, aberrations: Aberrations, lens: Lens, device: torch.device
) -> tuple[Tensor, Tensor]:
    """A exp(-i chi) E (H, W) complex64, and A (1 - E^2), (H, W) float32."""
    wave_nm = wavelength_nm(lens.beam_energy_keV)
    y, x = (_powers(size, pixel_nm, lens.beam_energy_keV, device) for size in shape)
    path = _path_nm(aberrations, device)
    # Slopes of the wavefront and squares of the angle: what the two envelopes damp.
    power = torch.arange(1, 5, dtype=torch.float64, device=device)
    y4, x4 = y[:4].float(), x[:4].float()
    slope2 = (y.float().T @ (path[:, 1:] * power).float() @ x4).square_()
    slope2 += (y4.T @ (path[1:] * power[:, None]).float() @ x.float()).square_()
    square = y[2, :, None].float() + x[2].float()
    spread = math.pi * lens.focal_spread_nm / (2 * wave_nm)
    source = math.pi * 1e-3 * lens.source_angle_mrad / wave_nm
    damped = square.square().mul_(-(spread**2)).sub_(slope2.mul_(source**2))
    stop = math.inf if lens.aperture_mrad is None else (1e-3 * lens.aperture_mrad) ** 2
    inside = (square <= stop).float()
    passed = _turned(inside * torch.exp(damped), (y.T @ path @ x).mul_(-2 * math.pi / wave_nm))
    return passed, -inside * torch.expm1(2 * damped)


def _turned(amplitude: Tensor | float, phase: Tensor) -> Tensor:
    """Amplitude x exp(i phase), complex64."""
    # Sine and cosine of many rad lose digits in float32 unless whole turns are taken off before, in float64.
    phase = phase.sub(torch.round(phase / (2 * math.pi)), alpha=2 * math.pi).float()
    # Apart: torch.polar computes them one number at a time.
    return torch.complex(phase.cos().mul_(amplitude), phase.sin().mul_(amplitude))


@lru_cache(maxsize=64)
def _powers(size: int, pixel_nm: float, beam_energy_keV: float, device: torch.device) -> Tensor:
    """Powers 0 to 4 of the angles in rad along one direction, (5, size), in the order of an FFT."""
    angle = wavelength_nm(beam_energy_keV) * np.fft.fftfreq(size, pixel_nm)
    return torch.from_numpy(np.vander(angle, 5, increasing=True).T.copy()).to(device)


def _path_nm(aberrations: Aberrations, device: torch.device) -> Tensor:
    """The path length chi lambda / 2 pi as a polynomial, (5, 5) coefficients of powers of y, then x.

    Those of ``optics.chi_polynomials``; a polynomial on a grid is two small matrix products.
    """
    C10, C12a, C12b, C21a, C21b, C23a, C23b, C30 = chi_coefficients_nm(aberrations)
    path = np.zeros((5, 5))
    path[0, 2], path[2, 0], path[1, 1] = (C10 + C12a) / 2, (C10 - C12a) / 2, C12b
    path[0, 3], path[2, 1] = (C21a + C23a) / 3, C21a / 3 - C23a
    path[1, 2], path[3, 0] = C21b / 3 + C23b, (C21b - C23b) / 3
    path[0, 4], path[2, 2], path[4, 0] = C30 / 4, C30 / 2, C30 / 4
    return torch.from_numpy(path).to(device)


def cbed(
    waves: Tensor, pixel_nm: float, places: Tensor, size: int, aberrations: Sequence[Aberrations], probe: Probe
) -> Tensor:
    """Diffraction patterns (B, P, size, size) float32 of probes at P places of B specimens; each sums to what stays.

    ``waves`` (B, H, W) are transmissions and ``places`` (B, P, 2) the probes' axes as (row, column) in pixels, in parts
    of pixels too; about each a patch of ``size`` pixels is illuminated, and must lie inside. A pattern is the sum of
    those of a few foci and points of the source.

    Raises:
        ValueError: the aperture is beyond what pixels sample, or a patch lies partly outside.
    """
    checked_angle("semi_angle_mrad", probe.semi_angle_mrad, pixel_nm, probe.beam_energy_keV)
    corner = (places - size // 2).round().long()
    room = torch.tensor(waves.shape[-2:], device=places.device) - size
    if bool(((corner < 0) | (corner > room)).any()):
        rows, columns = waves.shape[-2:]
        raise ValueError(f"a patch of {size} pixels about a place lies partly outside the field of {rows} x {columns}")
    patterns = torch.empty(*places.shape[:2], size, size, device=waves.device)
    for wave, where, low, each, taken in zip(waves, places, corner, aberrations, patterns, strict=True):
        for place, (top, left), pattern in zip(where - low, low.tolist(), taken, strict=True):
            row, column = (pixel_nm * place).tolist()
            inside, beams = _lit(size, pixel_nm, each, probe, (column, row), waves.device)
            pattern[:] = _pattern(wave[top : top + size, left : left + size], inside, beams)
    return patterns


def _pattern(patch: Tensor, inside: Tensor, beams: Tensor) -> Tensor:
    """The pattern (K, K) of beams (J, P), which are zero but at the aperture's pixels (P,), through a patch (K, K)."""
    size = len(patch)
    pattern = torch.zeros(size, size, device=patch.device)
    for some in torch.split(beams, max(1, CACHED // size**2)):
        pupil = torch.zeros(len(some), size * size, dtype=patch.dtype, device=patch.device).index_copy_(1, inside, some)
        exit_wave = torch.fft.ifft2(pupil.view(-1, size, size), norm="ortho").mul_(patch)
        for power in torch.view_as_real(torch.fft.fft2(exit_wave, norm="ortho")).square_():
            pattern.add_(power[..., 0]).add_(power[..., 1])
    centred: Tensor = torch.fft.fftshift(pattern)
    return centred


def pupils(size: int, pixel_nm: float, aberrations: Aberrations, probe: Probe, device: torch.device) -> Tensor:
    """A exp(-i chi) (J, size, size) complex64 for each focus and point of the source; all squares sum to 1."""
    inside, beams = _lit(size, pixel_nm, aberrations, probe, (0.0, 0.0), device)
    whole = torch.zeros(len(beams), size * size, dtype=torch.complex64, device=device)
    return whole.index_copy_(1, inside, beams).view(-1, size, size)


def _lit(
    size: int,
    pixel_nm: float,
    aberrations: Aberrations,
    probe: Probe,
    place_nm: tuple[float, float],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Flat places of the aperture's pixels (P,), a small part of all, and what ``pupils`` holds there, (J, P).

    ``place_nm`` is the x and y of the probe.
    """
    inside, phases = _disc(size, pixel_nm, probe.beam_energy_keV, probe.semi_angle_mrad, device)
    share, C10_nm, *beside_nm = probe.points_nm().T
    # A probe out of focus has another C10, one beside the axis a slope.
    weights_nm = np.tile(np.append(chi_coefficients_nm(aberrations), place_nm), (len(share), 1))
    weights_nm[:, 0] += C10_nm
    weights_nm[:, 8:] += np.stack(beside_nm, axis=-1)
    amplitude = torch.from_numpy(np.sqrt(share / len(inside))[:, None]).to(device).float()
    return inside, _turned(amplitude, torch.from_numpy(weights_nm).to(device) @ phases)


def cone(size: int, pixel_nm: float, probe: Probe, device: torch.device) -> Tensor:
    """The pattern (size, size) float32 of a probe where there is no specimen: its aperture, evenly lit, with sum 1."""
    inside, _ = _disc(size, pixel_nm, probe.beam_energy_keV, probe.semi_angle_mrad, device)
    lit = torch.zeros(size * size, device=device).index_fill_(0, inside, 1 / len(inside))
    centred: Tensor = torch.fft.fftshift(lit.view(size, size))
    return centred


@lru_cache(maxsize=8)
def _disc(
    size: int, pixel_nm: float, beam_energy_keV: float, semi_angle_mrad: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Flat places of the aperture's pixels (P,), and -chi there per nm of each coefficient and of x and y, (10, P)."""
    rim = optics.Column(beam_energy_keV, semi_angle_mrad)
    (row, column), x, y = optics.aperture(size, pixel_nm, rim)
    phases = -2 * math.pi / wavelength_nm(beam_energy_keV) * np.concatenate([optics.chi_polynomials(x, y), [x, y]])
    return torch.from_numpy(row * size + column).to(device), torch.from_numpy(phases).to(device)


def angles_mrad(size: int, pixel_nm: float, beam_energy_keV: float) -> Array:
    """The angles of a pattern's pixels along either direction, (size,) mrad, ascending, 0 at size // 2."""
    return 1e3 * wavelength_nm(beam_energy_keV) * np.fft.fftshift(np.fft.fftfreq(size, pixel_nm))


def annulus(size: int, pixel_nm: float, beam_energy_keV: float, inner_mrad: float, outer_mrad: float) -> Tensor:
    """Which pixels of a pattern a detector sees, (size, size) bool: inner angle included, outer not.

    Raises:
        ValueError: the outer angle is beyond what pixels sample, or the inner one is not below it.
    """
    checked_angle("outer_mrad", outer_mrad, pixel_nm, beam_energy_keV)
    if not 0.0 <= inner_mrad < outer_mrad:
        raise ValueError(f"inner_mrad is {inner_mrad:g}, but must be at least 0 and below outer_mrad, {outer_mrad:g}")
    angle = angles_mrad(size, pixel_nm, beam_energy_keV)
    distance = np.hypot(angle[:, None], angle)
    return torch.from_numpy((distance >= inner_mrad) & (distance < outer_mrad))


def collected(patterns: Tensor, detector: Tensor) -> Tensor:
    """Share of the incident electrons that a detector (K, K) counts, (...) for patterns (..., K, K)."""
    return (patterns * detector.to(patterns.device)).sum(dim=(-2, -1))


def centre_of_mass_mrad(patterns: Tensor, pixel_nm: float, beam_energy_keV: float) -> Tensor:
    """Mean deflection (..., 2), x and y in mrad, of patterns (..., K, K); 0 where nothing was counted."""
    angle = torch.from_numpy(angles_mrad(patterns.shape[-1], pixel_nm, beam_energy_keV)).to(patterns)
    total = patterns.sum(dim=(-2, -1)).clamp(min=torch.finfo(patterns.dtype).tiny)
    return torch.stack([patterns.sum(dim=-2) @ angle, patterns.sum(dim=-1) @ angle], dim=-1) / total[..., None]
