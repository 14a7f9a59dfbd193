"""Every side effect of a bridge, counted, and a crash right before any of them.

Effects are: what the journal does to its file, each word written to the beam's lines, each charge and refund, what the
instrument is asked, each part it gives, and each message sent. After the crash nothing has an effect any more, whatever
unwinds: so ends a process that is killed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from experiments.bridge_faults.instrument import Instrument
from experiments.bridge_faults.stepped import Line
from hardware_bridge.blanker import Blanker
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.dose import DoseLedger
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Command, End
from hardware_bridge.observation import Chunk, Part

REFUSED, FAILING = "refused", "failing"
WORDS = ("open", "open since", "pulled", "pulled since", "bridge lives", "supervisor lives")


class Crash(BaseException):
    """The process is gone."""


class Tracer:
    """Counts effects; at number ``crash_at`` it crashes instead. ``effects`` are those that happened.

    ``synced`` is how many bytes of the journal are sure to be on disk.
    """

    def __init__(self, crash_at: int | None = None) -> None:
        self.effects: list[str] = []
        self.is_dead = False
        self.synced = 0
        self._crash_at = crash_at
        self._descriptors: set[int] = set()
        self._thread = threading.get_ident()

    def effect(self, name: str) -> bool:
        """An effect is about to happen: False where it must not, because everything is over."""
        if threading.get_ident() != self._thread:
            return True  # another bridge, in a thread of its own
        if self.is_dead:
            return False
        if len(self.effects) == self._crash_at:
            self.is_dead = True
            raise Crash
        self.effects.append(name)
        return True

    @contextlib.contextmanager
    def tracing(self) -> Iterator[None]:
        """Trace what any bridge does meanwhile; at the end all files that it had open are closed."""
        with contextlib.ExitStack() as stack:
            for owner, name, label in (
                (Line, "send_multipart", "send"),
                (DoseLedger, "add", "charge"),
                (DoseLedger, "refund", "refund"),
            ):
                stack.enter_context(patch.object(owner, name, self._traced(getattr(owner, name), label)))
            stack.enter_context(patch.object(Blanker, "_set", self._beam(Blanker._set)))
            stack.enter_context(patch("hardware_bridge.journal.os", _TracedOs(self)))
            try:
                yield
            finally:
                for descriptor in self._descriptors:
                    os.close(descriptor)

    def opened(self, descriptor: int) -> None:
        """A file was opened, and must be closed even after a crash."""
        self._descriptors.add(descriptor)

    def closed(self, descriptor: int) -> None:
        """A file was closed in good order."""
        self._descriptors.discard(descriptor)

    def _traced(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        def traced(owner: object, *args: object, **kwargs: object) -> object:
            return function(owner, *args, **kwargs) if self.effect(label) else None

        return traced

    def _beam(self, function: Callable[..., None]) -> Callable[..., None]:
        def traced(blanker: Blanker, word: int, value: int) -> None:
            if self.effect(f"beam: {WORDS[word]}"):
                function(blanker, word, value)

        return traced


class _TracedOs:
    """Stands where the journal sees the module ``os``."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: os.PathLike[str], flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        self._tracer.opened(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._tracer.closed(descriptor)
        os.close(descriptor)

    def write(self, descriptor: int, data: bytes) -> int:
        kind = data[26:].split(b'"')[0].decode()
        return os.write(descriptor, data) if self._tracer.effect(f"journal: write {kind}") else 0

    def ftruncate(self, descriptor: int, length: int) -> None:
        if self._tracer.effect("journal: truncate"):
            os.ftruncate(descriptor, length)

    def fdatasync(self, descriptor: int) -> None:
        if self._tracer.effect("journal: sync"):
            os.fdatasync(descriptor)
            self._tracer.synced = os.fstat(descriptor).st_size

    def fsync(self, descriptor: int) -> None:
        if self._tracer.effect("journal: sync folder"):
            os.fsync(descriptor)


class TracedInstrument(Instrument):
    """The instrument, which outlives its bridge; ``ended`` are the commands that it ended, ``exposed`` the electrons.

    It refuses the command ``refused``, and breaks off in the middle of ``failing``.
    """

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.ended: dict[str, End] = {}
        self.exposed = 0.0
        self.tracer = tracer

    def submit(self, command: Command) -> None:
        """Accept a command."""
        if command.id == REFUSED:
            raise Rejected("driver", "id", command.id, "nothing of this kind today")
        if self.tracer.effect("instrument: submit"):
            super().submit(command)

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the command."""
        for part in super().watch(timeout_s):
            if isinstance(part, Chunk):
                current_pA = self.state().optics.beam_current_pA or 0.0
                self.exposed += current_pA * (part.header.end_s - part.header.start_s) * ELECTRONS_PER_PA_S
            elif isinstance(part, End):
                self.ended[part.command_id] = part
            self.tracer.effect(f"instrument: {type(part).__name__}")
            if isinstance(part, Chunk) and part.header.command_id == FAILING:
                raise OSError("the detector is gone")
            yield part

    def blank(self) -> None:
        """Blank and end what runs."""
        if self.tracer.effect("instrument: blank"):
            super().blank()
