"""The period of a grating (or of a lattice) in an image: the absolute reference of length, where the user knows it."""

from __future__ import annotations

import math

import numpy as np
from scipy import fft
from scipy.optimize import minimize

from agent.calibrate.bench import NotCalibrated
from agent.perception.registration import part_windows
from agent.perception.scan import Array
from hardware_bridge.report import Estimate

PERIODS = 6.5
"""How many a field should show."""

LEAST_PERIODS = 3.0
OFF = 1.3
"""By which factor the stated pixel size may be wrong."""

SQUARE_DEG = 20.0
LEAST_PEAK = 20.0


def pixel_over_stated(image: Array, pixel_nm: float, period_nm: float) -> Estimate:
    """True edge of a pixel over the stated ``pixel_nm``, from an image (H, W) of a square grating of known period.

    Raises:
        NotCalibrated: the field holds too few periods, or no such grating is seen.
    """
    periods = min(image.shape) * pixel_nm / period_nm
    if periods < LEAST_PERIODS:
        raise NotCalibrated(
            f"grating: a field of {min(image.shape) * pixel_nm:.4g} nm shows {periods:.1f} periods of {period_nm:g} "
            f"nm, {LEAST_PERIODS:g} are needed: widen limits.ranges.fov_nm"
        )
    window, _ = part_windows(image.shape, (0.0, 0.0))
    relative = window * (image / float(image.mean()) - 1.0)
    wanted = pixel_nm / period_nm
    first, first_sd = _peak(relative, wanted, None)
    second, second_sd = _peak(relative, wanted, math.atan2(first[1], first[0]) + math.pi / 2)
    # The area of the unit cell, so that neither a turn nor a shear counts.
    area = abs(first[0] * second[1] - first[1] * second[0])
    sd = 0.5 * math.hypot(first_sd / math.hypot(*first), second_sd / math.hypot(*second))
    value = math.sqrt(area) / wanted
    return Estimate(value=value, sd=value * sd)


def _peak(relative: Array, wanted: float, towards_rad: float | None) -> tuple[tuple[float, float], float]:
    """Frequency (x, y) of the strongest wave near a wanted one, in cycles a pixel, and its error."""
    height, width = relative.shape
    size = 4 * max(height, width)
    power = np.abs(fft.rfft2(relative, (size, size))) ** 2
    y, x = fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None, :]
    k = np.hypot(y, x)
    ring = (k > wanted / OFF) & (k < wanted * OFF)
    near = ring
    if towards_rad is not None:
        # Either sense of a direction will do.
        apart = np.angle(np.exp(2j * (np.arctan2(y, x) - towards_rad))) / 2
        near = ring & (np.abs(apart) < math.radians(SQUARE_DEG))
    row, column = np.unravel_index(int(np.where(near, power, 0.0).argmax()), power.shape)
    rows, columns = np.arange(height) - height / 2, np.arange(width) - width / 2

    def minus_power(at: Array) -> float:
        wave = np.exp(-2j * math.pi * at[1] * rows) @ relative @ np.exp(-2j * math.pi * at[0] * columns)
        return -float(abs(wave) ** 2)

    start = np.array([x[0, column], y[row, 0]])
    step = np.array([[0.0, 0.0], [0.2, 0.0], [0.0, 0.2]]) / max(height, width)
    found = minimize(minus_power, start, method="Nelder-Mead", options={"initial_simplex": start + step, "xatol": 1e-8})
    noise = float(np.median(power[ring])) / math.log(2.0)
    rho = -float(found.fun) / noise
    if rho < LEAST_PEAK:
        raise NotCalibrated(
            f"grating: no wave of the given period stands out (power {rho:.1f} times what is around it, {LEAST_PEAK:g} "
            "are needed): is this the grating, and is its period right?"
        )
    # The bound of Cramer and Rao.
    return (float(found.x[0]), float(found.x[1])), math.sqrt(6.0 / rho) / (2 * math.pi * max(height, width))
