"""How bright the target material is in HAADF: believed from scattering theory, then learned from resolved particles.

A blob's shape tells its radius and its flux its volume times brightness, so a resolved particle measures brightness;
once that is known, flux alone tells the radius of those that are not resolved; and a feature of another brightness is
of another material.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from agent.perception.fit import BALL, Blobs, Contrast
from agent.perception.scan import Array, Scan
from hardware_bridge.messages import Capabilities
from hardware_bridge.words import Positive, Word

BOHR_NM = 0.0529177210903
REST_keV = 510.99895
PLANCK_C_keV_NM = 1.2398419843
RESOLVED_SD = 0.3
LEAST_REAL = 0.95
# One image never tells brightness better than this: scan calibration, current, the shape of real particles.
IMAGE_FLOOR = 0.02
# Of ln radius: what neighbours, background and a blur that differs over the field leave in a fit.
SHAPE_SD = 0.008
MOST_ODDS = 4.0


class ContrastSettings(Word, frozen=True, kw_only=True):
    """What the target is made of and what it displaces; numbers of atoms per nm^3.

    The default is copper in water. ``sd`` is how far theory is trusted (of ln brightness; potentials screened by one
    exponential are off by that much at these angles), ``spread`` how much particles differ, ``other_sd`` how much other
    materials differ from the target.
    """

    atomic_number: Positive = 29
    atoms_per_nm3: Positive = 84.9
    displaced_per_nm: Positive = 2.5e-4
    sd: Positive = 0.12
    spread: Positive = 0.03
    other_sd: Positive = 0.5


@dataclass(frozen=True)
class Sized:
    """Radii of blobs in nm with their sd, (n,), if they are of the target material and if not; and how they look.

    ``look`` (n, 2) is each blob's ln brightness less the target's, with its variance.
    """

    radius_nm: Array
    radius_sd_nm: Array
    free_radius_nm: Array
    free_radius_sd_nm: Array
    look: Array


class Brightness:
    """The belief about ln(share of incident electrons scattered per nm of the target), Gaussian."""

    def __init__(self, settings: ContrastSettings, capabilities: Capabilities) -> None:
        self.settings = settings
        scattered = settings.atoms_per_nm3 * haadf_cross_section_nm2(settings.atomic_number, capabilities)
        self.mean = math.log(max(scattered - settings.displaced_per_nm, 0.1 * scattered))
        self.var = settings.sd**2

    def contrast(self, scan: Scan) -> Contrast:
        """What the fit of an image may believe: of the target, or something like it."""
        return Contrast(self.mean + self._scale(scan), self.settings.other_sd)

    def size(self, scan: Scan, blobs: Blobs) -> Sized:
        """Radii with and without belief in the target's brightness, and each blob's own brightness."""
        if not blobs.count:
            none = np.zeros(0)
            return Sized(none, none, none, none, np.zeros((0, 2)))
        believed = self.contrast(scan)
        along = np.array([-3.0, 1.0])
        at, cov = blobs.values[:, 2:4], blobs.cov[:, 2:4, 2:4]
        # Take the fit's weak belief out again; what is left may not tell brightness at all.
        seen = at @ along - math.log(BALL)
        var = np.einsum("i,nij,j->n", along, cov, along)
        precision = np.maximum(1.0 / var - 1.0 / believed.sd**2, 1e-6)
        own = (seen / var - believed.mean / believed.sd**2) / precision
        tight = self.var + self.settings.spread**2
        # The target: as if brightness had been measured with the difference of the two precisions.
        more = 1.0 / tight - 1.0 / believed.sd**2
        lean = (cov @ along)[:, 0]
        gain = lean / (var + 1.0 / more)
        ln_radius = at[:, 0] + gain * (believed.mean - seen)
        ln_sd = np.hypot(np.sqrt(np.maximum(cov[:, 0, 0] - gain * lean, 0.0)), SHAPE_SD)
        free_sd = np.hypot(np.sqrt(cov[:, 0, 0]), SHAPE_SD)
        radius, free = np.exp(ln_radius) * scan.pixel_nm, np.exp(at[:, 0]) * scan.pixel_nm
        look = np.stack([own - believed.mean, 1.0 / precision], axis=1)
        return Sized(radius, radius * ln_sd, free, free * free_sd, look)

    def learn(self, sized: Sized, real: Array) -> None:
        """Learn from the resolved particles of an image, (n,), that are probably of the target material."""
        var = sized.look[:, 1] + self.settings.spread**2
        use = (sized.look[:, 1] < RESOLVED_SD**2) & (real > LEAST_REAL)
        use &= sized.look[:, 0] ** 2 < 6.0 * (var + self.var)
        if not use.any():
            return
        weight = real[use] / var[use]
        offset = float((weight * sized.look[use, 0]).sum() / weight.sum())
        gain = self.var / (self.var + 1.0 / float(weight.sum()) + IMAGE_FLOOR**2)
        self.mean += gain * offset
        self.var = max(self.var * (1.0 - gain), 0.25 * IMAGE_FLOOR**2)

    def odds(self, offset: float, var: float) -> float:
        """Ln of how much better the target explains an ln brightness (less the target's) than some other material."""
        target = var + self.var + self.settings.spread**2
        other = var + self.settings.other_sd**2
        odds = 0.5 * (offset**2 / other - offset**2 / target + math.log(other / target))
        return min(max(odds, -MOST_ODDS), MOST_ODDS)

    def _scale(self, scan: Scan) -> float:
        """Ln counts per pixel and pixel of thickness of a material that scatters 1 per nm."""
        return math.log(max(scan.incident, 1e-12) * scan.pixel_nm)


def haadf_cross_section_nm2(atomic_number: float, capabilities: Capabilities) -> float:
    """Elastic cross-section of an atom into the annulus, nm^2, for a Wentzel potential.

    Reimer and Kohl, Transmission Electron Microscopy, section 5.1.4: theta_0 = lambda / (2 pi R), R = a_H Z^(-1/3).
    """
    energy = capabilities.beam_energy_keV
    wavelength_nm = PLANCK_C_keV_NM / math.sqrt(energy * (energy + 2.0 * REST_keV))
    radius_nm = BOHR_NM * atomic_number ** (-1.0 / 3.0)
    theta0 = wavelength_nm / (2.0 * math.pi * radius_nm)
    gamma = 1.0 + energy / REST_keV
    front = 4.0 * math.pi * (atomic_number * radius_nm**2 * gamma / BOHR_NM * theta0) ** 2
    low = (1e-3 * capabilities.haadf_inner_mrad / theta0) ** 2
    high = (1e-3 * capabilities.haadf_outer_mrad / theta0) ** 2
    return float(front * (1.0 / (1.0 + low) - 1.0 / (1.0 + high)))


def linear(scan: Scan) -> Array:
    """Counts as they would be if scattering did not saturate, (H, W): -N ln(1 - n / N), N electrons sent per pixel."""
    share = scan.counts / max(scan.incident, 1e-12)
    if not float(share.mean()) < 0.9:
        return scan.counts
    return np.asarray(-scan.incident * np.log1p(-np.minimum(share, 0.95)))
