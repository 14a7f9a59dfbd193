"""The whole calibration: what it will cost, one measurement after the other, then the numbers with their errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agent.calibrate import defocus, grating, moves
from agent.calibrate.bench import Bench, Look, NotCalibrated
from agent.calibrate.geometry import geometry
from agent.calibrate.warp import Warp, warp_between
from agent.decoding import decode_table
from agent.perception.eels import POSITION_FLOOR_eV, SpectrumReader
from agent.perception.scan import Array
from hardware_bridge.calibration import Calibration
from hardware_bridge.cost import fluence_e_per_A2, predict
from hardware_bridge.messages import Acquire, Command, Go, Limits
from hardware_bridge.microscope import Microscope
from hardware_bridge.report import Estimate
from hardware_bridge.words import Positive, Size, Word

TURN_DEG = 8.0
WARPS = 4
ZOOM = 2.0
SPECTRA = 4
SETTLED = 5.0
"""How many settling times are waited after a move before an image is taken."""


class CalibrateSettings(Word, frozen=True, kw_only=True):
    """How to look, how often to go there and back, and the period of a square grating where one is in view.

    ``spectrum_s`` is the dwell of a spectrum of 8 x 8 places.
    """

    fov_nm: Positive = 512.0
    pixels: Size = 256
    dwell_s: Positive = 2e-6
    spectrum_s: Positive = 2e-3
    rounds: Size = 4
    grating_nm: Positive | None = None

    @property
    def look(self) -> Look:
        """How moves are looked at."""
        return Look(fov_nm=self.fov_nm, pixels=self.pixels, dwell_s=self.dwell_s)

    @property
    def spectrum(self) -> Acquire:
        """How a spectrum is taken."""
        return Acquire(mode="EELS", fov_nm=self.fov_nm / 4, pixels_x=8, pixels_y=8, dwell_s=self.spectrum_s)


def settings_of(given: dict[str, float]) -> CalibrateSettings:
    """Settings from what a user gave; those left out keep their defaults.

    Raises:
        ValueError: naming the one that is out of its bounds.
    """
    settings, errors = decode_table(CalibrateSettings, given, "")
    if settings is None:
        raise ValueError("; ".join(f"--{error.replace('_', '-', 1)}" for error in errors))
    return settings


@dataclass(frozen=True)
class Evidence:
    """What the numbers came from, for pictures and for judging them; None where it was not measured."""

    calibration: Calibration
    moves: moves.Moves
    defocus: defocus.Defocus | None
    images: int


@dataclass(frozen=True)
class Price:
    """The most that a calibration takes: images, electrons, fluence on one place, time on the instrument's clock."""

    images: int
    electrons: float
    fluence_e_per_A2: float
    time_s: float


def price(bench: Bench, settings: CalibrateSettings) -> Price:
    """What a calibration will cost at most, at the beam current that is set."""
    mode, look = bench.image_mode, settings.look
    acquires = [look.acquire(mode)] * moves.images_needed(settings.rounds)
    moved = 3 + 8 * settings.rounds
    if bench.is_scanned:
        acquires += [look.acquire(mode)] * (3 * WARPS)
        acquires += [look.zoomed(ZOOM).acquire(mode)] * defocus.images_needed()
    acquires += [look.zoomed(ZOOM).acquire(mode)] * WARPS
    if settings.grating_nm is not None:
        acquires.append(_grating_look(bench, settings).acquire(mode))
    if "EELS" in bench.capabilities.modes:
        acquires += [settings.spectrum] * SPECTRA
    electrons = fluence = 0.0
    capabilities = bench.capabilities
    stride_s = moves.STRIDE * settings.fov_nm / capabilities.stage_speed_nm_per_s
    # The wait after a move ends with the command that passes its end.
    time_s = moved * ((1 + SETTLED) * capabilities.settle_s + 2 * capabilities.decision_s + stride_s)
    for acquire in acquires:
        command = Command(id="price", acquire=acquire)
        cost = predict(command, bench.start, bench.capabilities)
        electrons += bench.limits.current_bound * cost.electrons
        fluence += bench.limits.current_bound * fluence_e_per_A2(command, bench.start, bench.capabilities)
        time_s += cost.time_s
    return Price(len(acquires), electrons, fluence, time_s)


def calibrate(
    microscope: Microscope,
    limits: Limits,
    settings: CalibrateSettings,
    counts_per_electron: float = 1.0,
    say: Callable[[str], None] = lambda line: None,
) -> Evidence:
    """Measure an instrument; ``say`` is told what it costs before anything moves, and each step.

    Raises:
        NotCalibrated: it would pass a limit, or stage moves cannot be registered: says which step and what to do.
    """
    bench = Bench(microscope, limits, counts_per_electron, say)
    _afford(bench, price(bench, settings))
    say("stage and beam shift: moves there and back")
    wait_s = SETTLED * bench.capabilities.settle_s
    moved = moves.measure_moves(bench, settings.look, wait_s, settings.rounds)
    missing: dict[str, str] = {}
    if moved.beam_shift is None:
        missing["beam_shift_to_specimen"] = "limits.ranges leaves no room for beam_shift_x_nm and beam_shift_y_nm"

    def attempt(name: str, what: str, measure: Callable[[], object]) -> object:
        say(what)
        try:
            return measure()
        except NotCalibrated as error:
            missing[name] = str(error)
            return None

    turn = attempt("scan_rotation_gain", "scan rotation: turned to either side", lambda: _turned(bench, settings.look))
    ratio = attempt("pixel_size_ratio", "two magnifications", lambda: _zoomed(bench, settings.look))
    period = None
    if settings.grating_nm is not None:
        say(f"grating of {settings.grating_nm:g} nm")
        # Asked for by the user: without it the scale would be another one than they think.
        period = _grating(bench, settings)
    lens = attempt("defocus_gain", "through focus at three heights", lambda: _defocus(bench, settings.look))
    zero = attempt("zero_loss_eV", "zero loss", lambda: _zero_loss(bench, settings))
    where = geometry(moved, period)
    found = Calibration(
        instrument=bench.capabilities.name,
        version=bench.capabilities.version,
        reference="stage" if period is None else "grating",
        fov_nm=settings.fov_nm,
        stage_to_specimen=where.stage,
        beam_shift_to_specimen=where.beam_shift,
        pixel_size=where.pixel_size,
        backlash_x_nm=where.backlash_x_nm,
        backlash_y_nm=where.backlash_y_nm,
        pixel_size_ratio=_estimate(ratio),
        scan_rotation_gain=_estimate(turn),
        defocus_gain=lens.gain if isinstance(lens, defocus.Defocus) else None,
        zero_loss_eV=_estimate(zero),
        not_measured=missing,
        electrons=bench.electrons,
        duration_s=bench.microscope.state().clock_s - bench.start.clock_s,
    )
    return Evidence(found, moved, lens if isinstance(lens, defocus.Defocus) else None, bench.images)


def _estimate(found: object) -> Estimate | None:
    return found if isinstance(found, Estimate) else None


def _afford(bench: Bench, asked: Price) -> None:
    """Say what it costs, and refuse what the limits would refuse half way."""
    current = bench.start.optics.beam_current_pA or 0.0
    bench.say(
        f"up to {asked.images} images and spectra at {current:g} pA: {asked.electrons:.3g} electrons, at most "
        f"{asked.fluence_e_per_A2:.3g} e/A^2 on one place, about {asked.time_s / 60:.0f} min"
    )
    for name, value, spent, limit in (
        ("max_electrons", asked.electrons, bench.start.electrons_charged, bench.limits.max_electrons),
        (
            "max_fluence_e_per_A2",
            asked.fluence_e_per_A2,
            bench.start.fluence_max_e_per_A2,
            bench.limits.max_fluence_e_per_A2,
        ),
    ):
        if spent + value > limit:
            raise NotCalibrated(
                f"the calibration would take {value:.4g} on top of {spent:.4g}, limits.{name} = {limit:.4g}: nothing "
                "was begun. Lower the beam current or the dwell, or look with a larger field"
            )


def _turned(bench: Bench, look: Look) -> Estimate:
    """Degrees that the scan turns per degree set, from images turned to either side."""
    allowed = bench.allowed("scan_rotation_deg")
    home = bench.start.go.scan_rotation_deg or 0.0
    if not bench.is_scanned:
        raise NotCalibrated("scan rotation: images are not scanned")
    if allowed is None:
        raise NotCalibrated("scan rotation: limits.ranges has no scan_rotation_deg")
    turn = min(TURN_DEG, (allowed.high - allowed.low) / 2)
    middle = min(max(home, allowed.low + turn), allowed.high - turn)
    found: list[tuple[float, float]] = []
    try:
        for _ in range(WARPS):
            left, right = (bench.image(look, Go(scan_rotation_deg=middle + way * turn)) for way in (-1, 1))
            # Turning the scan one way turns its content the other way, or so it should.
            warp = _either_way("scan rotation", left.counts, right.counts, -2 * turn)
            found.append((-warp.angle_deg.value / (2 * turn), warp.angle_deg.sd / (2 * turn)))
    finally:
        bench.do(Go(scan_rotation_deg=home))
    return _mean(found)


def _either_way(step: str, a: Array, b: Array, angle_deg: float) -> Warp:
    try:
        return warp_between(step, a, b, _turn(angle_deg))
    except NotCalibrated as expected:
        try:
            return warp_between(step, a, b, _turn(-angle_deg))
        except NotCalibrated:
            raise expected from None


def _turn(angle_deg: float) -> Array:
    angle = math.radians(angle_deg)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _zoomed(bench: Bench, look: Look) -> Estimate:
    """Pixel size over what is stated at a narrow field, over the same at the wide one."""
    allowed = bench.allowed("fov_nm")
    if allowed is None or look.fov_nm / ZOOM < allowed.low:
        raise NotCalibrated(f"two magnifications: limits.ranges.fov_nm does not hold {look.fov_nm / ZOOM:g}")
    found = []
    for _ in range(WARPS):
        wide, narrow = bench.image(look), bench.image(look.zoomed(ZOOM))
        warp = warp_between("two magnifications", narrow.counts, wide.counts, np.eye(2) / ZOOM)
        # Content of the narrow field is this much smaller in the wide one: pixels have that ratio.
        found.append((ZOOM * warp.factor.value, ZOOM * warp.factor.sd))
    return _mean(found)


def _mean(found: list[tuple[float, float]], shared_sd: float = 0.0) -> Estimate:
    """The mean of a few measurements, whose error is no less than their scatter says; ``shared_sd`` is in all alike."""
    values, sds = np.array(found).T
    n = len(found)
    # A scatter told by so few has the tails of Student's t.
    scatter = float(values.std(ddof=1)) * math.sqrt((n - 1) / (n - 3))
    own = math.sqrt(float(np.mean(sds**2)))
    return Estimate(value=float(values.mean()), sd=math.hypot(max(own, scatter) / math.sqrt(n), shared_sd))


def _defocus(bench: Bench, look: Look) -> defocus.Defocus:
    mode = bench.image_mode
    if "C10_nm" in bench.capabilities.unresponsive.get(mode, ()):
        raise NotCalibrated(f"defocus: {bench.capabilities.name} says that its {mode} images do not answer to C10")
    if not bench.is_scanned:
        raise NotCalibrated("defocus: through focus, contrast of a camera's images rises and falls more than once")
    return defocus.measure_defocus(bench, look.zoomed(ZOOM))


def _grating_look(bench: Bench, settings: CalibrateSettings) -> Look:
    assert settings.grating_nm is not None
    wanted = grating.PERIODS * settings.grating_nm
    allowed = bench.allowed("fov_nm")
    if allowed is not None:
        wanted = min(max(wanted, allowed.low), allowed.high)
    return Look(fov_nm=wanted, pixels=settings.pixels, dwell_s=settings.dwell_s)


def _grating(bench: Bench, settings: CalibrateSettings) -> Estimate:
    assert settings.grating_nm is not None
    look = _grating_look(bench, settings)
    return grating.pixel_over_stated(bench.image(look).counts, look.pixel_nm, settings.grating_nm)


def _zero_loss(bench: Bench, settings: CalibrateSettings) -> Estimate:
    if "EELS" not in bench.capabilities.modes:
        raise NotCalibrated(f"zero loss: {bench.capabilities.name} has no mode EELS")
    found = []
    for _ in range(SPECTRA):
        seen = bench.do(acquire=settings.spectrum)
        energy = next((axis for axis in seen.axes if axis.unit == "eV"), None)
        if seen.data is None or energy is None:
            raise NotCalibrated("zero loss: no spectrum with an energy axis came")
        reader = SpectrumReader(
            bench.capabilities, energy.offset + energy.scale * np.arange(energy.size, dtype=np.float64)
        )
        counts = np.asarray(seen.data, dtype=np.float64).sum(axis=(0, 1)) / bench.counts_per_electron
        peak = reader.read(counts).zero_loss_eV
        if peak is None:
            raise NotCalibrated(
                f"zero loss: no peak within 30 eV of zero in a spectrum of {counts.sum():.3g} electrons: look for it "
                "with a wider range, or take more electrons"
            )
        found.append((peak.value, peak.sd))
    return _mean(found, POSITION_FLOOR_eV)
