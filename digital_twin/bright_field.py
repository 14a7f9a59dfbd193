"""BF and ABF images of thin specimens in all orders: each point of the detector sees a tilted wave of the whole field.

By reciprocity (J. M. Cowley, Appl. Phys. Lett. 15 (1969) 58) what a scanned probe psi sends to a point k of the
detector is, for all places of the probe at once, one Fourier transform: sum_q psi(q) t(k - q) exp(-2 pi i q r), t the
transform of the transmission. A detector is a few dozen such points, spread evenly. This costs some tens of transforms
an image and wants pixels fine enough for twice the aperture; ``phase_contrast`` costs one convolution, on pixels of any
size, and is good for weak objects out of focus.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from digital_twin.optics import Aberrations, source_envelope, wavelength_nm
from digital_twin.waves import Probe, checked_angle, pupils

Detector = tuple[float, float]
"""Inner and outer angle in mrad."""

POINTS = 64
"""How many points of a detector stand for all of it."""

GOLDEN_rad = math.pi * (3 - math.sqrt(5))


def bright_field(
    waves: Tensor, pixel_nm: float, aberrations: Sequence[Aberrations], probe: Probe, detector: Detector
) -> Tensor:
    """Share of the incident electrons on a detector, (B, N, N) float32, at each place of a scan.

    ``waves`` (B, N, N) are transmissions on square fields that repeat: give them a margin as wide as the probe. The
    detector lies inside the disc of the direct beam.

    Raises:
        ValueError: pixels do not sample twice the aperture, or the detector's angles do not ascend from 0 to at most
            the aperture's.
    """
    checked_angle("twice semi_angle_mrad", 2 * probe.semi_angle_mrad, pixel_nm, probe.beam_energy_keV)
    inner, outer = detector
    if not 0.0 <= inner < outer <= probe.semi_angle_mrad:
        raise ValueError(f"detector is {detector}, but angles must ascend from 0 to {probe.semi_angle_mrad:g} mrad")
    size = waves.shape[-1]
    image = torch.empty(waves.shape, device=waves.device)
    points, share = _points(size, pixel_nm, probe, detector)
    for wave, each, result in zip(waves, aberrations, image, strict=True):
        lit, weights = _lit(size, pixel_nm, each, probe, waves.device)
        spectrum = torch.fft.fft2(wave) / size**2
        rows, columns = lit // size, lit % size
        result.zero_()
        for row, column in points:
            sent = spectrum[(row - rows) % size, (column - columns) % size]
            tilted = torch.zeros(len(weights), size * size, dtype=waves.dtype, device=waves.device)
            tilted[:, lit] = weights * sent
            seen = torch.fft.fft2(tilted.view(-1, size, size))
            result += (seen.real.square() + seen.imag.square()).sum(dim=0)
        result *= share
        if probe.source_fwhm_nm > 0.0:
            damping = torch.from_numpy(source_envelope(size, pixel_nm, probe.column())).to(image)
            kept = damping[:, None] * damping[: size // 2 + 1]
            result[:] = torch.fft.irfft2(torch.fft.rfft2(result) * kept, s=(size, size))
    return image


@lru_cache(maxsize=32)
def _points(size: int, pixel_nm: float, probe: Probe, detector: Detector) -> tuple[list[tuple[int, int]], float]:
    """Pixels (row, column) of the pattern that stand for a detector, and for how many each stands."""
    per_mrad = size * pixel_nm / (1e3 * wavelength_nm(probe.beam_energy_keV))
    inner, outer, rim = (angle * per_mrad for angle in (*detector, probe.semi_angle_mrad))
    spiral = []
    for n in range(POINTS):
        radius, angle = math.sqrt(inner**2 + (outer**2 - inner**2) * (n + 0.5) / POINTS), n * GOLDEN_rad
        spiral.append((round(radius * math.sin(angle)), round(radius * math.cos(angle))))
    # On coarse pixels a point may come to lie just outside the disc, where it counts nothing.
    inside = [point for point in spiral if math.hypot(*point) <= rim]
    return inside, math.pi * (outer**2 - inner**2) / len(inside)


@lru_cache(maxsize=32)
def _lit(
    size: int, pixel_nm: float, aberrations: Aberrations, probe: Probe, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The pixels inside the aperture (P,), flat in the order of an FFT, and the pupil of each focus there (J, P)."""
    still = Probe(probe.beam_energy_keV, probe.semi_angle_mrad, 0.0, probe.chromatic_mm, probe.energy_spread_eV)
    whole = pupils(size, pixel_nm, aberrations, still, device).flatten(1)
    lit = whole[0].abs().nonzero()[:, 0]
    # Normalized to the disc's true area, of which pixels are a rough measure.
    radius = 1e-3 * probe.semi_angle_mrad / wavelength_nm(probe.beam_energy_keV) * size * pixel_nm
    return lit, whole[:, lit] * math.sqrt(len(lit) / (math.pi * radius**2))
