"""The instrument as a calibration uses it: looking, waiting, comparing two images, and saying why it does not work."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from agent.perception.registration import LEAST_PEAK, LEAST_PROMINENCE, Shift, best_match, shift_between
from agent.perception.scan import Array, Scan, scan_of
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import Point
from hardware_bridge.messages import SCANNED_MODES, Acquire, Command, Go, Limits, Mode, Optics, Range, Settings
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Observation
from hardware_bridge.words import Positive, Size, Word

SILENCE_S = 60.0
IMAGES: tuple[Mode, ...] = ("HAADF", "ABF", "BF", "HRTEM")


class NotCalibrated(RuntimeError):
    """A step of the calibration cannot be done; says which, why, and what to do."""


class Look(Word, frozen=True, kw_only=True):
    """How to look: stated width of the square field, pixels along an edge, dwell (or exposure) in s."""

    fov_nm: Positive
    pixels: Size
    dwell_s: Positive

    def acquire(self, mode: Mode) -> Acquire:
        """One frame of it."""
        return Acquire(mode=mode, fov_nm=self.fov_nm, pixels_x=self.pixels, pixels_y=self.pixels, dwell_s=self.dwell_s)

    def zoomed(self, factor: float) -> Look:
        """The same with a field that is smaller by a factor."""
        return Look(fov_nm=self.fov_nm / factor, pixels=self.pixels, dwell_s=self.dwell_s)

    @property
    def pixel_nm(self) -> float:
        """Edge of a pixel, as stated."""
        return self.fov_nm / self.pixels


@dataclass
class Bench:
    """A microscope, the limits that it is used within, and what was spent on it."""

    microscope: Microscope
    limits: Limits
    counts_per_electron: float = 1.0
    say: Callable[[str], None] = lambda line: None
    electrons: float = 0.0
    images: int = 0
    _made: int = 0
    _name: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        self.capabilities = self.microscope.describe()
        self.start = self.microscope.state()

    @property
    def image_mode(self) -> Mode:
        """The first mode that gives images.

        Raises:
            NotCalibrated: there is none.
        """
        for mode in IMAGES:
            if mode in self.capabilities.modes:
                return mode
        raise NotCalibrated(f"{self.capabilities.name} has no mode of {', '.join(IMAGES)}: there are no images to use")

    @property
    def is_scanned(self) -> bool:
        """Whether images are scanned."""
        return self.image_mode in SCANNED_MODES

    def allowed(self, name: str) -> Range | None:
        """The range in which the limits let a setting be commanded, None where they do not."""
        return self.limits.ranges.get(name)

    def do(self, go: Go = Go(), optics: Optics = Optics(), acquire: Acquire | None = None) -> Observation:  # noqa: B008
        """Execute one command.

        Raises:
            NotCalibrated: a wall of the instrument stands in the way, or the beam was blanked under way.
        """
        self._made += 1
        command = Command(
            id=f"calibrate-{self._name}-{self._made:04d}", go=go, set=Settings(optics=optics), acquire=acquire
        )
        try:
            seen = execute(self.microscope, command, SILENCE_S)
        except Rejected as error:
            raise NotCalibrated(f"the instrument refuses a move or an image: {error}") from None
        self.electrons += seen.electrons
        self.images += acquire is not None
        if seen.aborted:
            raise NotCalibrated(f"the beam was blanked in the middle of an image: {seen.reason}")
        return seen

    def image(self, look: Look, go: Go = Go(), optics: Optics = Optics()) -> Scan:  # noqa: B008
        """Go, set and take one image.

        Raises:
            NotCalibrated: no image came.
        """
        scan = scan_of(self.do(go, optics, look.acquire(self.image_mode)), self.capabilities, self.counts_per_electron)
        if scan is None:
            raise NotCalibrated("an image did not arrive, or is too small (16 pixels are needed)")
        return scan

    def wait(self, seconds: float) -> None:
        """Let the instrument's clock go on, blanked: in stepped time by commands that do nothing."""
        if self.capabilities.time == "real":
            self.microscope.blank()
            time.sleep(seconds)
            return
        until = self.microscope.state().clock_s + seconds
        while until > (before := self.microscope.state().clock_s):
            if self.do().end_s <= before:
                return

    def shift(self, step: str, first: Scan, second: Scan, guess: Point, reach: float = math.inf) -> Shift:
        """How far the content of the second image lies from that of the first, in pixels, within reach of a guess.

        Raises:
            NotCalibrated: nothing stands out, or more than one shift would do.
        """
        found = shift_between(first.counts, second.counts, guess, reach)
        peak = best_match(first.counts, second.counts, guess, reach)
        if found is None and peak is not None:
            # Where the guess was off, more of both images shows the same about the best match, if it is the right one.
            there = peak.rows, peak.columns
            found = shift_between(first.counts, second.counts, there)
            peak = best_match(first.counts, second.counts, there) or peak
        if found is not None:
            return found
        if peak is None:
            raise NotCalibrated(
                f"{step}: the two images hardly overlap; was the stage moved farther than asked, or the field smaller "
                "than stated?"
            )
        if peak.height >= LEAST_PEAK and peak.prominence >= LEAST_PROMINENCE:
            raise NotCalibrated(
                f"{step}: the images match, but too little in them stands out of the noise to tell the shift to a "
                "fraction of a pixel. Is perception.settings.counts_per_electron right? Else take more electrons"
            )
        raise NotCalibrated(
            f"{step}: the images do not match, or in more than one way: the best match is {peak.height:.1f} times the "
            f"noise of the correlation (at least {LEAST_PEAK:g} is needed) and {peak.prominence:.1f} times the next "
            f"best ({LEAST_PROMINENCE:g}). The specimen shows too little here, or repeats itself: look at another "
            "place, in focus, with a larger field or more electrons"
        )

    def moved_nm(self, shift: Shift, look: Look) -> tuple[Array, Array]:
        """How far the field went, as (x, y) in nm of the image as stated, and its error."""
        pixel = look.pixel_nm
        return -pixel * np.array([shift.columns, shift.rows]), pixel * np.array([shift.columns_sd, shift.rows_sd])
