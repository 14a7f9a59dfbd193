"""Watching while the instrument acquires: every frame is seen as it comes, and an urgent event ends the acquisition.

``Watching.execute`` takes the place of ``hardware_bridge.microscope.execute`` in the loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from agent.perception.watcher import Watcher
from agent.perception.whole_frames import ROW, Assembler, Frames
from agent.pretrigger import PreTrigger, Span
from agent.spool import Parcel, Spool, Writing
from hardware_bridge.messages import Command, End, Start
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Chunk, Observation, Part, collect
from hardware_bridge.report import EventKind, FrameEvent

LINES = 4096
"""Lines of the table are written so many at a time, or what there is when an acquisition ends."""

_NO_LINES = np.zeros(0, dtype=ROW)


@dataclass
class Watching:
    """Executes commands under the eyes of a watcher.

    Events of the kinds in ``urgent`` blank the beam and end the acquisition; around those in ``save`` the frames are
    written. The lines of the table always are. A command that repeats the last one goes on with what was learned.
    """

    watcher: Watcher
    spool: Spool
    span: Span
    urgent: Collection[EventKind] = ()
    save: Collection[EventKind] = ()
    _last: Command | None = None

    def execute(self, microscope: Microscope, command: Command, timeout_s: float) -> Observation:
        """Submit a command, watch what it gives and return its window; raises what ``submit`` and ``watch`` raise."""
        before = microscope.state()
        microscope.submit(command)
        events: list[FrameEvent] = []
        same_view = self._last is not None and replace(self._last, id=command.id) == command
        self._last = command
        with closing(self._watched(microscope, microscope.watch(timeout_s), same_view, events)) as parts:
            observation = collect(command, before, parts, with_statistics=False)
        return dataclasses.replace(observation, events=tuple(events))

    def _watched(
        self, microscope: Microscope, parts: Iterable[Part], same_view: bool, events: list[FrameEvent]
    ) -> Generator[Part, None, None]:
        """Pass the parts on and look at each; whoever collects them has told by then where one does not fit."""
        acquisition: _Acquisition | None = None
        try:
            for part in parts:
                if isinstance(part, End) and acquisition is not None:
                    events += acquisition.end()
                yield part
                if isinstance(part, Start):
                    self.watcher.begin(part, same_view)
                    acquisition = _Acquisition(self, part)
                elif isinstance(part, Chunk) and acquisition is not None:
                    known = self._calls(events)
                    events += acquisition.add(part)
                    if self._calls(events) and not known:
                        microscope.blank()
        finally:
            if acquisition is not None:
                acquisition.end()

    def _calls(self, events: Iterable[FrameEvent]) -> bool:
        return any(event.kind in self.urgent for event in events)


class _Acquisition:
    """What is kept of one acquisition while it runs."""

    def __init__(self, watching: Watching, start: Start) -> None:
        self._watching, self._start = watching, start
        self._assembler = Assembler(start)
        self._ring = PreTrigger(watching.span, watching.spool, start)
        self._lines, self._waiting = [_NO_LINES], 0
        self._table: Writing | None = watching.spool.open(start.command_id, start.epoch, _NO_LINES, None)

    def add(self, chunk: Chunk) -> list[FrameEvent]:
        """Take a part; returns what begins in it."""
        return self._see(self._assembler.add(chunk))

    def end(self) -> list[FrameEvent]:
        """No more comes, for whatever reason; may be said twice."""
        if self._table is None:
            return []
        events = self._see(self._assembler.rest())
        self._write_lines()
        self._watching.spool.finish(self._table)
        self._table = None
        self._ring.end()
        return events

    def _see(self, several: Iterable[Frames]) -> list[FrameEvent]:
        found = []
        for frames in several:
            lines, events = self._watching.watcher.see(frames)
            self._ring.keep(frames, [event.frame for event in events if event.kind in self._watching.save])
            self._lines.append(lines)
            self._waiting += len(lines)
            found += events
        if self._waiting >= LINES:
            self._write_lines()
        return found

    def _write_lines(self) -> None:
        """Give the lines to the spool, those of frames that follow each other together."""
        lines = np.concatenate(self._lines)
        self._lines, self._waiting = [_NO_LINES], 0
        assert self._table is not None
        for some in np.split(lines, np.flatnonzero(np.diff(lines["frame"].astype(np.int64)) != 1) + 1):
            if len(some):
                parcel = Parcel(int(some["frame"][0]), some, float(some["start_s"][0]), float(some["end_s"][-1]))
                self._watching.spool.put(self._table, parcel, self._watching.span.memory_bytes)
