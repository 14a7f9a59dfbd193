"""What a set C10 does, against the stage's height: where the image is sharpest moves with the height.

The contrast of scanned images through focus is a peak, or a trough, A exp(-(C10 - f)^2 / (2 w^2)) + B, whose place f is
another at each height z. A lens whose set C10 acts g times as strongly has f = -z / g + const: sign and
gain follow from how f goes with z. Focus wanders meanwhile, which the visits to one height after the other tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.optimize import least_squares

from agent.calibrate.bench import Bench, Look, NotCalibrated
from agent.calibrate.chain import explain
from agent.perception.registration import part_windows
from agent.perception.scan import Array, Scan
from hardware_bridge.messages import Go, Optics
from hardware_bridge.report import Estimate

SPAN_PX = 6.0
"""The probe's largest radius in pixels at which a series begins and ends."""

COARSE = 9
FINDING = (0, 1, -1)
VISITS = (0, -1, 1, 0, 1, -1, 0, -1, 1, 0)
OFFSETS = (-1.0, 0.0, 1.0)
HEIGHT = 2.0
"""Heights visited, in units of the series' half length; ``FINDING`` are visited first, to find focus there."""

BAND = (0.02, 0.2)
NOISE_FROM = 0.35
CHANGE_SD, LN_WIDTH_SD = 0.1, 0.5
"""How much contrast changes from visit to visit, as drift brings other things into view, and how wide a peak is."""

LEAST_CLEAR = 5.0
LEAST_RATIO = 1.15


@dataclass(frozen=True)
class Series:
    """Contrast of one image through focus: at which C10 and height it was set, how large, with what error, and when."""

    C10_nm: float
    z_nm: float
    contrast: float
    sd: float
    mid_s: float


@dataclass(frozen=True)
class Defocus:
    """Gain of the lens, negative where it turns the other way, and all images that told it."""

    gain: Estimate
    series: list[Series]
    focus_nm: list[tuple[float, float, float]]


def images_needed() -> int:
    """How many images ``measure_defocus`` takes at most."""
    return COARSE + 2 + len(FINDING + VISITS) * len(OFFSETS)


def contrast(scan: Scan) -> tuple[float, float]:
    """Power of relative contrast in a band of frequencies beyond noise, and its error, both as shares of the mean^2."""
    counts = scan.counts
    window, _ = part_windows(counts.shape, (0.0, 0.0))
    mean = float((window * counts).sum() / window.sum())
    power = np.abs(fft.rfft2(window * (counts / mean - 1.0))) ** 2
    k = np.hypot(fft.fftfreq(counts.shape[0])[:, None], fft.rfftfreq(counts.shape[1])[None, :])
    inside, noise = (k >= BAND[0]) & (k < BAND[1]), float(power[k > NOISE_FROM].mean())
    # Modes of one object are not independent draws: it is the same at each focus, only noise differs.
    value = float((power[inside] - noise).sum())
    var = float((2.0 * np.maximum(power[inside] - noise, 0.0) * noise + noise**2).sum())
    scale = counts.size * float((window**2).sum()) / 2
    return value / scale, math.sqrt(2.0 * var) / scale


def measure_defocus(bench: Bench, look: Look) -> Defocus:
    """Go through focus at several heights and find sign and gain of C10.

    Raises:
        NotCalibrated: a range is missing, or images do not answer to C10 or to the height.
    """
    half = _half_length(bench, look)
    home = bench.start.optics.C10_nm or 0.0, bench.start.go.stage_z_nm or 0.0
    taken: list[Series] = []

    def shot(C10_nm: float, z_nm: float) -> Series:
        scan = bench.image(look, Go(stage_z_nm=z_nm), Optics(C10_nm=C10_nm))
        value, sd = contrast(scan)
        taken.append(Series(C10_nm, z_nm, value, sd, scan.mid_s))
        return taken[-1]

    try:
        coarse = [shot(home[0] + half * (2 * n / (COARSE - 1) - 1) * 2, home[1]) for n in range(COARSE)]
        focus, sign = _focus_of(coarse, half)
        rise = HEIGHT * half
        trial = {way: shot(focus - way * rise, home[1] + rise).contrast for way in (1.0, -1.0)}
        ratio = (trial[1.0] / trial[-1.0]) ** sign if min(trial.values()) > 0 else 0.0
        if not (ratio > LEAST_RATIO or 0.0 < ratio < 1 / LEAST_RATIO):
            raise NotCalibrated(
                f"defocus: at a height of {rise:+.4g} nm the image is as sharp at either C10 that could make up for it "
                f"(ratio {ratio:.2f}): it does not answer to the height"
            )
        way = 1.0 if ratio > 1.0 else -1.0
        middle = {z: focus - way * z * rise for z in FINDING}
        visits = []
        for z in FINDING + VISITS:
            visits.append([shot(middle[z] + offset * half, home[1] + z * rise) for offset in OFFSETS])
            # A series that has focus in its middle tells it whatever the shape of the peak is.
            middle[z] += half * _off_middle([each.contrast for each in visits[-1]], sign)
        visits = visits[len(FINDING) :]
    finally:
        bench.do(Go(stage_z_nm=home[1]), Optics(C10_nm=home[0]))
    return _gain(visits, taken, half, sign)


def _off_middle(contrasts: list[float], sign: float) -> float:
    """How far the extreme of three values lies from the middle one, as a share of their distance."""
    values = np.array(contrasts)
    below, here, above = np.log(values) if sign > 0 and values.min() > 0 else sign * values
    bend = 2 * here - below - above
    return float(np.clip((above - below) / (2 * bend), -0.5, 0.5)) if bend > 0 else 0.0


def _half_length(bench: Bench, look: Look) -> float:
    """Half the length of a series in C10: so long that the probe spreads over some pixels, within the limits."""
    lens, height = bench.allowed("C10_nm"), bench.allowed("stage_z_nm")
    for name, allowed in (("C10_nm", lens), ("stage_z_nm", height)):
        if allowed is None:
            raise NotCalibrated(f"defocus: limits.ranges has no {name}")
    assert lens is not None
    assert height is not None
    wanted = SPAN_PX * look.pixel_nm / (1e-3 * bench.capabilities.convergence_semi_angle_mrad)
    C10, z = bench.start.optics.C10_nm or 0.0, bench.start.go.stage_z_nm or 0.0
    room = min(C10 - lens.low, lens.high - C10) / (HEIGHT + 2.0), min(z - height.low, height.high - z) / HEIGHT
    half = min(wanted, *room, bench.limits.max_step_nm / (2 * HEIGHT))
    if half < wanted / 4:
        raise NotCalibrated(
            f"defocus: the limits leave a series of +-{half:.4g} nm, too short for pixels of {look.pixel_nm:.3g} nm "
            f"(+-{wanted:.4g} nm would do): widen the ranges of C10_nm and stage_z_nm, or look with a smaller field"
        )
    return half


def _focus_of(coarse: list[Series], half: float) -> tuple[float, float]:
    """C10 of the sharpest image of a coarse series, and whether contrast peaks (1) or dips (-1) there."""
    value = np.array([each.contrast for each in coarse])
    C10 = np.array([each.C10_nm for each in coarse])
    swing, error = float(np.ptp(value)), float(np.mean([each.sd for each in coarse]))
    if swing < LEAST_CLEAR * error or swing < 0.1 * float(np.abs(value).max()):
        raise NotCalibrated(
            f"defocus: contrast changes by {swing:.2g} (error {error:.2g}) over {np.ptp(C10):.4g} nm of C10: images do "
            "not answer to it"
        )
    sign = 1.0 if np.polyfit(C10 / half, value, 2)[0] < 0 else -1.0
    best = int((sign * value).argmax())
    if best in (0, len(coarse) - 1):
        raise NotCalibrated(
            f"defocus: the sharpest image of {C10.min():.4g}..{C10.max():.4g} nm is the last one, at {C10[best]:.4g} "
            "nm: focus the instrument first"
        )
    near = slice(best - 1, best + 2)
    curve = np.polyfit(C10[near] - C10[best], sign * value[near], 2)
    return float(C10[best] + np.clip(-curve[1] / (2 * curve[0]), -half / 2, half / 2)), sign


def _gain(visits: list[list[Series]], taken: list[Series], half: float, sign: float) -> Defocus:
    """Fit one peak to all images, with a place of its own at each visit, and how that place goes with the height."""
    shots = [(n, each) for n, visit in enumerate(visits) for each in visit]
    which = np.array([n for n, _ in shots])
    C10 = np.array([each.C10_nm for _, each in shots])
    value, sd = np.array([each.contrast for _, each in shots]), np.array([each.sd for _, each in shots])
    guess = np.array([float(np.mean([each.C10_nm for each in visit])) for visit in visits])

    n = len(visits)

    def rest(at: Array) -> Array:
        size, level, width, place, larger = at[0], at[1], half * math.exp(at[2]), at[3 : 3 + n], at[3 + n :]
        apart = (C10 - guess[which] - half * place[which]) / width
        model = size * np.exp(larger[which] - 0.5 * apart**2) + level
        return np.concatenate([(model - value) / sd, larger / CHANGE_SD, at[2:3] / LN_WIDTH_SD])

    size = sign * 2 * float(np.ptp(value))
    level = float(value.max() if sign > 0 else value.min()) - size
    start = np.concatenate([[size, level, 0.0], np.zeros(2 * n)])
    scale = np.concatenate([[abs(size), abs(size), 0.3], np.full(n, 0.2), np.full(n, CHANGE_SD)])
    found = least_squares(rest, start, x_scale=scale)
    spread = max(2.0 * found.cost / (len(shots) - n - 3), 1.0)
    slopes = np.asarray(found.jac, dtype=np.float64)
    variances = spread * np.diag(np.linalg.pinv(slopes.T @ slopes))[3 : 3 + n]
    focus, error = guess + half * found.x[3 : 3 + n], half * np.sqrt(np.maximum(variances, 0.0))
    if not (np.isfinite(focus).all() and (error > 0.0).all()):
        raise NotCalibrated("defocus: no peak of contrast can be laid through the images at all heights")
    heights = np.array([visit[0].z_nm for visit in visits])
    mid_s = np.array([float(np.mean([each.mid_s for each in visit])) for visit in visits])
    step_sd = np.sqrt(error[1:] ** 2 + error[:-1] ** 2)
    told = explain(heights[:, None], mid_s, np.diff(focus)[:, None], step_sd[:, None])
    slope, slope_sd = float(told.effects[0, 0]), math.sqrt(float(told.covariance[0, 0, 0]))
    if abs(slope) < LEAST_CLEAR * slope_sd:
        raise NotCalibrated(
            f"defocus: focus goes with the height by {slope:.3g} +- {slope_sd:.2g} nm a nm: it does not follow clearly"
        )
    gain = Estimate(value=-1.0 / slope, sd=slope_sd / slope**2)
    return Defocus(gain, taken, list(zip(heights.tolist(), focus.tolist(), error.tolist(), strict=True)))
