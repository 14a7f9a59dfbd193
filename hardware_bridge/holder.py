"""The holder as a device of its own behind the same bridge: its electronics are not the column's.

``WithHolder`` makes one instrument of a column and a holder. The holder is read all through a command, and every
reading carries the instrument's clock, so that images and what drove the specimen can be laid over each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from msgspec.structs import replace

from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Capabilities, Command, End, Holder, InstrumentState, Reading, Start
from hardware_bridge.microscope import Microscope, gather_from_watch
from hardware_bridge.observation import Chunk, Observation, Part

READ_EVERY_S = 0.5
MOST_READINGS = 500


@runtime_checkable
class HolderDevice(Protocol):
    """The electronics of a holder. Only the thread that runs the instrument calls it."""

    def channels(self) -> tuple[str, ...]:
        """The fields of ``Holder`` that it has; constant."""
        ...

    def set(self, points: Holder) -> None:
        """Take set points; what is None stays as it is. Raises Rejected, or whatever its connection raises."""
        ...

    def read(self) -> Holder:
        """What it measures now, in its channels."""
        ...


class WithHolder:
    """A Microscope made of a column and a holder device; ``state`` tells what the holder measures, not what was set."""

    def __init__(self, column: Microscope, holder: HolderDevice) -> None:
        self._column, self._holder = column, holder
        self._pending: tuple[Command, InstrumentState] | None = None

    def describe(self) -> Capabilities:
        """Say what the instrument can do, the holder's channels among it."""
        return replace(self._column.describe(), holder_channels=self._holder.channels())

    def state(self) -> InstrumentState:
        """Read back column and holder."""
        state = self._column.state()
        return replace(state, holder=_over(state.holder, self._holder.read()))

    def submit(self, command: Command) -> None:
        """Accept a command; raises Rejected for a channel that the holder does not have, and what the column raises."""
        for channel in Holder.__struct_fields__:
            if getattr(command.set.holder, channel) is not None and channel not in self._holder.channels():
                has = ", ".join(self._holder.channels())
                raise Rejected("channel", f"set.holder.{channel}", "set", f"this holder has {has}")
        before = self.state()
        self._column.submit(command)
        self._pending = (command, before)

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the command; its End carries what the holder read meanwhile."""
        assert self._pending is not None
        command, before = self._pending
        self._holder.set(command.set.holder)
        readings = _Readings(self._holder)
        readings.take(before.clock_s)
        for part in self._column.watch(timeout_s):
            if isinstance(part, End):
                readings.take(part.end_s)
                holder = _over(part.state.holder, self._holder.read())
                part = replace(part, readings=readings.taken(), state=replace(part.state, holder=holder))
            elif isinstance(part, Start):
                readings.take(part.start_s)
            elif isinstance(part, Chunk):
                readings.take(part.header.end_s)
            yield part

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the command to end and return its window."""
        assert self._pending is not None
        return gather_from_watch(self, *self._pending, timeout_s)

    def blank(self) -> None:
        """Blank the beam and end what is running; the holder stays as it is."""
        self._column.blank()

    def stop(self) -> None:
        """Blank and stop; what becomes of the holder is decided by ``Limits.on_loss``."""
        self._column.stop()


class _Readings:
    """Readings at most every ``READ_EVERY_S``, thinned out where a command is so long that there would be too many."""

    def __init__(self, holder: HolderDevice) -> None:
        self._holder = holder
        self._every_s = READ_EVERY_S
        self._taken: list[Reading] = []

    def take(self, clock_s: float) -> None:
        """Read now, if it is time; ``clock_s`` is the instrument's."""
        if self._taken and clock_s - self._taken[-1].clock_s < self._every_s:
            return
        self._taken.append(Reading(clock_s=clock_s, holder=self._holder.read()))
        if len(self._taken) > MOST_READINGS:
            self._taken, self._every_s = self._taken[::2], 2.0 * self._every_s

    def taken(self) -> tuple[Reading, ...]:
        """All readings, in the order of their times."""
        return tuple(self._taken)


def _over(column: Holder, read: Holder) -> Holder:
    """What the column says of the holder, with what the holder itself measures laid over it."""
    measured = {name: value for name in read.__struct_fields__ if (value := getattr(read, name)) is not None}
    return replace(column, **measured)
