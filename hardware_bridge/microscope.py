"""The one Protocol that every instrument implements: the twin, the wire client, and any driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from hardware_bridge.messages import Capabilities, Command, InstrumentState
from hardware_bridge.observation import Observation, Part, collect


@runtime_checkable
class Microscope(Protocol):
    """An instrument, or something that behaves like one.

    One command at a time: ``submit`` accepts it (or refuses it and nothing moves), ``watch`` yields its parts as they
    come and ends after its End. ``blank`` and ``stop`` may be called from any thread at any time and take effect
    between two chunks at the latest; the running command then ends early with ``aborted`` set.
    """

    def describe(self) -> Capabilities:
        """Say what the instrument can do; constant while it runs."""
        ...

    def state(self) -> InstrumentState:
        """Read back where everything is."""
        ...

    def submit(self, command: Command) -> None:
        """Accept a command for execution.

        Raises:
            Malformed: a field is missing, of a wrong type or not finite.
            Rejected: outside what is safe, or another command is still running; nothing moved.
            Unreachable: no answer from the instrument.
        """
        ...

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the submitted command, ending with its End.

        ``timeout_s`` bounds the silence between two parts.

        Raises:
            Unreachable: nothing came for ``timeout_s``.
        """
        ...

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the submitted command to end and return the window since it was submitted.

        Raises:
            Unreachable: nothing came for ``timeout_s``.
        """
        ...

    def blank(self) -> None:
        """Blank the beam now and end what is running; the instrument stays ready for the next command."""
        ...

    def stop(self) -> None:
        """Blank, abort and refuse every further command until a new session begins."""
        ...


def execute(microscope: Microscope, command: Command, timeout_s: float) -> Observation:
    """Submit one command and gather what it gave; raises what ``submit`` and ``gather`` raise."""
    microscope.submit(command)
    return microscope.gather(timeout_s)


def gather_from_watch(
    microscope: Microscope, command: Command, before: InstrumentState, timeout_s: float
) -> Observation:
    """Implement ``gather`` on top of ``watch``: collect the parts of one command."""
    return collect(command, before, microscope.watch(timeout_s))
