"""How well an image tells a cell's count, covered fraction and mean radius: the noise of measurements, predicted.

A model for planning and for weighing measurements against each other, not the analyst itself. Detection follows Rose:
a sphere of radius r gives a signal in proportion to its volume against the noise of the background over the blurred
disc, SNR = visibility * sqrt(dose) * r^3 / sqrt(r^2 + b^2) with dose in electrons/nm^2 and blur b in nm (Rose 1948;
for liquid cells de Jonge, Ultramicroscopy 187 (2018) 113). The blur comes from the pixel and from what is not known
of focus: b = sqrt((pixel/2)^2 + (alpha * C10 error)^2), geometrical optics at the convergence semi-angle alpha.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.bayes.kernel import Array
from policies.bayes.settings import AnalystSettings

# Radii of a cell in units of their relative spread: five-point Gauss-Hermite nodes and weights of a normal.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
LEAST_RADIUS_NM = 0.5
# What cannot be seen is guessed to within this share of itself.
GUESS_SHARE = 0.5
# Outlines are never better than this share of the radius, counts never better than this (touching, merging, edges).
RADIUS_FLOOR = 0.03
OUTLINE_PIXELS = 0.1
COUNT_FLOOR = 0.05
COUNT_LEAST_VAR = 0.05


@dataclass(frozen=True)
class Image:
    """What matters of an image: dose in electrons/nm^2, pixel in nm, blur by defocus in nm, visibility of a sphere.

    ``visibility`` is the signal-to-noise of a sphere of 1 nm radius at 1 electron/nm^2 without blur.
    """

    dose_e_per_nm2: Array
    pixel_nm: float
    focus_blur_nm: Array
    visibility: float


def together(images: list[Image]) -> Image:
    """Several descriptions of cells, (c, k) each, as one, (sum of c, k), with pixel and visibility of the first."""
    dose = np.concatenate([image.dose_e_per_nm2 for image in images])
    blur = np.concatenate([image.focus_blur_nm for image in images])
    return Image(dose, images[0].pixel_nm, blur, images[0].visibility)


@dataclass(frozen=True)
class Noise:
    """Variances of what one image says of each cell."""

    count: Array
    covered_fraction: Array
    mean_radius_nm: Array

    def of(self, name: str) -> Array:
        """The variances of the field of this name."""
        return {
            "count": self.count,
            "covered_fraction": self.covered_fraction,
            "mean_radius_nm": self.mean_radius_nm,
        }[name]


def snr(radius_nm: Array, image: Image) -> Array:
    """Signal-to-noise of a sphere in an image; radii broadcast against the image's dose."""
    return np.asarray(image.visibility * _per_visibility(radius_nm, image))


def visibility_from(limit_nm: float, image: Image, settings: AnalystSettings) -> Array:
    """The visibility at which an image finds half of the spheres of this radius: there the SNR is what Rose asks."""
    return np.asarray(settings.rose_snr / _per_visibility(np.asarray(limit_nm), image))


def _per_visibility(radius_nm: Array, image: Image) -> Array:
    blur2 = (image.pixel_nm / 2) ** 2 + image.focus_blur_nm**2
    return np.asarray(np.sqrt(image.dose_e_per_nm2) * radius_nm**3 / np.sqrt(radius_nm**2 + blur2))


def least_radius_nm(image: Image, settings: AnalystSettings) -> Array:
    """About the smallest radius that is found: small against the blur and large against it, added."""
    reach = settings.rose_snr / (image.visibility * np.sqrt(image.dose_e_per_nm2))
    blur = np.sqrt((image.pixel_nm / 2) ** 2 + image.focus_blur_nm**2)
    return np.asarray(np.cbrt(reach * blur) + np.sqrt(reach))


def found_share(radius_nm: Array, image: Image, settings: AnalystSettings) -> Array:
    """Share of particles found where radii scatter around a mean of radius_nm."""
    share = np.zeros(np.broadcast(radius_nm, image.dose_e_per_nm2).shape)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        radius = radius_nm * max(1.0 + settings.radius_spread * node, 0.1)
        excess = np.clip(snr(radius, image) - settings.rose_snr, -30.0, 30.0)
        share = share + weight / (1.0 + np.exp(-excess))
    return share


def outline_nm(radius_nm: Array, image: Image) -> Array:
    """Sd of the radius of one particle, in nm: blur over signal-to-noise, never better than a part of a pixel."""
    blur_nm = np.sqrt((image.pixel_nm / 2) ** 2 + image.focus_blur_nm**2)
    return np.asarray(np.hypot(blur_nm / np.maximum(snr(radius_nm, image), 1.0), OUTLINE_PIXELS * image.pixel_nm))


def noise(
    count: Array, radius_nm: Array, share: Array, cell_nm: float, image: Image, settings: AnalystSettings
) -> Noise:
    """Variances with which an image that covers ``share`` of a cell tells its count, covered fraction and mean radius.

    ``count`` and ``radius_nm`` are what is expected in the cell. All arrays broadcast together.
    """
    n = np.maximum(count, 0.5)
    r = np.maximum(radius_nm, LEAST_RADIUS_NM)
    covered = np.clip(share, 1e-3, 1.0)
    found = found_share(r, image, settings)
    # Nothing found means: nothing larger than what can be seen, and no more.
    least_nm = least_radius_nm(image, settings)
    hidden_nm = (1.0 - found) * GUESS_SHARE * least_nm
    hidden_share = GUESS_SHARE * np.pi * least_nm**2 / cell_nm**2
    outline = np.hypot(outline_nm(r, image) / r, RADIUS_FLOOR)
    # A part of the cell stands for the whole: binomial, scaled up.
    sampled = n * (1.0 - covered) / covered
    missed = GUESS_SHARE * (1.0 - found) * n
    spread2 = settings.radius_spread**2
    disc = np.pi * r**2 * (1.0 + spread2) / cell_nm**2
    seen = np.maximum(n * covered * found, 0.5)
    # Particles that are missed are small: about half as wide as the mean.
    area_var = sampled * (1.0 + 4.0 * spread2) + n / covered * (2.0 * outline) ** 2 + (missed / 4.0) ** 2
    # Of a cell that is seen as a whole the mean is exact but for outlines and what is missed.
    radius_var = spread2 * (1.0 - covered * found) / seen + outline**2 / seen + RADIUS_FLOOR**2
    return Noise(
        count=np.asarray(sampled + missed**2 + (COUNT_FLOOR * n) ** 2 + COUNT_LEAST_VAR),
        covered_fraction=np.asarray(disc**2 * area_var + hidden_share**2),
        mean_radius_nm=np.asarray(r**2 * (radius_var + (GUESS_SHARE * (1.0 - found)) ** 2) + hidden_nm**2),
    )
