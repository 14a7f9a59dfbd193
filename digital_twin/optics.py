"""Electron optics as pure formulae: wavelength, aberrations, envelopes and the STEM probe.

Numpy in, numpy out. Angles in rad unless a name says mrad, lengths in nm. Aberrations in Krivanek's notation
(O. L. Krivanek, N. Dellby, A. R. Lupini, Ultramicroscopy 78 (1999) 1): with theta = x + iy the angle at the specimen,

    chi = (2 pi / lambda) sum_nm |theta|^(n+1) / (n+1) C_nm cos(m (phi - phi_nm))

and the wave is multiplied by A exp(-i chi). ``defocus_nm = -C10_nm``: positive defocus is underfocus. Physical
constants are those of CODATA 2018.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, fields

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from hardware_bridge.messages import Optics

Array = NDArray[np.float64]
Scalars = float | Array

PLANCK_J_S = 6.62607015e-34
ELECTRON_MASS_kg = 9.1093837015e-31
ELEMENTARY_CHARGE_C = 1.602176634e-19
LIGHT_m_per_s = 299792458.0
REST_ENERGY_keV = ELECTRON_MASS_kg * LIGHT_m_per_s**2 / ELEMENTARY_CHARGE_C * 1e-3

# How far beyond its geometric blur a probe is followed, in units of lambda / alpha.
DIFFRACTION_TAIL = 16.0

MOST_PROBE_POINTS = 2048
"""Most points along an edge on which a probe is formed."""

NODES_rad = 2.5
"""Three foci stand for a spread that turns the phase at the aperture's edge by so much."""


@dataclass(frozen=True)
class Aberrations:
    """Aberration coefficients, each one number or one per probe, shape (B,)."""

    C10_nm: Scalars = 0.0
    C12_nm: Scalars = 0.0
    phi12_rad: Scalars = 0.0
    C21_nm: Scalars = 0.0
    phi21_rad: Scalars = 0.0
    C23_nm: Scalars = 0.0
    phi23_rad: Scalars = 0.0
    C30_um: Scalars = 0.0


@dataclass(frozen=True)
class Column:
    """What of the column shapes a probe: beam energy, convergence semi-angle, the image of the source, spread of focus.

    ``focal_spread_nm`` is a 1/e half-width; 0 is none.
    """

    beam_energy_keV: float
    semi_angle_mrad: float
    source_fwhm_nm: float = 0.0
    focal_spread_nm: float = 0.0


def aberrations_of(optics: Optics) -> Aberrations:
    """The aberrations that an instrument reads back; what it leaves out counts as zero."""
    return Aberrations(**{f.name: getattr(optics, f.name) or 0.0 for f in fields(Aberrations)})


def summed(one: Aberrations, other: Aberrations) -> Aberrations:
    """The aberrations of two lenses, one after the other, each coefficient a number: they add as vectors."""
    found: dict[str, float] = {}
    for name, m in (("C12", 2), ("C21", 1), ("C23", 3)):
        size, angle = f"{name}_nm", f"phi{name[1:]}_rad"
        total = sum(getattr(lens, size) * cmath.exp(1j * m * getattr(lens, angle)) for lens in (one, other))
        found |= {size: abs(total), angle: cmath.phase(total) / m}
    C10_nm, C30_um = float(one.C10_nm) + float(other.C10_nm), float(one.C30_um) + float(other.C30_um)
    return Aberrations(C10_nm=C10_nm, C30_um=C30_um, **found)


def strehl(aberrations: Aberrations, column: Column) -> float:
    """Strehl ratio: the probe's peak as a share of what it is without aberrations, |mean exp(-i chi)|^2 at the centre.

    M. Born and E. Wolf, Principles of Optics, 9.1. A tilt of the wave moves the peak and is left in.
    """
    edge = 1e-3 * column.semi_angle_mrad
    x = np.linspace(-edge, edge, 257)
    x, y = (axis.ravel() for axis in np.meshgrid(x, x))
    inside = x**2 + y**2 <= edge**2
    phase = chi_rad(x[inside], y[inside], aberrations, column.beam_energy_keV)
    return float(np.abs(np.exp(-1j * phase).mean()) ** 2)


def wavelength_nm(beam_energy_keV: float) -> float:
    """Relativistic wavelength of the electron: h / sqrt(2 m E (1 + E / 2 m c^2))."""
    joule = beam_energy_keV * 1e3 * ELEMENTARY_CHARGE_C
    momentum = math.sqrt(2.0 * ELECTRON_MASS_kg * joule * (1.0 + beam_energy_keV / (2.0 * REST_ENERGY_keV)))
    return 1e9 * PLANCK_J_S / momentum


def interaction_rad_per_V_A(beam_energy_keV: float) -> float:
    """Interaction parameter sigma = 2 pi m lambda e / h^2 with the relativistic mass, in rad / (V A)."""
    mass_kg = ELECTRON_MASS_kg * (1.0 + beam_energy_keV / REST_ENERGY_keV)
    wavelength_m = 1e-9 * wavelength_nm(beam_energy_keV)
    return 1e-10 * 2.0 * math.pi * mass_kg * ELEMENTARY_CHARGE_C * wavelength_m / PLANCK_J_S**2


def chi_coefficients_nm(aberrations: Aberrations) -> Array:
    """Weights in nm of ``chi_polynomials``: (8,), or (B, 8) if a coefficient is given per probe."""

    def pair(size: Scalars, angle: Scalars, m: int) -> tuple[Array, Array]:
        return np.asarray(size * np.cos(m * np.asarray(angle))), np.asarray(size * np.sin(m * np.asarray(angle)))

    weights = (
        np.asarray(aberrations.C10_nm, dtype=np.float64),
        *pair(aberrations.C12_nm, aberrations.phi12_rad, 2),
        *pair(aberrations.C21_nm, aberrations.phi21_rad, 1),
        *pair(aberrations.C23_nm, aberrations.phi23_rad, 3),
        1e3 * np.asarray(aberrations.C30_um, dtype=np.float64),
    )
    return np.stack(np.broadcast_arrays(*weights), axis=-1)


def chi_polynomials(x_rad: Array, y_rad: Array) -> Array:
    """What C10, C12, C21, C23 (two directions each) and C30 multiply in the path length: (8, ...) at angles (...)."""
    x2, y2 = x_rad**2, y_rad**2
    r2 = x2 + y2
    return np.stack(
        [
            r2 / 2,
            (x2 - y2) / 2,
            x_rad * y_rad,
            x_rad * r2 / 3,
            y_rad * r2 / 3,
            x_rad * (x2 - 3 * y2) / 3,
            y_rad * (3 * x2 - y2) / 3,
            r2**2 / 4,
        ]
    )


def chi_rad(x_rad: Array, y_rad: Array, aberrations: Aberrations, beam_energy_keV: float) -> Array:
    """Aberration phase in rad at angles of any shape (...); shape (B, ...) if a coefficient is given per probe."""
    extra = (np.newaxis,) * np.ndim(x_rad)
    weights = np.moveaxis(chi_coefficients_nm(aberrations), -1, 0)[(..., *extra)]
    # Term by term, not as a matrix product, so that a probe does not depend on what else is in the batch.
    path_nm = sum(weight * term for weight, term in zip(weights, chi_polynomials(x_rad, y_rad), strict=True))
    return np.asarray(2.0 * math.pi / wavelength_nm(beam_energy_keV) * path_nm)


def transfer(x_rad: Array, y_rad: Array, aberrations: Aberrations, column: Column) -> NDArray[np.complex128]:
    """Complex transfer function A exp(-i chi) with a sharp aperture; shapes as in ``chi_rad``."""
    inside = x_rad**2 + y_rad**2 <= (1e-3 * column.semi_angle_mrad) ** 2
    phase = chi_rad(x_rad, y_rad, aberrations, column.beam_energy_keV)
    return np.asarray(inside * np.exp(-1j * phase))


def temporal_envelope(angle_rad: Array, focal_spread_nm: float, beam_energy_keV: float) -> Array:
    """Damping by a spread of focus: exp(-(pi Delta theta^2 / 2 lambda)^2), Delta the 1/e half-width of the spread."""
    return np.asarray(np.exp(-((math.pi * focal_spread_nm * angle_rad**2 / (2 * wavelength_nm(beam_energy_keV))) ** 2)))


def spatial_envelope(
    angle_rad: Array, aberrations: Aberrations, source_angle_mrad: float, beam_energy_keV: float
) -> Array:
    """Damping by the angular size of the source, of C10 and C30 alone: exp(-(pi beta / lambda)^2 (C30 t^3 + C10 t)^2).

    ``source_angle_mrad`` is beta, the 1/e half-angle of the source (not a standard deviation).
    """
    slope_nm = np.asarray(aberrations.C10_nm) * angle_rad + 1e3 * np.asarray(aberrations.C30_um) * angle_rad**3
    return np.asarray(np.exp(-((math.pi * 1e-3 * source_angle_mrad / wavelength_nm(beam_energy_keV) * slope_nm) ** 2)))


def focal_spread_nm(chromatic_mm: float, energy_spread_eV: float, beam_energy_keV: float) -> float:
    """Focal spread Cc dE/E of an energy spread, both in the same sense (1/e, sigma or FWHM), relativistic.

    The factor (1 + E / m c^2) / (1 + E / 2 m c^2) is 1.16 at 200 kV (L. Reimer and H. Kohl, Transmission Electron
    Microscopy, 5th edition, chapter 2).
    """
    ratio = beam_energy_keV / REST_ENERGY_keV
    return 1e6 * chromatic_mm * energy_spread_eV / (1e3 * beam_energy_keV) * (1 + ratio) / (1 + ratio / 2)


def foci(column: Column) -> tuple[Array, Array]:
    """A few foci instead of their Gaussian spread: C10 (J,) in nm about the mean one, ascending, and weights (J,).

    Three Gauss-Hermite nodes; where the phase at the aperture's edge turns farther than they follow, as many at equal
    distances as the intensity, which is band-limited along the axis, and the Gaussian ask for together.
    """
    spread_nm = column.focal_spread_nm
    edge_rad = math.pi * spread_nm * (1e-3 * column.semi_angle_mrad) ** 2 / wavelength_nm(column.beam_energy_keV)
    if edge_rad > NODES_rad:
        half = math.ceil(2 * (edge_rad / (2 * math.pi) + 0.7))
        at = 2 * np.arange(-half, half + 1) / half
        weights = np.exp(-(at**2))
    else:
        at, weights = np.polynomial.hermite.hermgauss(3 if spread_nm else 1)
    return spread_nm * at, weights / weights.sum()


def spread_loss(column: Column) -> float:
    """Share of its peak that an aberration-free probe loses by the spread of focus.

    The mean of sinc^2 over it: 1 - sqrt(pi) erf(b) / b + (1 - exp(-b^2)) / b^2, b = pi Delta alpha^2 / 2 lambda, since
    the wave on the axis is the integral of exp(-2 i b u C10 / Delta) over the aperture, u = (theta / alpha)^2 in 0..1.
    """
    b = math.pi * column.focal_spread_nm * (1e-3 * column.semi_angle_mrad) ** 2
    b /= 2 * wavelength_nm(column.beam_energy_keV)
    if b < 1e-3:
        return b**2 / 6
    return 1 - math.sqrt(math.pi) * math.erf(b) / b - math.expm1(-(b**2)) / b**2


def depth_of_focus_nm(beam_energy_keV: float, semi_angle_mrad: float) -> float:
    """Full width of the intensity on the axis along z of a probe without aberrations: 1.77 lambda / alpha^2.

    Between the half-maxima of sinc^2(C10 alpha^2 / 4 lambda), after M. Born and E. Wolf, Principles of Optics, 8.8.
    """
    return 1.77 * wavelength_nm(beam_energy_keV) / (1e-3 * semi_angle_mrad) ** 2


def blur_extent_nm(aberrations: Aberrations, column: Column) -> float:
    """Diameter in nm that holds the whole probe (the largest of a batch): rays at the aperture's edge, plus tails."""
    angle = 1e-3 * column.semi_angle_mrad

    def largest(size: Scalars) -> float:
        return float(np.max(np.abs(size))) if isinstance(size, np.ndarray) else abs(size)

    spread = float(foci(column)[0][-1]) if column.focal_spread_nm else 0.0
    slope = (
        (largest(aberrations.C10_nm) + spread + largest(aberrations.C12_nm)) * angle
        + (largest(aberrations.C21_nm) + largest(aberrations.C23_nm)) * angle**2
        + 1e3 * largest(aberrations.C30_um) * angle**3
    )
    tail = DIFFRACTION_TAIL * wavelength_nm(column.beam_energy_keV) / angle
    return 2.0 * slope + tail + 3.0 * column.source_fwhm_nm


def finest_pixel_nm(column: Column) -> float:
    """Largest pixel in nm that samples the intensity of a probe without aliasing: lambda / 4 alpha."""
    return wavelength_nm(column.beam_energy_keV) / (4e-3 * column.semi_angle_mrad)


def widest_probe_nm(column: Column) -> float:
    """Diameter in nm of the widest probe that is formed: three times that wide, it takes MOST_PROBE_POINTS points."""
    return 2 * MOST_PROBE_POINTS * finest_pixel_nm(column) / 3


def farthest_C10_nm(column: Column) -> float:
    """C10 in nm that makes a probe as wide as the widest: what is farther out of focus is computed as if it were there.

    An image tells as little there; far beside a window that bulges, say.
    """
    return widest_probe_nm(column) / (2e-3 * column.semi_angle_mrad)


def aperture(size: int, pixel_nm: float, column: Column) -> tuple[tuple[NDArray[np.intp], ...], Array, Array]:
    """Where the aperture is open on the FFT grid of (size, size) pixels: indices (row, column), and x and y in rad."""
    angle = wavelength_nm(column.beam_energy_keV) * np.fft.fftfreq(size, pixel_nm)
    x, y = np.meshgrid(angle, angle)
    inside = np.nonzero(x**2 + y**2 <= (1e-3 * column.semi_angle_mrad) ** 2)
    return inside, x[inside], y[inside]


def source_envelope(size: int, pixel_nm: float, column: Column) -> Array:
    """Fourier transform of the Gaussian source along one direction, (size,) in the order of an FFT; 1 at zero."""
    sigma = column.source_fwhm_nm / math.sqrt(8 * math.log(2))
    return np.asarray(np.exp(-2 * (math.pi * sigma * np.fft.fftfreq(size, pixel_nm)) ** 2))


def probe_intensity(size: int, pixel_nm: float, aberrations: Aberrations, column: Column) -> Array:
    """Probe intensity |F^-1 A exp(-i chi)|^2 convolved with the Gaussian source, (size, size) or (B, size, size).

    A spread of focus adds the intensities of a few foci. The sum is 1 and the axis of the column is at [0, 0] (the
    order of an FFT). The grid must be at least as fine as ``finest_pixel_nm`` and as wide as ``blur_extent_nm``, or the
    probe is cut or wraps around.
    """
    inside, x, y = aperture(size, pixel_nm, column)
    # Only a fifth of the grid lies in the aperture: the phase is worth computing there alone.
    phase = chi_rad(x, y, aberrations, column.beam_energy_keV)
    pupil = np.zeros((*phase.shape[:-1], size, size), dtype=np.complex128)
    intensity = np.zeros(pupil.shape)
    for C10_nm, weight in zip(*foci(column), strict=True):
        turned = phase + math.pi * C10_nm / wavelength_nm(column.beam_energy_keV) * (x**2 + y**2)
        pupil[..., inside[0], inside[1]] = np.exp(-1j * turned)
        intensity += weight * np.abs(scipy.fft.ifft2(pupil)) ** 2
    if column.source_fwhm_nm > 0.0:
        damping = source_envelope(size, pixel_nm, column)
        half = damping[: size // 2 + 1]
        intensity = scipy.fft.irfft2(scipy.fft.rfft2(intensity) * damping[:, None] * half, s=(size, size))
    return np.asarray(intensity / intensity.sum(axis=(-2, -1), keepdims=True))


def kernel_pixels(pixel_nm: float, aberrations: Aberrations, column: Column) -> tuple[int, int]:
    """How many image pixels wide (odd) a kernel must be, and into how many finer ones each is divided to form it."""
    fine = scipy.fft.next_fast_len(max(1, math.ceil(pixel_nm / finest_pixel_nm(column))))
    pixels = math.ceil(blur_extent_nm(aberrations, column) / pixel_nm) | 1
    while scipy.fft.next_fast_len(pixels) != pixels:
        pixels += 2
    return pixels, fine


def probe_kernel(pixel_nm: float, aberrations: Aberrations, column: Column) -> Array:
    """The probe as a convolution kernel on an image's pixels: (K, K) or (B, K, K), K odd, centred, sum 1.

    The probe is formed on a grid fine enough for its aperture and then limited to the band of the image, so that a
    convolution with it is exact however coarse the pixels are; a probe much smaller than a pixel gives a delta.
    """
    pixels, fine = kernel_pixels(pixel_nm, aberrations, column)
    size = pixels * fine
    intensity = probe_intensity(size, pixel_nm / fine, aberrations, column)
    spectrum = scipy.fft.fftshift(scipy.fft.fft2(intensity), axes=(-2, -1))
    low, high = size // 2 - pixels // 2, size // 2 + pixels // 2 + 1
    band = scipy.fft.ifftshift(spectrum[..., low:high, low:high], axes=(-2, -1))
    return np.asarray(scipy.fft.fftshift(scipy.fft.ifft2(band).real, axes=(-2, -1)))


def probe_radius_nm(aberrations: Aberrations, column: Column, share: float = 0.5) -> float:
    """Radius in nm about the centre of gravity that holds a share of one probe's current (0.5: half of d50)."""
    pixel = finest_pixel_nm(column) / 2
    size = scipy.fft.next_fast_len(math.ceil(blur_extent_nm(aberrations, column) / pixel))
    intensity = scipy.fft.fftshift(probe_intensity(size, pixel, aberrations, column))
    axis = pixel * (np.arange(size) - size // 2)
    x0, y0 = float(intensity.sum(0) @ axis), float(intensity.sum(1) @ axis)
    radius = np.hypot(axis[None, :] - x0, axis[:, None] - y0).ravel()
    order = np.argsort(radius)
    current = intensity.ravel()[order]
    # A pixel's current lies half within its distance and half beyond it.
    held = np.cumsum(current) - current / 2
    return float(np.interp(share, held, radius[order]))
