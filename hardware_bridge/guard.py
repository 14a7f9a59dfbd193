"""The guard around every instrument: validates, asks safety, charges dose, runs each command id at most once.

In process and behind the server it is the same object, so both reject identically.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec.structs import replace

from hardware_bridge import safety
from hardware_bridge.dose import Charge, DoseLedger
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Capabilities, Command, End, InstrumentState, Limits
from hardware_bridge.microscope import Microscope, gather_from_watch
from hardware_bridge.observation import Observation, Part
from hardware_bridge.words import validated


class Journal(Protocol):
    """Where intents and results are written before and after the backend sees a command."""

    def intent(self, command: Command, charge: Charge) -> None:
        """Write, durably, that a command is about to run."""
        ...

    def result(self, end: End) -> None:
        """Write, durably, how a command ended."""
        ...


class Guard:
    """A Microscope that lets only safe commands through to the one it wraps."""

    def __init__(
        self, inner: Microscope, limits: Limits, journal: Journal | None = None, ledger: DoseLedger | None = None
    ) -> None:
        self.limits = validated(limits)
        self.ledger = ledger if ledger is not None else DoseLedger(self.limits)
        self._inner = inner
        self._journal = journal
        self._capabilities = inner.describe()
        self._results: dict[str, tuple[Command, End]] = {}
        self._running: tuple[Command, Charge, InstrumentState] | None = None
        self._repeated: tuple[Command, InstrumentState] | None = None

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read back the instrument, with the dose charged so far filled in."""
        return self._with_dose(self._inner.state())

    def submit(self, command: Command) -> None:
        """Let a command through if it is safe; a repeated id runs nothing and returns its stored result.

        Raises:
            Malformed: the command is not a valid word (NaN included).
            Rejected: it is unsafe, its id was used for another command, or one is still running.
        """
        command = validated(command)
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running[0].id} has not been gathered")
        known = self._results.get(command.id)
        if known is not None:
            if known[0] != command:
                raise Rejected("id_reused", "id", command.id, "an id stands for one command only")
            self._repeated = (command, self.state())
            return
        state = self.state()
        charge = safety.check(command, self.limits, state, self._capabilities, self.ledger)
        if self._journal is not None:
            self._journal.intent(command, charge)
        self.ledger.add(charge)
        self._running = (command, charge, state)
        try:
            self._inner.submit(command)
        except Rejected:
            # The backend refused before doing anything, so nothing was exposed.
            self.ledger.refund(charge, 0.0)
            self._running = None
            raise

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the running command; its End carries the reconciled dose."""
        if self._repeated is not None:
            command, _ = self._repeated
            self._repeated = None
            yield self._results[command.id][1]
            return
        if self._running is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        command, charge, _ = self._running
        for part in self._inner.watch(timeout_s):
            if isinstance(part, End):
                self.ledger.refund(charge, part.beam_on_share)
                end = replace(part, state=self._with_dose(part.state))
                if self._journal is not None:
                    self._journal.result(end)
                self._results[command.id] = (command, end)
                self._running = None
                yield end
                return
            yield part

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the running command to end and return its window."""
        pending = self._repeated or self._running
        if pending is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, pending[0], pending[-1], timeout_s)

    def blank(self) -> None:
        """Blank now and end what is running."""
        self._inner.blank()

    def stop(self) -> None:
        """Blank, abort and refuse further commands."""
        self._inner.stop()

    def _with_dose(self, state: InstrumentState) -> InstrumentState:
        return replace(
            state,
            electrons_charged=self.ledger.electrons,
            fluence_max_e_per_A2=float(self.ledger.fluence_e_per_A2.max()),
        )
