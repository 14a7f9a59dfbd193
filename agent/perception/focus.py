"""Defocus from two images of one place at different C10: what the object is cancels out.

With F_i = O H_i + n_i the combination F_1 H_2 - F_2 H_1 holds noise alone if both transfers H_i are right, whatever the
object O. Its square over its variance, summed over frequencies, is the profile likelihood of where focus is.
Transfer of an incoherent probe at frequencies k far below 2 alpha / lambda, from geometrical optics:
H(k) = 2 / alpha^2 int_0^alpha J0(2 pi k (C10 t + C30 t^3)) t dt, a disc of confusion of radius alpha C10 where C30 = 0
(Hopkins, Proc. R. Soc. A 231, 91, 1955). Only the size of C10 matters in each image; the pair tells its sign.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.special import j0

from agent.perception.registration import part_windows, shared_parts
from agent.perception.scan import Array, Scan
from hardware_bridge.geometry import Point
from hardware_bridge.report import Estimate

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
REACH_NM, STEP_NM = 2000.0, 10.0
LEAST_CHANGE_NM = 20.0
# Another minimum must be worse by this much (ln likelihood), or the pair is ambiguous.
CLEARLY_WORSE = 6.0
# What geometrical optics, drift within a frame and a tilted specimen leave: nm, and a share of the change of C10.
FLOOR_NM, FLOOR_SHARE = 2.0, 0.02
MOST_SD_NM = 300.0
# What windows, growth and shear leave of the object when the combination is formed, as a share of its amplitude.
MODEL_SHARE = 0.1
BLUR_SHARE, BLUR_TAILS = 0.2, 8.0
MOST_LN_BLUR_SD = 0.6
LEAST_RING, LEAST_RINGS, MOST_FREQUENCY = 3, 8, 0.45
CLEAR = 2.5
# A few dim particles tell nothing that can be relied on: their common power over its noise must exceed this.
LEAST_SIGNAL = 60.0
CHOICE = 100.0
SMOOTH = np.ones(5)


@dataclass(frozen=True)
class Lens:
    """What the transfer depends on besides C10: convergence semi-angle and spherical aberration."""

    semi_angle_mrad: float
    C30_um: float = 0.0

    def transfer(self, C10_nm: Array, k_per_nm: Array) -> Array:
        """Transfer of the probe, (n, m), for n values of C10 and m spatial frequencies."""
        alpha = 1e-3 * self.semi_angle_mrad
        t = 0.5 * alpha * (NODES + 1.0)
        slope_nm = C10_nm[:, None] * t + 1e3 * self.C30_um * t**3
        phase = 2.0 * math.pi * k_per_nm[None, :, None] * slope_nm[:, None, :]
        return np.asarray((j0(phase) * (WEIGHTS * t / alpha)).sum(axis=2))

    @property
    def sharpest_C10_nm(self) -> float:
        """The C10 at the specimen at which the probe's rays spread least: -2/3 C30 alpha^2 balances C30."""
        return -2.0 / 3.0 * 1e3 * self.C30_um * (1e-3 * self.semi_angle_mrad) ** 2

    def blur_nm(self, C10_nm: Array | float) -> Array:
        """Standard deviation of the probe along one axis, of the shape of C10: root mean square of its rays."""
        alpha = 1e-3 * self.semi_angle_mrad
        t = 0.5 * alpha * (NODES + 1.0)
        square = (np.asarray(C10_nm)[..., None] * t + 1e3 * self.C30_um * t**3) ** 2
        return np.asarray(np.sqrt(0.5 * (square @ (WEIGHTS * t / alpha))))


@dataclass(frozen=True)
class Shot:
    """One image of a pair: the scan, and the ln of its blur in nm with standard deviation, as particles show it."""

    scan: Scan
    ln_blur: float
    ln_blur_sd: float

    def misfit(self, focus_nm: Array, lens: Lens) -> Array:
        """Minus the ln likelihood of each focus, (n,), by the blur alone; it does not know on which side it is."""
        pixel = self.scan.pixel_nm * 12.0**-0.5
        blur = np.hypot(pixel, lens.blur_nm(self.scan.C10_nm - focus_nm))
        # Heavy tails: particles that touch or are no balls mislead now and then.
        apart = (self.ln_blur - np.log(blur)) / math.hypot(self.ln_blur_sd, BLUR_SHARE)
        return np.asarray(0.5 * (BLUR_TAILS + 1.0) * np.log1p(apart**2 / BLUR_TAILS))


def in_focus(first: Shot, second: Shot, shift: Point, lens: Lens) -> Estimate | None:
    """Estimate the set C10 at which the specimen is sharpest, in nm, from two images with pixels of one size.

    Content of ``second`` lies at (row + shift[0], column + shift[1]) of ``first``. None where the pair does not tell.
    """
    C10_nm = first.scan.C10_nm, second.scan.C10_nm
    if abs(C10_nm[0] - C10_nm[1]) < LEAST_CHANGE_NM:
        return None
    rings = _rings(first.scan, second.scan, shift)
    if rings is None:
        return None

    def misfit(focus_nm: Array) -> Array:
        return rings.misfit(focus_nm, *C10_nm, lens) + first.misfit(focus_nm, lens) + second.misfit(focus_nm, lens)

    grid = 0.5 * sum(C10_nm) + np.arange(-REACH_NM, REACH_NM + STEP_NM / 2, STEP_NM)
    curve = misfit(grid)
    best = int(curve.argmin())
    if best in (0, grid.size - 1) or _rival(curve, best) - curve[best] < CLEARLY_WORSE:
        return None
    fine = np.linspace(grid[best - 1], grid[best + 1], 21)
    value = float(fine[int(misfit(fine).argmin())])
    sd = max(rings.sd(value, *C10_nm, lens), _width(grid, curve, best))
    # That noise has a part in which rings are used, and in their signal, is not in the formula; found by simulation.
    sd *= math.sqrt(1.15 + CHOICE / rings.signal)
    sd = math.hypot(sd, FLOOR_NM + FLOOR_SHARE * abs(C10_nm[0] - C10_nm[1]))
    if not sd < MOST_SD_NM:
        return None
    return Estimate(value=value + lens.sharpest_C10_nm, sd=sd)


def in_focus_by_blur(first: Shot, second: Shot, lens: Lens) -> Estimate | None:
    """Estimate the same from nothing but the blur that the particles of each image show, as moments of its posterior.

    For images of few particles at low dose, whose common spectrum tells nothing. None where the pair does not tell.
    """
    C10_nm = first.scan.C10_nm, second.scan.C10_nm
    if abs(C10_nm[0] - C10_nm[1]) < LEAST_CHANGE_NM or max(first.ln_blur_sd, second.ln_blur_sd) > MOST_LN_BLUR_SD:
        return None
    grid = 0.5 * sum(C10_nm) + np.arange(-REACH_NM, REACH_NM + STEP_NM / 2, STEP_NM)
    curve = first.misfit(grid, lens) + second.misfit(grid, lens)
    share = np.exp(curve.min() - curve)
    share /= share.sum()
    value = float(share @ grid)
    sd = math.hypot(math.sqrt(float(share @ (grid - value) ** 2)), FLOOR_NM + FLOOR_SHARE * abs(C10_nm[0] - C10_nm[1]))
    return Estimate(value=value + lens.sharpest_C10_nm, sd=sd) if sd < MOST_SD_NM else None


def _width(grid: Array, curve: Array, best: int) -> float:
    """Half the width of a minimum where it has risen by 1/2: the sd of a Gaussian likelihood."""
    inside = np.flatnonzero(curve - curve[best] < 0.5)
    return 0.5 * float(grid[inside[-1]] - grid[inside[0]])


@dataclass(frozen=True)
class _Rings:
    """Sums over rings of frequencies k (m,): powers, co-power, number of independent modes.

    ``noise_1`` and ``noise_2`` are noise powers of a mode, with what the model leaves out; ``signal`` is how far all
    common power stands out of its noise.
    """

    k_per_nm: Array
    pixel: Array
    power_1: Array
    power_2: Array
    common: Array
    modes: Array
    noise_1: Array
    noise_2: Array
    inflation: float
    signal: float

    def _transfers(self, focus_nm: Array, first_nm: float, second_nm: float, lens: Lens) -> tuple[Array, Array]:
        h1 = lens.transfer(first_nm - focus_nm, self.k_per_nm) * self.pixel
        h2 = lens.transfer(second_nm - focus_nm, self.k_per_nm) * self.pixel
        return h1, h2

    def misfit(self, focus_nm: Array, first_nm: float, second_nm: float, lens: Lens) -> Array:
        """Minus the ln likelihood of each C10 in focus, (n,)."""
        h1, h2 = self._transfers(focus_nm, first_nm, second_nm, lens)
        var = self.noise_1 * h2**2 + self.noise_2 * h1**2
        # Where both transfers vanish nothing is known; a mode's misfit then is its expectation, 1.
        floor = 1e-6 * (self.noise_1 + self.noise_2)
        rest = self.power_1 * h2**2 + self.power_2 * h1**2 - 2.0 * self.common * h1 * h2 + floor * self.modes
        return np.asarray((rest / (var + floor)).sum(axis=1) / self.inflation)

    def sd(self, focus_nm: float, first_nm: float, second_nm: float, lens: Lens) -> float:
        """Standard deviation of the minimum: sandwich of its curvature and of the noise of its slope."""
        step = 2.0
        h1, h2 = self._transfers(focus_nm + step * np.array([-1.0, 0.0, 1.0]), first_nm, second_nm, lens)
        d1, d2 = (h1[2] - h1[0]) / (2.0 * step), (h2[2] - h2[0]) / (2.0 * step)
        var = self.noise_1 * h2[1] ** 2 + self.noise_2 * h1[1] ** 2 + 1e-6 * (self.noise_1 + self.noise_2)
        object_power = np.maximum(self.common, 0.0) / np.maximum(h1[1] * h2[1], 1e-3)
        signal = object_power * (h1[1] * d2 - h2[1] * d1) ** 2 / var
        var_slope = self.noise_1 * h2[1] * d2 + self.noise_2 * h1[1] * d1
        noise = self.noise_1 * d2**2 + self.noise_2 * d1**2 - var_slope**2 / var
        information = 2.0 * float(signal.sum())
        if information <= 0.0:
            return math.inf
        spread = information + 2.0 * float((self.modes * np.maximum(noise, 0.0) / var).sum())
        return math.sqrt(self.inflation * spread) / information


def _rings(first: Scan, second: Scan, shift: Point) -> _Rings | None:
    """Ring sums of the part that both images show."""
    offset = (round(shift[0]), round(shift[1]))
    rest = (shift[0] - offset[0], shift[1] - offset[1])
    parts = shared_parts(first.counts, second.counts, offset)
    if parts is None:
        return None
    a, b = parts
    means = float(a.mean()), float(b.mean())
    if min(means) <= 0.0:
        return None
    window_a, window_b = part_windows(a.shape, rest)
    spectrum_a = fft.rfft2(window_a * (a / means[0] - 1.0))
    spectrum_b = fft.rfft2(window_b * (b / means[1] - 1.0))
    rows, columns = fft.fftfreq(a.shape[0]), fft.rfftfreq(a.shape[1])
    turn = np.exp(2j * math.pi * (rows[:, None] * rest[0] + columns[None, :] * rest[1]))
    k = np.hypot(rows[:, None], columns[None, :])
    index = (k * max(a.shape)).astype(np.intp).ravel()
    # The first column of the half plane stands for itself, the others for two modes that are not independent.
    share = np.ones(k.shape)
    share[:, 0] = 0.5
    w = share.ravel()
    modes = _sums(index, w)
    frequency = _sums(index, w * k.ravel()) / np.maximum(modes, 1e-9)
    tapered_1, tapered_2 = window_a**2, window_b**2
    noise_1, noise_2 = float((tapered_1 * a).sum()) / means[0] ** 2, float((tapered_2 * b).sum()) / means[1] ** 2
    # Tapering makes neighbouring modes depend on each other.
    inflation = float((tapered_1**2).mean() / tapered_1.mean() ** 2)
    common = _sums(index, w * (np.conj(spectrum_a) * spectrum_b * turn).real.ravel())
    # Only rings in which both images show the same; the others would add noise alone.
    clear = np.abs(np.convolve(common, SMOOTH, mode="same")) > CLEAR * np.sqrt(
        0.5 * inflation * noise_1 * noise_2 * np.convolve(modes, SMOOTH, mode="same")
    )
    use = clear & (np.arange(modes.size) >= LEAST_RING) & (frequency < MOST_FREQUENCY) & (modes > 0)
    noise = math.sqrt(0.5 * inflation * noise_1 * noise_2 * float(modes[use].sum()))
    signal = float(np.abs(common[use]).sum()) / max(noise, 1e-300)
    if use.sum() < LEAST_RINGS or signal < LEAST_SIGNAL:
        return None
    power_1 = _sums(index, w * np.abs(spectrum_a.ravel()) ** 2)[use]
    power_2 = _sums(index, w * np.abs(spectrum_b.ravel()) ** 2)[use]
    return _Rings(
        k_per_nm=frequency[use] / first.pixel_nm,
        # Mean over directions of the transfer of a square pixel, to second order: exp(-(pi k)^2 / 6).
        pixel=np.exp(-((math.pi * frequency[use]) ** 2) / 6.0),
        power_1=power_1,
        power_2=power_2,
        common=common[use],
        modes=modes[use],
        noise_1=noise_1 + MODEL_SHARE**2 * np.maximum(power_1 / modes[use] - noise_1, 0.0),
        noise_2=noise_2 + MODEL_SHARE**2 * np.maximum(power_2 / modes[use] - noise_2, 0.0),
        inflation=inflation,
        signal=signal,
    )


def _sums(index: NDArray[np.intp], values: Array) -> Array:
    """Sums of values over rings."""
    return np.asarray(np.bincount(index, values), dtype=np.float64)


def _rival(misfit: Array, best: int) -> float:
    """The lowest other minimum of a curve."""
    inner = (misfit[1:-1] < misfit[:-2]) & (misfit[1:-1] <= misfit[2:])
    places = np.flatnonzero(inner) + 1
    others = misfit[places[np.abs(places - best) > 1]]
    edges = min(misfit[0], misfit[-1])
    return float(min(others.min(), edges)) if others.size else float(edges)
