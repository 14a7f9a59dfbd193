"""Photon transfer: the variance of an image's noise against its mean, whose slope is the gain (Janesick, SPIE 2007).

    variance = gain x (mean - offset) + read noise^2

Of repeats the noise is half the squared difference of two neighbours, laid over each other. What a shift that was not
quite right leaves grows as the squared slope of the image, and is fitted along. Means come from other images than the
difference, and in two halves: one as the regressor, one as the instrument (Reiersol 1941; two-stage estimation), so
that noise in the mean does not flatten the slope. Errors are a jackknife over parts of the images (Efron 1982).

Of a single image that is sampled finer than its detail, the noise is what a second difference along both directions
leaves (J. Immerkaer, Comput. Vis. Image Underst. 64, 300, 1996), the mean that of pixels around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import fft
from scipy.ndimage import convolve, gaussian_filter

from agent.calibrate.twin.darks import Dark
from agent.calibrate.twin.evidence import Evidence, Frame
from agent.calibrate.twin.found import Parameter, known, unknown
from agent.perception.registration import shift_between
from agent.perception.scan import Array

SERIES = 6
MOST_PAIRS = 40
MARGIN = 12
FLATTER = 0.8
ONE_SHARE = 0.02
SHEAR_SHARE = 0.005
"""What rows that jitter leave of the gain where pairs are laid over each other, as a share, by simulation."""

PARTS = 2
ROUNDS = 3
MOST_REL_SD = 0.25
MOST_SATURATED = 1e-3
LEAST_LEVELS = 0.9
"""Share of the numbers between the 5th and 95th percentile that occur, below which an image was stretched."""

FLAT_SDS = 5.0
SECOND = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0]) / 6.0


@dataclass(frozen=True)
class Transfer:
    """The line of photon transfer: gain (counts an electron) and what it is at a mean of zero counts (counts^2)."""

    gain: float
    gain_sd: float
    at_zero: float
    at_zero_sd: float
    pairs: int


@dataclass(frozen=True)
class _Part:
    """Pixels of a part of a pair: noise (n,), regressors and instruments (n, k): 1, mean, squared slopes."""

    noise: Array
    regressors: Array
    instruments: Array


def photon_transfer(evidence: Evidence, dark: Dark | None) -> Transfer | str:
    """Fit gain and intercept; a str says why it cannot be done."""
    series = [group for group in evidence.repeats() if len(group) >= SERIES]
    if not series:
        if len(evidence.images) == 1:
            return _of_one(evidence.images[0])
        return f"no {SERIES} images in a row of one place and setting were recorded"
    if any((f.counts >= f.full_counts).mean() > MOST_SATURATED for group in series for f in group[:1]):
        return "images are saturated"
    level = dark.at(series[0][0].dwell_s) if dark is not None else 0.0
    parts = [part for group in series for part in _parts(group, level, MOST_PAIRS)]
    if len(parts) < 2 * PARTS**2:
        return "images of one place could not be laid over each other"
    return _fit(parts[: MOST_PAIRS * PARTS**2], None if dark is None else dark.var)


def parameters(found: Transfer | str, dark: Dark | None) -> list[Parameter]:
    """The gain; and what is left of offset and read noise where no dark reference tells them."""
    name, unit = "gain_counts_per_electron", "counts/electron"
    if isinstance(found, str):
        return [unknown(name, unit, found)]
    if found.gain <= 0 or found.gain_sd > MOST_REL_SD * found.gain:
        return [unknown(name, unit, f"{found.gain:.3g} +- {found.gain_sd:.2g}: brightness differs too little in them")]
    rests = f"photon transfer of {found.pairs} pairs" if found.pairs else "photon transfer of one oversampled image"
    line = [known(name, unit, found.gain, found.gain_sd, rests)]
    if dark is None:
        at_zero = "read noise^2 - gain x offset, which do not separate without a dark reference"
        line.append(known("noise_at_zero_counts2", "counts^2", found.at_zero, found.at_zero_sd, at_zero))
    return line


def _parts(group: Sequence[Frame], level: float, most: int) -> Iterator[_Part]:
    """Pairs in the middle of six images in a row, cut into parts."""
    starts = range(0, len(group) - SERIES + 1, 2)
    for start in [starts[i] for i in np.unique(np.linspace(0, len(starts) - 1, most).astype(int))]:
        laid = laid_over(group[start : start + SERIES], level)
        if laid is None:
            continue
        noise = 0.5 * (laid[2] - laid[3]) ** 2
        means = [0.5 * (laid[0] + laid[1]), 0.5 * (laid[4] + laid[5])]
        slopes = _slopes(0.5 * (means[0] + means[1]))
        tables = [np.dstack([np.ones_like(mean), mean, slopes]) for mean in means]
        for rows in np.array_split(np.arange(noise.shape[0]), PARTS):
            for columns in np.array_split(np.arange(noise.shape[1]), PARTS):
                at = np.ix_(rows, columns)
                regressors, instruments = (table[at].reshape(-1, table.shape[-1]) for table in tables)
                # What edges leave where rows jitter is more than their slope says.
                steep = instruments[:, 2] + instruments[:, 3]
                use = steep <= np.quantile(steep, FLATTER)
                yield _Part(noise[at].ravel()[use], regressors[use], instruments[use])


def _slopes(image: Array) -> Array:
    """Squared slopes of an image down and across, (H, W, 2), smoothed so that noise has little part in them."""
    return np.stack([gaussian_filter(image, 1.0, order=order) ** 2 for order in ((1, 0), (0, 1))], axis=-1)


def laid_over(frames: Sequence[Frame], level: float) -> list[Array] | None:
    """Images laid over the third of them, less the margin that shifts leave; None where they do not fit."""
    images = [frame.counts - level for frame in frames]
    laid, reach = [], float(MARGIN)
    if images[2].mean() <= 0.0:
        return None
    # In units in which the noise is that of counts, as registration reckons, whatever the gain.
    unit = max(float((convolve(images[2], SECOND) ** 2).mean() / images[2].mean()), 1e-9)
    for image in images:
        if image is images[2]:
            laid.append(image)
            continue
        shift = shift_between(images[2] / unit, image / unit)
        if shift is None or max(abs(shift.rows), abs(shift.columns)) > min(image.shape) / 4:
            return None
        reach = max(reach, MARGIN + abs(shift.rows), MARGIN + abs(shift.columns))
        laid.append(shifted(image, -shift.rows, -shift.columns))
    cut = math.ceil(reach)
    if min(images[0].shape) - 2 * cut < 2 * PARTS:
        return None
    return [image[cut:-cut, cut:-cut] for image in laid]


def shifted(image: Array, rows: float, columns: float) -> Array:
    """An image whose content is moved on by a fraction of pixels; white noise keeps its variance: all frequencies pass.

    The mean is taken off first, so that what wraps around at the edges is small; they belong to nobody.
    """
    mean = image.mean()
    k, m = fft.fftfreq(image.shape[0])[:, None], fft.rfftfreq(image.shape[1])
    turn = np.exp(-2j * math.pi * (k * rows + m * columns))
    moved: Array = fft.irfft2(fft.rfft2(image - mean) * turn, s=image.shape) + mean
    return moved


def _fit(parts: Sequence[_Part], var_at_zero: float | None) -> Transfer:
    """Instrumental-variable fit, weighted by the fitted variance; a dark reference's variance fixes the intercept."""
    first = 0 if var_at_zero is None else 1
    fixed = 0.0 if var_at_zero is None else var_at_zero
    k, mean = parts[0].regressors.shape[1], max(float(np.mean([p.noise.mean() for p in parts])), 1e-9)
    beta, floor = np.eye(k)[0] * (mean - fixed), 0.05 * mean
    left, right = np.zeros((len(parts), k - first, k - first)), np.zeros((len(parts), k - first))
    for _ in range(ROUNDS):
        for n, part in enumerate(parts):
            weight = 1.0 / np.maximum(fixed + part.instruments @ beta, floor) ** 2
            weighted = part.instruments[:, first:] * weight[:, None]
            left[n] = weighted.T @ part.regressors[:, first:]
            right[n] = weighted.T @ (part.noise - fixed)
        solved = np.linalg.solve(left.sum(0), right.sum(0))
        beta = np.concatenate([np.zeros(first), solved])
    # Each pair left out in turn, since rows jitter together; where there are few, each part.
    together = PARTS**2 if len(parts) >= 6 * PARTS**2 else 1
    a, b = (each.reshape(-1, together, *each.shape[1:]).sum(axis=1) for each in (left, right))
    without = np.array([np.linalg.solve(left.sum(0) - x, right.sum(0) - y) for x, y in zip(a, b, strict=True)])
    n = len(without)
    sds = np.sqrt((n - 1) / n * ((without - without.mean(0)) ** 2).sum(0))
    at_zero = (fixed, 0.0) if first else (float(solved[0]), float(sds[0]))
    gain = float(solved[1 - first])
    sd = math.hypot(float(sds[1 - first]), SHEAR_SHARE * gain)
    return Transfer(gain, sd, *at_zero, pairs=len(parts) // PARTS**2)


def _of_one(frame: Frame) -> Transfer | str:
    """Photon transfer within one image, where it is sampled finely enough and its numbers are the detector's."""
    image = frame.counts
    if frame.is_whole and (why := _stretched(image)):
        return why
    rest = convolve(image, SECOND, mode="nearest")
    if why := _not_flat(image):
        return why
    cut = slice(8, -8)
    mean_one, mean_other = (convolve(image, _around(colour), mode="nearest")[cut, cut] for colour in (0, 1))
    noise = rest[cut, cut] ** 2
    parts = []
    for rows in np.array_split(np.arange(noise.shape[0]), 6):
        for columns in np.array_split(np.arange(noise.shape[1]), 6):
            at = np.ix_(rows, columns)
            ones = np.ones(noise[at].size)
            regressors, instruments = (np.stack([ones, m[at].ravel()], axis=1) for m in (mean_one, mean_other))
            parts.append(_Part(noise[at].ravel(), regressors, instruments))
    found = _fit(parts, None)
    # Detail finer than the paraboloid makes brightness differ more than its mean around tells: 1 to 2 %, by simulation.
    return replace(found, gain_sd=math.hypot(found.gain_sd, ONE_SHARE * found.gain), pairs=0)


def _around(colour: int) -> Array:
    """Weights (7, 7) that tell the middle of a paraboloid from pixels of one colour of a chessboard around 3 x 3."""
    y, x = np.indices((7, 7)) - 3
    used = ((x + y) % 2 == colour) & (np.maximum(abs(x), abs(y)) > 1)
    design = np.stack([x**0, x, y, x * x, x * y, y * y], axis=-1)[used].astype(np.float64)
    kernel = np.zeros((7, 7))
    kernel[used] = np.linalg.pinv(design)[0]
    return kernel


def _stretched(image: Array) -> str:
    """Why the numbers are not the detector's; empty where they may be."""
    low, high = np.percentile(image, [5, 95])
    inside = image[(image >= low) & (image <= high)]
    values = np.unique(inside).size
    expected = min(high - low + 1.0, 0.6 * inside.size)
    if values < LEAST_LEVELS * expected and values < 0.5 * (high - low):
        return (
            f"one image, whose {values} numbers lie {(high - low) / max(values, 1):.0f} apart: its brightness was "
            "stretched after it was recorded, its noise is not the detector's"
        )
    return ""


def _not_flat(image: Array) -> str:
    """Why the noise of an image cannot be told from its detail; empty where it can."""
    window = np.outer(*[np.hanning(n) for n in image.shape])
    power = np.abs(fft.fft2(window * (image - image.mean()))) ** 2
    k = np.hypot(fft.fftfreq(image.shape[0])[:, None], fft.fftfreq(image.shape[1]))
    inner, outer = power[(k > 0.34) & (k <= 0.42)], power[(k > 0.42) & (k <= 0.5)]
    # Neighbouring frequencies depend on each other through the window: some 2.3 of each independent one.
    apart = math.log(inner.mean() / outer.mean()) / math.sqrt(2.3 * (1 / inner.size + 1 / outer.size))
    if apart > FLAT_SDS:
        return (
            f"one image, whose detail (or a slow detector) reaches to the finest frequencies ({apart:.0f} standard "
            "deviations more power there than white noise has): noise cannot be told from detail"
        )
    return ""
