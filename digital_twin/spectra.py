"""Electron energy-loss spectra as pure formulae: zero loss, plasmons, plural scattering and core edges.

Numpy in, numpy out. Energies in eV, energy axes uniform. A spectrum of probabilities holds, per channel, the share of
the incident electrons found there. Formulae after R. F. Egerton, Electron Energy-Loss Spectroscopy in the Electron
Microscope, 3rd edition (Springer 2011), chapter and appendix named where they are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.special
from numpy.typing import NDArray

Array = NDArray[np.float64]

RYDBERG_eV = 13.605693
BOHR_nm = 0.0529177211
REST_ENERGY_eV = 510998.95
SQUARE_nm_PER_BARN = 1e-10


@dataclass(frozen=True)
class WhiteLine:
    """A sharp line on an edge: its position, full width at half maximum and strength.

    The strength is its area divided by the edge's own cross-section per eV at ``STRENGTH_AT_eV`` beyond the onset. The
    line is a Gaussian: multiplets that no column resolves, not a lifetime.
    """

    position_eV: float
    fwhm_eV: float
    strength_eV: float


@dataclass(frozen=True)
class Edge:
    """A core edge of the hydrogenic model: atomic number, shell, threshold, and white lines upon it.

    For the L shell ``upper_eV`` is the threshold of L1 (2s), and ``exponent`` the empirical correction that takes the
    white lines off (Egerton, appendix B, program SIGMAL).
    """

    name: str
    atomic_number: int
    shell: str
    onset_eV: float
    upper_eV: float = math.inf
    exponent: float = 0.0
    lines: tuple[WhiteLine, ...] = ()


STRENGTH_AT_eV = 50.0

C_K = Edge("C_K", 6, "K", 284.0)
O_K = Edge("O_K", 8, "K", 532.0)
N_K = Edge("N_K", 7, "K", 401.0)
SI_L3 = Edge("Si_L3", 14, "L", 99.2, upper_eV=149.7, exponent=0.42)
S_L3 = Edge("S_L3", 16, "L", 165.0, upper_eV=229.2, exponent=0.29)
CU_L3 = Edge("Cu_L3", 29, "L", 931.0, upper_eV=1096.0, exponent=0.14)
ZN_L3 = Edge("Zn_L3", 30, "L", 1020.0, upper_eV=1194.0, exponent=0.11)


Shape = tuple[tuple[float, float, float], ...]
"""Lines of one group: distance from the strongest line of L3 and full width in eV, share of the group."""


def _valence(name: str, at_eV: float, strengths_eV: tuple[float, float], l3: Shape, l2: Shape) -> Edge:
    """A 3d metal's L edge whose L3 is strongest at ``at_eV``, with the strengths of its L3 and L2."""
    atomic_number, upper_eV, exponent = {"Mn": (25, 769.0, 0.16), "Fe": (26, 846.0, 0.18)}[name[:2]]
    lines = tuple(
        WhiteLine(at_eV + apart, fwhm, share * strength)
        for strength, group in zip(strengths_eV, (l3, l2), strict=True)
        for apart, fwhm, share in group
    )
    return Edge(name, atomic_number, "L", at_eV, upper_eV, exponent, lines)


# White lines of manganese and iron by valence.
# - Strength: 5 eV for each empty 3d state, all lines together. That they grow linearly with the empty states stands in
#   J. Graetz et al., Phys. Rev. B 69 (2004) 235103 (abstract), and multiplet theory says so; 5 eV is what a measured
#   spectrum of a manganese oxide gives, which comes with eXSpy.
# - Shapes, and how far L2 is from L3: multiplets of edrixs, of ions in an octahedral field, as three and two Gaussians.
#   L3 of iron as measured: 707.8 eV and, broader and weaker, 710.5 eV for Fe2+; 709.5 eV after a weaker 708.0 eV for
#   Fe3+: P. A. van Aken et al., Phys. Chem. Minerals 25 (1998) 323 (abstract).
# - L3/L2 is largest for d5 and falls to both sides: T. G. Sparrow et al., Chem. Phys. Lett. 108 (1984) 547 (abstract).
#   The measured spectrum has 2.7. Theory gives 3.1, 1.8, 1.4 for manganese and 3.2, 3.1 for iron.
# - Assumptions of this world, made within what such papers show as figures: L3/L2 = 3.8, 2.7, 2.1 and 3.8, 4.7, how the
#   lines of iron's L3 share it, and where L3 of manganese lies. It moves up with valence: S. Zhang et al., Am. Min. 95
#   (2010) 1741.
MN2_L3 = _valence(
    "Mn2_L3",
    640.0,
    (19.8, 5.2),
    ((0.04, 0.60, 0.165), (0.15, 2.85, 0.725), (3.93, 2.62, 0.110)),
    ((11.01, 3.29, 0.860), (12.02, 0.67, 0.140)),
)
MN3_L3 = _valence(
    "Mn3_L3",
    641.8,
    (21.9, 8.1),
    ((-2.03, 2.01, 0.216), (0.02, 1.71, 0.284), (1.28, 3.88, 0.500)),
    ((7.93, 3.58, 0.544), (11.40, 2.65, 0.456)),
)
MN4_L3 = _valence(
    "Mn4_L3",
    643.1,
    (23.7, 11.3),
    ((-2.25, 1.85, 0.151), (0.17, 2.65, 0.687), (3.60, 3.88, 0.162)),
    ((8.71, 2.12, 0.595), (11.36, 1.93, 0.405)),
)
FE2_L3 = _valence(
    "Fe2_L3", 707.8, (15.8, 4.2), ((0.0, 1.4, 0.7), (2.7, 2.8, 0.3)), ((12.74, 2.38, 0.841), (15.65, 1.74, 0.159))
)
FE3_L3 = _valence(
    "Fe3_L3", 709.5, (20.6, 4.4), ((-1.5, 1.4, 0.3), (0.0, 1.8, 0.7)), ((11.34, 1.33, 0.225), (13.83, 2.58, 0.775))
)


def energy_axis_eV(offset_eV: float, step_eV: float, channels: int) -> Array:
    """Centres of the channels of a spectrum, shape (channels,)."""
    return offset_eV + step_eV * np.arange(channels, dtype=np.float64)


def speed_energy_eV(beam_energy_keV: float) -> float:
    """T = m v^2 / 2 with the rest mass, which takes the place of the beam energy in cross-sections (Egerton 3.2)."""
    energy_eV = 1e3 * beam_energy_keV
    return energy_eV * (1 + energy_eV / (2 * REST_ENERGY_eV)) / (1 + energy_eV / REST_ENERGY_eV) ** 2


def inelastic_mean_free_path_nm(
    density_g_cm3: float, beam_energy_keV: float, convergence_mrad: float, collection_mrad: float
) -> float:
    """Mean free path of inelastic scattering into a collection aperture, from the density alone.

    K. Iakoubovskii et al., Microscopy Research and Technique 71 (2008) 626, equation 9.
    """
    energy_keV = beam_energy_keV
    factor = (1 + energy_keV / 1022.0) / (1 + energy_keV / 511.0) ** 2
    energy_angle2 = (5.5 * density_g_cm3**0.3 / (factor * energy_keV)) ** 2
    cut_angle2 = 20.0**2
    angles = convergence_mrad**2 + collection_mrad**2 + abs(convergence_mrad**2 - collection_mrad**2)
    ratio = (angles + 2 * energy_angle2) / (angles + 2 * cut_angle2) * cut_angle2 / energy_angle2
    path_nm: float = 200.0 * factor * energy_keV / (11.0 * density_g_cm3**0.3 * math.log(ratio))
    return path_nm


def zero_loss(energy_loss_eV: Array, fwhm_eV: float, position_eV: float = 0.0) -> Array:
    """Gaussian zero-loss peak as shares per channel, shape of the axis; its sum is 1 where the axis holds it."""
    sigma = fwhm_eV / math.sqrt(8 * math.log(2))
    step = energy_loss_eV[1] - energy_loss_eV[0]
    peak = np.exp(-0.5 * ((energy_loss_eV - position_eV) / sigma) ** 2)
    return np.asarray(peak * step / (sigma * math.sqrt(2 * math.pi)))


def drude(energy_loss_eV: Array, plasmon_eV: float, width_eV: float) -> Array:
    """Single-scattering distribution of a volume plasmon, shares per channel with sum 1; zero at and below 0 eV.

    Im(-1/eps) of a free-electron gas, E G Ep^2 / ((E^2 - Ep^2)^2 + (E G)^2) (Egerton 3.43, Drude model).
    """
    energy = np.maximum(energy_loss_eV, 0.0)
    shape = energy / ((energy**2 - plasmon_eV**2) ** 2 + (energy * width_eV) ** 2)
    return np.asarray(shape / shape.sum())


def oscillator_strength_per_eV(edge: Edge, energy_loss_eV: Array, q2: Array) -> Array:
    """Hydrogenic generalised oscillator strength per eV of a full shell; shapes broadcast.

    ``q2`` is (q a0)^2. Egerton, section 3.6.1 (K shell: equations 3.127 and 3.128) and appendix B (SIGMAK, SIGMAL).
    """
    if edge.shell == "K":
        return _strength_k(edge.atomic_number - 0.5, energy_loss_eV, q2)
    return _strength_l(edge, edge.atomic_number - 4.15, energy_loss_eV, q2)


def _continuum(kh2: Array, q: Array, a: float) -> Array:
    """exp(-2 beta / kh) / (1 - exp(-2 pi / kh)), continued below kh^2 = 0 as in the appendix of Egerton."""
    kh = np.sqrt(np.maximum(np.abs(kh2), 1e-12))
    angle = np.arctan2(2 * math.sqrt(a) * kh, q - kh2 + a)
    above = np.exp(-2 * angle / kh) / -np.expm1(-2 * math.pi / kh)
    rise = 2 * math.sqrt(a) * kh
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.exp(-np.log((q + a - kh2 + rise) / (q + a - kh2 - rise)) / kh)
    return np.where(kh2 >= 0, above, below)


def _strength_k(charge: float, energy: Array, q2: Array) -> Array:
    kh2 = energy / (RYDBERG_eV * charge**2) - 1.0
    q = q2 / charge**2
    denominator = ((q - kh2 + 1) ** 2 + 4 * kh2) ** 3
    shape = _continuum(kh2, q, 1.0) * (q + kh2 / 3 + 1 / 3) / denominator
    return np.asarray(256.0 * energy / (RYDBERG_eV**2 * charge**4) * shape)


def _strength_l(edge: Edge, charge: float, energy: Array, q2: Array) -> Array:
    k = energy / (RYDBERG_eV * charge**2) - 0.25
    q = q2 / charge**2
    only_2p = (
        2.25 * q**4
        - (0.75 + 3 * k) * q**3
        + (0.59375 - 0.75 * k - 0.5 * k**2) * q**2
        + (0.11146 + 0.85417 * k + 1.8833 * k**2 + k**3) * q
        + (0.0035807 + k / 21.333 + k**2 / 4.5714 + k**3 / 2.4 + k**4 / 4)
    ) / ((q - k + 0.25) ** 2 + k) ** 5
    both = (
        q**3
        - (5 / 3 * k + 11 / 12) * q**2
        + (k**2 / 3 + 1.5 * k + 65 / 48) * q
        + (k**3 / 3 + 0.75 * k**2 + 23 / 48 * k + 5 / 64)
    ) / ((q - k + 0.25) ** 2 + k) ** 4
    correction = ((energy + 0.1 - edge.onset_eV) / (1.8 * edge.atomic_number**2)) ** edge.exponent
    shape = np.where(energy <= edge.upper_eV, only_2p, both) * _continuum(k, q, 0.25)
    return np.asarray(correction * 32.0 * energy / (RYDBERG_eV**2 * charge**4) * shape)


def edge_nm2_per_eV(edge: Edge, energy_loss_eV: Array, beam_energy_keV: float, collection_mrad: float) -> Array:
    """Cross-section per atom and eV for scattering inside the collection semi-angle, in nm^2 / eV, shape of the axis.

    The hydrogenic continuum, zero below the onset, and the edge's white lines as means over channels.
    """
    smooth = _continuum_nm2_per_eV(edge, energy_loss_eV, beam_energy_keV, collection_mrad)
    if not edge.lines:
        return smooth
    at = np.array([edge.onset_eV + STRENGTH_AT_eV])
    per_eV = float(_continuum_nm2_per_eV(edge, at, beam_energy_keV, collection_mrad)[0])
    step = float(energy_loss_eV[1] - energy_loss_eV[0])
    borders = np.append(energy_loss_eV - step / 2, energy_loss_eV[-1] + step / 2)
    for line in edge.lines:
        width = line.fwhm_eV / math.sqrt(4 * math.log(2))
        below = 0.5 * scipy.special.erf((borders - line.position_eV) / width)
        smooth = smooth + line.strength_eV * per_eV * np.diff(below) / step
    return np.asarray(smooth)


def _continuum_nm2_per_eV(edge: Edge, energy_loss_eV: Array, beam_energy_keV: float, collection_mrad: float) -> Array:
    """The hydrogenic cross-section per atom and eV, nm^2 / eV, shape of the axis; zero below the onset.

    Bethe's formula integrated over ln q^2 between the smallest momentum transfer and that of
    the collection angle (Egerton 3.125 and 3.151; the beam is taken as parallel).
    """
    result = np.zeros_like(energy_loss_eV)
    above = energy_loss_eV >= edge.onset_eV
    energy = energy_loss_eV[above][:, None]
    if energy.size == 0:
        return result
    speed_eV = speed_energy_eV(beam_energy_keV)
    gamma = 1 + 1e3 * beam_energy_keV / REST_ENERGY_eV
    low = energy**2 / (4 * RYDBERG_eV * speed_eV) + energy**3 / (8 * gamma**3 * RYDBERG_eV * speed_eV**2)
    high = low + 4 * gamma**2 * (speed_eV / RYDBERG_eV) * math.sin(5e-4 * collection_mrad) ** 2
    nodes, weights = np.polynomial.legendre.leggauss(48)
    span = np.log(high / low)
    q2 = low * np.exp(0.5 * span * (nodes + 1))
    strength = oscillator_strength_per_eV(edge, energy, q2)
    integral = 0.5 * span[:, 0] * (strength @ weights)
    result[above] = 4 * math.pi * BOHR_nm**2 * RYDBERG_eV**2 / (energy[:, 0] * speed_eV) * integral
    return result


class SpectrumModel:
    """Forward model of a spectrum: thickness of several materials in, shares of the electrons per channel out.

    ``single`` (M, E) holds the single-scattering distribution of each material, from ``drude``; ``edges`` (K, E) the
    cross-sections per eV. Plural scattering is exact for any thickness (Fourier-log, Egerton 4.2); edges are broadened
    by all of the low loss. What an edge takes is part of the thickness, so that ln(total / zero loss) is the sum of
    ``t_over_lambda`` and the shares sum to 1 (less what is lost beyond the end of the axis).

    ``peak`` (F,), ``single`` (M, F) and ``edges`` (K, F) are the Fourier transforms, of ``size`` channels, of the zero
    loss, of the materials' single scattering and of the edges per atom and nm^2. A zero loss at ``zero_loss_eV`` takes
    everything along with it.
    """

    def __init__(
        self, energy_loss_eV: Array, fwhm_eV: float, single: Array, edges: Array, zero_loss_eV: float = 0.0
    ) -> None:
        self.energy_loss_eV = energy_loss_eV
        self.step_eV = float(energy_loss_eV[1] - energy_loss_eV[0])
        origin = round(-float(energy_loss_eV[0]) / self.step_eV)
        self.size = scipy.fft.next_fast_len(2 * energy_loss_eV.size, real=True)
        peak = zero_loss(energy_loss_eV - zero_loss_eV, fwhm_eV)
        self.peak = scipy.fft.rfft(peak / peak.sum(), self.size)
        # Losses are counted from the channel of zero loss, so that convolving with them moves nothing.
        self.single = scipy.fft.rfft(np.atleast_2d(single)[:, origin:], self.size, axis=-1)
        self.edges = scipy.fft.rfft(self.step_eV * np.atleast_2d(edges)[:, origin:], self.size, axis=-1)

    def probabilities(self, t_over_lambda: Array, atoms_per_nm2: Array) -> Array:
        """Shares per channel, (..., E), of thicknesses (..., M) in mean free paths and areal densities (..., K)."""
        total = t_over_lambda.sum(axis=-1, keepdims=True)
        core = atoms_per_nm2 @ self.edges
        plasmon = 1.0 - core[..., :1].real / np.maximum(total, 1e-12)
        spectrum = self.peak * np.exp(np.maximum(plasmon, 0.0) * (t_over_lambda @ self.single) + core - total)
        shares = scipy.fft.irfft(spectrum, self.size, axis=-1)[..., : self.energy_loss_eV.size]
        return np.asarray(np.maximum(shares, 0.0))
