"""The pre-trigger ring: keeps the last frames in memory, and at an event has those before and after it written."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.perception.whole_frames import Frames
from agent.spool import Parcel, Spool, Writing
from hardware_bridge.messages import Start


@dataclass(frozen=True)
class Span:
    """How long before and after an event frames are saved, in s of the instrument's clock.

    ``memory_bytes`` bounds the frames in memory, those that wait to be written included.
    """

    before_s: float
    after_s: float
    memory_bytes: float


class PreTrigger:
    """For one acquisition: ``keep`` every frame as it comes, then ``end``. No frame is saved twice."""

    def __init__(self, span: Span, spool: Spool, start: Start) -> None:
        self._span, self._spool, self._start = span, spool, start
        self._ring: deque[Frames] = deque()
        self._ring_bytes = 0
        self._pushed_out: deque[Frames] = deque()
        self._saving: tuple[float, float] | None = None
        self._clip: Writing | None = None

    @property
    def held_bytes(self) -> int:
        """What is in memory now, to be written or forgotten."""
        return self._ring_bytes + self._spool.waiting_bytes

    def keep(self, frames: Frames, events: Sequence[int]) -> None:
        """Keep frames, whose arrays must not change any more; ``events`` are the numbers of those where one begins."""
        self._ring.append(frames)
        self._ring_bytes += frames.data.nbytes
        for number in events:
            begun_s, ended_s = frames.start_s[number - frames.first], frames.end_s[number - frames.first]
            from_s = self._saving[0] if self._saving else float(begun_s) - self._span.before_s
            self._saving = from_s, float(ended_s) + self._span.after_s
        if self._saving is not None:
            self._save(*self._saving)
        self._make_room(float(frames.end_s[-1]) - self._span.before_s)

    def end(self) -> None:
        """The acquisition is over, and so is what is being saved."""
        if self._clip is not None:
            self._spool.finish(self._clip)
        self._clip = self._saving = None

    def _save(self, from_s: float, until_s: float) -> None:
        """Have all that is kept between two times written; at the later one the clip is whole."""
        while self._ring:
            frames = self._pop()
            # By its middle, a frame is on one side or the other, however the times were rounded.
            first, end = np.searchsorted((frames.start_s + frames.end_s) / 2.0, (from_s, until_s)).tolist()
            if first < end:
                self._put(frames, first, end)
            if end < frames.count:
                rest = Frames(frames.first + end, frames.data[end:], frames.start_s[end:], frames.end_s[end:])
                self._ring.appendleft(rest)
                self._ring_bytes += rest.data.nbytes
                self.end()
                return

    def _put(self, frames: Frames, first: int, end: int) -> None:
        data, number = frames.data[first:end], frames.first + first
        if self._clip is None:
            self._clip = self._spool.open(self._start.command_id, self._start.epoch, data, number)
            from_s = float(frames.start_s[first]) if self._saving is None else self._saving[0]
            self._clip.refused += sum(
                int((gone.start_s + gone.end_s > 2.0 * from_s).sum()) for gone in self._pushed_out
            )
            self._pushed_out.clear()
        parcel = Parcel(number, data, float(frames.start_s[first]), float(frames.end_s[end - 1]))
        self._spool.put(self._clip, parcel, self._span.memory_bytes - self._ring_bytes)

    def _make_room(self, oldest_s: float) -> None:
        """Forget frames that no later event can ask for, and the oldest where memory is short: these are noted."""
        while self._ring and self._ring[0].end_s[-1] < oldest_s:
            self._pop()
        while self._ring and self.held_bytes > self._span.memory_bytes:
            gone = self._pop()
            self._pushed_out.append(Frames(gone.first, gone.data[:0], gone.start_s, gone.end_s))
        while self._pushed_out and self._pushed_out[0].end_s[-1] < oldest_s:
            self._pushed_out.popleft()

    def _pop(self) -> Frames:
        frames = self._ring.popleft()
        self._ring_bytes -= frames.data.nbytes
        return frames
