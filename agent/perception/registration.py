"""How far two images of the same place are apart: windowed cross-correlation, weighted by what is signal.

If A and B are noisy images of one object, B shifted by d, the d that maximises Re sum_k W conj(F_A) F_B exp(2 pi i k d)
is found, on a grid first and then by Newton's method. W weighs each ring of frequencies by signal over variance (the
generalised cross-correlation of Knapp and Carter, IEEE Trans. ASSP 24, 320, 1976). The standard deviation follows from
the Poisson noise of both images carried through the gradient (sandwich formula), not from the width of the peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from agent.perception.scan import Array
from hardware_bridge.geometry import Point

LEAST_EDGE = 32
LEAST_PEAK = 6.5
LEAST_PROMINENCE = 2.3
# What interpolation, scan distortion and growth between the images leave, in pixels; added in quadrature.
FLOOR = 0.02
NEWTON_STEPS = 4

# Rings of frequencies are averaged over this many neighbours.
SMOOTH = np.ones(5)

Complexes = NDArray[np.complex64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Shift:
    """Content of B lies at (row + rows, column + columns) of A, in pixels, with standard deviations.

    ``peak`` is the height of the correlation peak over its noise, ``prominence`` over the next best elsewhere.
    """

    rows: float
    columns: float
    rows_sd: float
    columns_sd: float
    peak: float
    prominence: float


def shift_between(a: Array, b: Array, guess: Point = (0.0, 0.0), reach: float = math.inf) -> Shift | None:
    """Measure how far image b is shifted against image a, both (H, W) in electrons with pixels of one size.

    ``guess`` (rows, columns) decides which parts are compared: those that should show the same; only shifts within
    ``reach`` pixels of it are looked at. Returns None where too little overlaps or nothing stands out.
    """
    offset = (round(guess[0]), round(guess[1]))
    spectra = _overlap(a, b, offset, (0.0, 0.0))
    if spectra is None:
        return None
    peak = spectra.coarse(reach)
    if peak.height < LEAST_PEAK or peak.prominence < LEAST_PROMINENCE:
        return None
    first = spectra.refine(peak.rows, peak.columns)
    # Again with the same part of the specimen in both windows, the window of b shifted by the fraction left.
    moved = (round(first[0]), round(first[1]))
    rest = (first[0] - moved[0], first[1] - moved[1])
    offset = (offset[0] + moved[0], offset[1] + moved[1])
    spectra = _overlap(a, b, offset, rest)
    if spectra is None:
        return None
    rows, columns = spectra.refine(*rest)
    rows_sd, columns_sd = spectra.sd(rows, columns)
    if not math.isfinite(rows_sd + columns_sd):
        return None
    return Shift(
        rows=offset[0] + rows,
        columns=offset[1] + columns,
        rows_sd=math.hypot(rows_sd, FLOOR),
        columns_sd=math.hypot(columns_sd, FLOOR),
        peak=peak.height,
        prominence=peak.prominence,
    )


@dataclass(frozen=True)
class Peak:
    """The best match of two images: where, how high over its noise, and over the next best elsewhere."""

    rows: float
    columns: float
    height: float
    prominence: float


def best_match(a: Array, b: Array, guess: Point = (0.0, 0.0), reach: float = math.inf) -> Peak | None:
    """What ``shift_between`` decides by; None where too little overlaps."""
    offset = (round(guess[0]), round(guess[1]))
    spectra = _overlap(a, b, offset, (0.0, 0.0))
    if spectra is None:
        return None
    peak = spectra.coarse(reach)
    return replace(peak, rows=peak.rows + offset[0], columns=peak.columns + offset[1])


def _overlap(a: Array, b: Array, offset: tuple[int, int], rest: Point) -> _Spectra | None:
    """The spectra of the parts of a and b that show the same when b is shifted by offset + rest."""
    parts = shared_parts(a, b, offset)
    if parts is None:
        return None
    part_a, part_b = parts
    means = float(part_a.mean()), float(part_b.mean())
    if min(means) <= 0.0:
        return None
    return _Spectra(
        _Windowed.of(part_a, means[0], (0.0, 0.0)),
        _Windowed.of(part_b, means[1], rest),
    )


def shared_parts(a: Array, b: Array, offset: tuple[int, int]) -> tuple[Array, Array] | None:
    """The parts of two images that show the same if the content of b lies ``offset`` pixels on; None if too little."""
    (r0, r1), (c0, c1) = (_span(a.shape[i], b.shape[i], offset[i]) for i in (0, 1))
    if min(r1 - r0, c1 - c0) < LEAST_EDGE:
        return None
    return a[r0:r1, c0:c1], b[r0 + offset[0] : r1 + offset[0], c0 + offset[1] : c1 + offset[1]]


def part_windows(shape: tuple[int, ...], rest: Point) -> tuple[Array, Array]:
    """Windows for two parts, the content of the second being shifted by the fraction ``rest`` of a pixel."""
    whole = np.outer(_window(shape[0], 0.0), _window(shape[1], 0.0))
    return whole, np.outer(_window(shape[0], rest[0]), _window(shape[1], rest[1]))


@dataclass(frozen=True)
class _Windowed:
    """One image seen through a window: its relative contrast transformed, and its noise per pixel and in all."""

    spectrum: Complexes
    noise: Singles
    power: float

    @classmethod
    def of(cls, part: Array, mean: float, rest: Point) -> _Windowed:
        """Look at a part of an image whose content is shifted by the fraction ``rest`` of a pixel."""
        down, right = (_window(part.shape[i], rest[i])[:, None] for i in (0, 1))
        through = (down * right.T).astype(np.float32)
        relative = (part / mean).astype(np.float32)
        noise = through**2 * np.maximum(relative, 0.0) / np.float32(mean)
        spectrum = np.asarray(fft.rfft2(through * (relative - np.float32(1.0))), dtype=np.complex64)
        return cls(spectrum, noise, float(noise.sum(dtype=np.float64)))


class _Spectra:
    """The cross-spectrum of two windowed images, weighted."""

    def __init__(self, first: _Windowed, second: _Windowed) -> None:
        self.shape = first.noise.shape
        self.noise = first.noise, second.noise
        a, b, power_a, power_b = first.spectrum, second.spectrum, first.power, second.power
        rows, columns, index, n = _rings(*self.shape)
        of_rings = np.bincount(index, (a.real**2 + a.imag**2 + b.real**2 + b.imag**2).ravel())
        power = np.convolve(of_rings, SMOOTH, mode="same") / n
        # Less the standard deviation of what noise alone does to a ring: rings without signal must not count.
        noise_power = (power_a + power_b) * (1.0 + 1.0 / np.sqrt(n))
        signal = 0.5 * np.maximum(power - noise_power, 0.0)
        weight = signal / (signal * (power_a + power_b) + power_a * power_b)
        weight[:2] = 0.0
        self.weight = weight.astype(np.float32).take(index).reshape(a.shape)
        self.rings, self.signal_weight = index, weight * signal
        self.a, self.b = a, b
        self.cross = np.conj(a) * b * self.weight
        self.w_rows, self.w_columns = 2.0 * math.pi * rows, 2.0 * math.pi * columns
        # Every column but the first (and the last of an even width) stands for two of the whole plane.
        self.twice = np.full(columns.size, 2.0)
        self.twice[0] = 1.0
        if self.shape[1] % 2 == 0:
            self.twice[-1] = 1.0
        # Of the correlation where nothing matches: products of unrelated objects and noise.
        unrelated = weight**2 * (signal + power_a) * (signal + power_b)
        self.peak_sd = math.sqrt(0.5 * float((unrelated.take(index).reshape(a.shape) @ self.twice).sum()))

    def coarse(self, reach: float) -> Peak:
        """The highest point of the correlation within reach, and how it stands out."""
        surface = fft.irfft2(self.cross, s=self.shape)
        sd = max(self.peak_sd / surface.size, float(surface.std()))
        for axis in (0, 1):
            far = np.abs(fft.fftfreq(self.shape[axis], 1.0 / self.shape[axis])) > reach
            surface[(far, slice(None)) if axis == 0 else (slice(None), far)] = 0.0
        row, column = divmod(int(surface.argmax()), self.shape[1])
        top = float(surface[row, column])
        if not top > 0.0 or sd == 0.0:
            return Peak(0.0, 0.0, 0.0, 0.0)
        wide = _peak_width(surface, row, column)
        surface[np.ix_(_around(row, wide, self.shape[0]), _around(column, wide, self.shape[1]))] = 0.0
        following = max(float(surface.max()), 1e-3 * top)
        return Peak(
            rows=float(row if row <= self.shape[0] // 2 else row - self.shape[0]),
            columns=float(column if column <= self.shape[1] // 2 else column - self.shape[1]),
            height=top / sd,
            prominence=top / following,
        )

    def derivatives(self, rows: float, columns: float) -> tuple[Array, Array]:
        """Gradient (2,) and Hessian (2, 2) of the correlation at a shift."""
        turn_rows = np.exp(1j * self.w_rows * rows)
        turn_columns = np.exp(1j * self.w_columns * columns) * self.twice
        powers = np.stack([turn_columns, turn_columns * self.w_columns, turn_columns * self.w_columns**2], axis=1)
        sums = self.cross @ powers.astype(np.complex64)
        d_rows, d_columns = (turn_rows * self.w_rows) @ sums[:, 0], turn_rows @ sums[:, 1]
        gradient = -np.array([d_rows.imag, d_columns.imag])
        mixed = ((turn_rows * self.w_rows) @ sums[:, 1]).real
        hessian = -np.array(
            [
                [((turn_rows * self.w_rows**2) @ sums[:, 0]).real, mixed],
                [mixed, (turn_rows @ sums[:, 2]).real],
            ]
        )
        return gradient, hessian

    def refine(self, rows: float, columns: float) -> Point:
        """Climb from a grid point to the top of the peak, at most one pixel away."""
        at = np.array([rows, columns])
        for _ in range(NEWTON_STEPS):
            gradient, hessian = self.derivatives(at[0], at[1])
            if np.linalg.eigvalsh(hessian)[-1] >= 0.0:
                break
            at = at + np.clip(-np.linalg.solve(hessian, gradient), -0.5, 0.5)
        return float(np.clip(at[0], rows - 1.0, rows + 1.0)), float(np.clip(at[1], columns - 1.0, columns + 1.0))

    def sd(self, rows: float, columns: float) -> Point:
        """Standard deviation of the shift along rows and columns: H^-1 J H^-1 with J from the noise of each pixel."""
        _, hessian = self.derivatives(rows, columns)
        # A peak of noise is sharper than one of signal: believe the blunter of what is there and what is expected.
        whole = self.signal_weight.take(self.rings).reshape(self.weight.shape) * self.twice
        expected = float((whole * self.w_rows[:, None] ** 2).sum()), float((whole * self.w_columns**2).sum())
        observed = -hessian[0, 0], -hessian[1, 1]
        if min(*observed, *expected) <= 0.0 or np.linalg.det(hessian) <= 0.0:
            return math.inf, math.inf
        hessian = hessian * np.outer(*[np.sqrt(np.minimum(np.array(expected) / np.array(observed), 1.0))] * 2)
        spread = np.zeros((2, 2))
        w_rows, w_columns = (1j * w.astype(np.float32) for w in (self.w_rows[:, None], self.w_columns))
        for other, noise in ((self.a, self.noise[1]), (self.b, self.noise[0])):
            weighted = self.weight * other
            slopes = [fft.irfft2(w * weighted, s=self.shape) for w in (w_rows, w_columns)]
            for i, j in ((0, 0), (0, 1), (1, 1)):
                spread[i, j] += float(np.vdot(noise * slopes[i], slopes[j]))
        spread[1, 0] = spread[0, 1]
        # irfft2 carries 1/(H W); the correlation above does not.
        spread *= (self.shape[0] * self.shape[1]) ** 2
        inverse = np.linalg.inv(hessian)
        covariance = inverse @ spread @ inverse
        return math.sqrt(covariance[0, 0]), math.sqrt(covariance[1, 1])


@lru_cache(maxsize=64)
def _rings(height: int, width: int) -> tuple[Array, Array, NDArray[np.intp], Array]:
    """Frequencies of rows and columns, the ring of every one of them, and how many are averaged about each ring."""
    rows, columns = fft.fftfreq(height), fft.rfftfreq(width)
    index = (np.hypot(rows[:, None], columns[None, :]) * max(height, width)).astype(np.intp).ravel()
    return rows, columns, index, np.convolve(np.bincount(index), SMOOTH, mode="same")


def _span(size_a: int, size_b: int, offset: int) -> tuple[int, int]:
    """Rows (or columns) of a that b also shows when its content lies ``offset`` further on.

    Less a few at both ends, which windows hardly let through, where that makes transforms much faster.
    """
    first = max(0, -offset)
    shared = max(min(size_a, size_b - offset) - first, 0)
    used = fft.prev_fast_len(shared, real=True) if shared else 0
    return first + (shared - used) // 2, first + (shared - used) // 2 + used


def _window(n: int, shift: float) -> Array:
    """A Tukey window of n samples whose content is shifted by a fraction of a sample."""
    taper = 0.25
    at = (np.arange(n) + 0.5 - shift) / n
    edge = np.clip(np.minimum(at, 1.0 - at) / taper, 0.0, 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(math.pi * edge))


def _around(centre: int, reach: int, size: int) -> NDArray[np.intp]:
    return np.arange(centre - reach, centre + reach + 1) % size


def _peak_width(surface: Array, row: int, column: int) -> int:
    """Half the edge of the square around the peak that belongs to it: down to a quarter of its height, and a little."""
    top = surface[row, column]
    across = np.roll(surface[row], -column)[: surface.shape[1] // 2]
    down = np.roll(surface[:, column], -row)[: surface.shape[0] // 2]
    below = [int(np.argmax(line < 0.25 * top)) or line.size // 2 for line in (across, down)]
    return 2 + max(below)
