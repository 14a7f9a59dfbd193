"""The same calibration at instruments that nobody here wrote, each behind its bridge, beside what they really are.

Needs their environments (`make foreign`).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.assemble import BARE
from agent.calibrate.bench import NotCalibrated
from agent.calibrate.procedure import CalibrateSettings, Evidence, calibrate
from agent.config import load
from experiments.foreign import ROOT, python_of, served
from experiments.foreign_detwin.running import microscope
from experiments.foreign_detwin.study import NOMINAL_FOV_NM
from hardware_bridge.calibration import Calibration, rotation_deg
from hardware_bridge.client import Client
from hardware_bridge.messages import Command, Go
from hardware_bridge.microscope import execute
from hardware_bridge.report import Estimate

HERE = Path(__file__).parent
USIM = ROOT / "experiments" / "foreign_usim" / "config.toml"
FLAKES, FLAKES_NM, COUNTS_PER_ELECTRON, TRIES = "0", 400.0, 0.09, 4
GOLD_SEED, GOLD_PIXELS, GOLD_S = 3, 512, 0.5
ASIDE_NM = ((0.0, 0.0), (1000.0, 0.0), (0.0, 1000.0), (-1000.0, 0.0), (0.0, -1000.0))
SENSOR_PIXELS = 1024
GOLD_BACKLASH_NM = 300.0
MATRIX = ("xx", "xy", "yx", "yy")
NUMBERS = {
    "pixel_size": "pixel size over stated",
    "pixel_size_ratio": "the same, half the field over the whole",
    "scan_rotation_gain": "scan rotation gain",
    "backlash_x_nm": "backlash x, nm",
    "backlash_y_nm": "backlash y, nm",
    "defocus_gain": "C10 gain, nm/nm",
    "zero_loss_eV": "zero loss, eV",
}
HEAD = """
## Instruments that nobody here wrote

The same command, against their bridges: `python -m experiments.calibrate_instrument foreign`. Off is error over the
stated standard deviation.
"""
USIM_TEXT = """
**Nion Swift's simulator** (usim; flakes; {wall_s:.0f} s; {settings},
since its noise is 0.3 layers and not Poisson's). Its stage and beam shift are exact and it has no drift; its images are
drawn on whole pixels: half a pixel in 400 is 0.12 %, and no noise model knows of it. Where too little stands out of the
noise, the command refuses: {refused} before this time.
"""
DETWIN_TEXT = """
**de-twin** (a TEM; dense gold on holey carbon, seed {seed}; {wall_s:.0f} s; {settings}).
Where its steps lead into a hole of the film, the command refuses with "the images do not match", {refused} before this
place, 1 um apart. Its stage is exact but for its backlash, which is more than two steps. Nothing drifts here that would
hide errors of registration that are alike from step to step.
"""

Truth = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Tried:
    """What was found, how long that took, and how often the command had refused before."""

    found: Calibration
    wall_s: float
    refused: int


@dataclass(frozen=True)
class Foreign:
    """One calibration of a foreign instrument, what it really is where that is known, and how it was looked at."""

    tried: Tried
    true: Truth
    settings: CalibrateSettings


def usim() -> Foreign:
    """Calibrate Nion Swift's simulator. Raises NotInstalled without its environment."""
    settings = CalibrateSettings(fov_nm=FLAKES_NM)
    limits = load(USIM, (), BARE).limits
    with (
        served("usim", "experiments.foreign_usim.serve", str(USIM), "--sample", FLAKES) as endpoint,
        Client(endpoint) as client,
    ):
        tried = _tried(
            lambda: calibrate(client, limits, settings, COUNTS_PER_ELECTRON, _progress), [Go()] * TRIES, client
        )
    true = {
        "stage_to_specimen": (-1.0, 0.0, 0.0, -1.0),
        "beam_shift_to_specimen": (1.0, 0.0, 0.0, 1.0),
        "pixel_size": (1.0,),
        "pixel_size_ratio": (1.0,),
        "scan_rotation_gain": (1.0,),
        "backlash_x_nm": (0.0,),
        "backlash_y_nm": (0.0,),
    }
    return Foreign(tried, true, settings)


def detwin() -> Foreign:
    """Calibrate de-twin. Raises NotInstalled without its environment."""
    settings = CalibrateSettings(fov_nm=NOMINAL_FOV_NM, pixels=GOLD_PIXELS, dwell_s=GOLD_S, rounds=1)
    limits = load(HERE / "detwin.toml", (), BARE).limits
    with (
        tempfile.TemporaryDirectory() as folder,
        microscope(python_of("detwin"), GOLD_SEED) as tem,
        tem.served(Path(folder)) as endpoint,
    ):
        with Client(endpoint) as client:
            home = client.state().go
            places = [
                Go(stage_x_nm=(home.stage_x_nm or 0.0) + x_nm, stage_y_nm=(home.stage_y_nm or 0.0) + y_nm)
                for x_nm, y_nm in ASIDE_NM
            ]
            tried = _tried(lambda: calibrate(client, limits, settings, say=_progress), places, client)
        truth = tem.truth()
    # The content moves with the stage and the axis against it, which is half a turn.
    turn = math.radians(180.0 - truth["image_rotation_deg"])
    true = {
        "stage_to_specimen": (math.cos(turn), -math.sin(turn), math.sin(turn), math.cos(turn)),
        "pixel_size": (truth["pixel_nm"] * SENSOR_PIXELS / NOMINAL_FOV_NM,),
        "backlash_x_nm": (GOLD_BACKLASH_NM,),
        "backlash_y_nm": (GOLD_BACKLASH_NM,),
    }
    return Foreign(tried, true, settings)


def _tried(measure: Callable[[], Evidence], places: Sequence[Go], client: Client) -> Tried:
    """Calibrate at the first of some places that the command does not refuse; raises NotCalibrated if there is none."""
    refused: list[NotCalibrated] = []
    for go in places:
        execute(client, Command(id=f"there-{len(refused)}", go=go), 60.0)
        begun = time.monotonic()
        try:
            return Tried(measure().calibration, time.monotonic() - begun, len(refused))
        except NotCalibrated as error:
            _progress(str(error))
            refused.append(error)
    raise refused[-1]


def page(flakes: Foreign, gold: Foreign) -> str:
    """Both tables as Markdown."""
    flakes_set = f"`--fov-nm {flakes.settings.fov_nm:g}`, {COUNTS_PER_ELECTRON:g} counts per electron"
    view = gold.settings
    gold_set = f"{view.fov_nm:g} nm in {view.pixels} pixels, {view.dwell_s:g} s, `rounds = {view.rounds}`"
    return (
        HEAD
        + USIM_TEXT.format(settings=flakes_set, wall_s=flakes.tried.wall_s, refused=_times(flakes.tried.refused))
        + table(flakes.tried.found, flakes.true)
        + DETWIN_TEXT.format(
            seed=GOLD_SEED, settings=gold_set, wall_s=gold.tried.wall_s, refused=_times(gold.tried.refused)
        )
        + table(gold.tried.found, gold.true)
    )


def _times(count: int) -> str:
    return {0: "not once", 1: "once"}.get(count, f"{count} times")


def table(found: Calibration, true: Truth) -> str:
    """What was found of one instrument beside what is true, and what was not measured, as Markdown."""
    rows = ["", "| quantity | found | true | off |", "|---|---|---|---|"]
    for name, words in (
        ("stage_to_specimen", "stage to specimen"),
        ("beam_shift_to_specimen", "beam shift to specimen"),
    ):
        matrix = getattr(found, name)
        known = true.get(name, (None,) * 4)
        for element, value, sd, really in zip(MATRIX, matrix.value, matrix.sd, known, strict=True) if matrix else ():
            rows.append(_row(f"{words} {element}", Estimate(value=value, sd=sd), really))
    if found.stage_to_specimen is not None:
        turned, _ = rotation_deg(found.stage_to_specimen)
        a, _, c, _ = true["stage_to_specimen"]
        rows.append(_row("stage against image, deg", turned, math.degrees(math.atan2(c, a))))
    for name, words in NUMBERS.items():
        estimate = getattr(found, name)
        if estimate is not None:
            rows.append(_row(words, estimate, true.get(name, (None,))[0]))
    missing = "".join(f"- not measured: {name}: {why}\n" for name, why in found.not_measured.items())
    return "\n".join(rows) + "\n" + (f"\n{missing}" if missing else "")


def _row(words: str, found: Estimate, really: float | None) -> str:
    digits = max(0, 1 - math.floor(math.log10(found.sd))) if found.sd > 0.0 else 6
    told = f"{found.value:+.{digits}f} ± {found.sd:.{digits}f}"
    if really is None:
        return f"| {words} | {told} | not known | |"
    off = f"{_turned(found.value - really, words) / found.sd:+.1f}" if found.sd > 0.0 else ""
    return f"| {words} | {told} | {really:+.{digits}f} | {off} |"


def _turned(difference: float, words: str) -> float:
    """A difference; of angles the smaller way round."""
    return (difference + 180.0) % 360.0 - 180.0 if words.endswith("deg") else difference


def _progress(line: str) -> None:
    print(f"... {line}", flush=True)
