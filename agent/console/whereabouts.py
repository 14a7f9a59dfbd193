"""How far the specimen has drifted since people were asked: low-dose images of a place that was seen before tell it.

The last image before a question is the reference. While an answer is awaited, or right after it, the same field is
taken again with a fraction of its dose, and how far its content has moved since is how far a command that was proposed
then has to be moved now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs

from agent.perception.registration import shift_between
from agent.perception.scan import Array, Scan, scan_of
from hardware_bridge.geometry import Point, beam_shift_for, merged, stage_for
from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits
from hardware_bridge.observation import Observation

FINDING = "finding"
"""How the ids of the low-dose images begin."""

DRIFTS_nm_per_s = 1.0
"""What a specimen may drift unseen: an assumption of this console, as the next two are."""

UNSEEN, UNFINDABLE = 0.02, 0.1
"""Shares of a field's width by which it may have drifted unseen: where it can be looked for, and where it cannot."""

LOW = (0.125, 0.5, 1.0)
"""Shares of the reference's dwell, the first of which that is enough to find its place again is used."""


@dataclass(frozen=True)
class _Image:
    command: Command
    scan: Scan


class Whereabouts:
    """Where things are that were seen before a question. Give ``see`` every observation."""

    def __init__(self, capabilities: Capabilities, limits: Limits) -> None:
        self._capabilities, self._limits = capabilities, limits
        self._newest: _Image | None = None
        self._reference: _Image | None = None
        self._held = False
        self._seen_s = -math.inf
        self._since_s: float | None = None
        self._share: float | None = None
        self._drifted_nm: Point = (0.0, 0.0)
        self._before_nm: Point = (0.0, 0.0)
        self._found = ""

    def see(self, observation: Observation) -> None:
        """Take an image for the reference of later ones, or a low-dose image for what it tells against it."""
        acquire = observation.command.acquire
        if observation.kind != "frame" or acquire is None or acquire.blanked or not observation.row_seen.all():
            return
        scan = scan_of(observation, self._capabilities, 1.0)
        if scan is None:
            return
        image = _Image(observation.command, _counted(scan))
        if observation.command.id.startswith(FINDING):
            self._compare(image)
            return
        self._newest = image
        if not self._held:
            self._begin(image)

    def hold(self, clock_s: float) -> None:
        """A question is put, about places as they were seen last: what drifts from here on counts."""
        self._held = True
        if self._share is None and self._reference is not None:
            counts = self._reference.scan.counts
            self._share = next((share for share in LOW if _can_be_found(counts, share)), 0.0)
        if self._since_s is None:  # else nothing was seen since the question before, and its places are this one's
            self._since_s, self._before_nm = clock_s, self._drifted_nm

    def release(self) -> None:
        """No question waits any more: the newest image is the reference of the next."""
        self._held = False
        if self._newest is not None and self._newest is not self._reference:
            self._begin(self._newest)
        elif self._since_s is not None and self._seen_s > self._since_s:
            self._since_s = None

    def rebase(self, clock_s: float) -> None:
        """A question is put again, about places as they are now."""
        self._since_s, self._before_nm = clock_s, self._drifted_nm

    @property
    def drifted_nm(self) -> Point:
        """How far what was seen has moved, in the instrument's coordinates, since the question was put."""
        return self._drifted_nm[0] - self._before_nm[0], self._drifted_nm[1] - self._before_nm[1]

    def is_doubtful(self, width_nm: float, clock_s: float) -> bool:
        """Whether a field of this width may have drifted too far unseen, since the question or the last look after."""
        if self._reference is None:
            return False  # nothing was seen before, so nothing that was seen has moved
        unseen_s = clock_s - max(self._seen_s, self._since_s if self._since_s is not None else clock_s)
        share = UNSEEN if self._share else UNFINDABLE
        return DRIFTS_nm_per_s * unseen_s > share * (width_nm or self._reference.scan.size_nm[0])

    def low_dose(self, name: str) -> Command | None:
        """The command that looks at the reference's field again, at low dose; None where there is none."""
        if self._reference is None:
            return None
        command = self._reference.command
        assert command.acquire is not None
        allowed = self._limits.ranges.get("dwell_s")
        dwell_s = max((self._share or LOW[0]) * command.acquire.dwell_s, allowed.low if allowed is not None else 0.0)
        acquire = structs.replace(command.acquire, dwell_s=dwell_s, max_frames=1)
        return structs.replace(command, id=f"{FINDING}-{name}"[:64], acquire=acquire)

    @property
    def can_be_found(self) -> bool:
        """Whether the reference holds enough to be found again."""
        return bool(self._share)

    def found(self, command: Command) -> bool:
        """Whether the low-dose image of this command told how far things have moved."""
        return self._found == command.id

    def moved(self, command: Command, state: InstrumentState) -> Command:
        """The command, for where what it is about is now: by beam shift where its range reaches, else by the stage."""
        x_nm, y_nm = self.drifted_nm
        go = merged(state.go, command.go)
        ranges, able = self._limits.ranges, self._capabilities
        by = beam_shift_for((x_nm, y_nm), able)
        shift = (go.beam_shift_x_nm or 0.0) + by[0], (go.beam_shift_y_nm or 0.0) + by[1]
        allowed = ranges.get("beam_shift_x_nm"), ranges.get("beam_shift_y_nm")
        if all(each and each.low <= to <= each.high for each, to in zip(allowed, shift, strict=True)):
            changed = structs.replace(command.go, beam_shift_x_nm=shift[0], beam_shift_y_nm=shift[1])
        else:
            to_x, to_y = stage_for((x_nm, y_nm), able)
            stage = (go.stage_x_nm or 0.0) + to_x, (go.stage_y_nm or 0.0) + to_y
            changed = structs.replace(command.go, stage_x_nm=stage[0], stage_y_nm=stage[1])
        return structs.replace(command, go=changed)

    def _begin(self, image: _Image) -> None:
        self._reference, self._drifted_nm, self._seen_s = image, (0.0, 0.0), image.scan.end_s
        self._before_nm, self._since_s, self._share = (0.0, 0.0), None, None

    def _compare(self, image: _Image) -> None:
        if self._reference is None:
            return
        a, b = self._reference.scan, image.scan
        shift = shift_between(a.counts, b.counts)
        if shift is None:
            return
        angle, pixel_nm = math.radians(b.rotation_deg), b.pixel_nm
        x_nm, y_nm = pixel_nm * shift.columns, pixel_nm * shift.rows
        self._drifted_nm = (
            math.cos(angle) * x_nm - math.sin(angle) * y_nm,
            math.sin(angle) * x_nm + math.cos(angle) * y_nm,
        )
        self._seen_s, self._found = b.end_s, image.command.id


def _counted(scan: Scan) -> Scan:
    """The image in electrons by its own noise, which is Poisson's: gain need not be known.

    What differs between the diagonals of 2 x 2 pixels is noise, but for edges, which only make it look worse.
    """
    counts = scan.counts
    across = 0.5 * (counts[1:, 1:] - counts[1:, :-1] - counts[:-1, 1:] + counts[:-1, :-1])
    mean, variance = float(counts.mean()), float((across**2).mean())
    return replace(scan, counts=counts * (mean / variance)) if mean > 0.0 and variance > 0.0 else scan


def _can_be_found(counts: Array, share: float) -> bool:
    """Whether an image with a share of the dose would be found in this one: tried with its electrons, split in two."""
    whole = np.rint(np.maximum(counts, 0.0)).astype(np.int64)
    fewer = np.random.default_rng(0).binomial(whole, share / (1.0 + share))
    return shift_between((whole - fewer).astype(np.float64), fewer.astype(np.float64)) is not None
