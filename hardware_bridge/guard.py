"""The guard around every instrument: validates, asks safety, charges dose, runs each command id at most once.

In process and behind the server it is the same object, so both reject identically.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec.structs import replace

from hardware_bridge import safety
from hardware_bridge.dose import Charge, DoseLedger, worst_charge
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Capabilities, Command, End, InstrumentState, Limits, Start
from hardware_bridge.microscope import Microscope, gather_from_watch
from hardware_bridge.observation import Observation, Part
from hardware_bridge.read_back import mismatch
from hardware_bridge.slew import SlewLedger
from hardware_bridge.words import validated

_log = logging.getLogger(__name__)

SAFE_STATE = "on-loss-"
"""How the ids of the commands begin that bring the holder to its safe state; nobody else's may."""


class Journal(Protocol):
    """Where intents and results are written before and after the backend sees a command; each raises OSError."""

    def intent(self, command: Command, charge: Charge, before: InstrumentState) -> None:
        """Write, durably, that a command is about to run."""
        ...

    def withdrawn(self, command_id: str) -> None:
        """Write that the backend refused a command before doing anything."""
        ...

    def result(self, end: End, charge: Charge | None) -> None:
        """Write, durably, how a command ended, and what it was charged where that is not what its intent says."""
        ...


@dataclass(frozen=True)
class Settled:
    """A command that was begun: the state before it, and its End; None where it is not known how it ended."""

    command: Command
    before: InstrumentState
    end: End | None


@dataclass
class _Running:
    command: Command
    before: InstrumentState
    charge: Charge
    is_written: bool = True
    why: str = ""
    is_wrong: bool = False
    parts: Iterator[Part] | None = None


class Guard:
    """A Microscope that lets only safe commands through to the one it wraps."""

    def __init__(
        self,
        inner: Microscope,
        limits: Limits,
        journal: Journal | None = None,
        ledger: DoseLedger | None = None,
        settled: Mapping[str, Settled] | None = None,
    ) -> None:
        """Guard ``inner``; ``ledger`` and ``settled`` are what a journal remembers of earlier sessions."""
        self.limits = validated(limits)
        self.ledger = ledger if ledger is not None else DoseLedger(self.limits)
        self._inner = inner
        self._journal = journal
        self._capabilities = validated(inner.describe())
        self._settled: dict[str, Settled] = dict(settled or {})
        self._running: _Running | None = None
        self._repeated: Settled | None = None
        self._slew = SlewLedger(self.limits)
        self._is_stopped = False
        self._blanks = 0

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read back the instrument, with the dose charged so far filled in.

        Raises:
            Malformed: the driver gave something that is no state, such as a position that is not a number.
        """
        return self._with_dose(validated(self._inner.state()))

    def submit(self, command: Command) -> None:
        """Let a command through if it is safe; a repeated id runs nothing and returns its stored result.

        Raises:
            Malformed: the command is not a valid word (NaN included).
            Rejected: it is unsafe, its id was used for another command, or one is still running.
        """
        command, blanks = validated(command), self._blanks
        self._check_idle(command)
        if self._is_stopped:
            raise Rejected("stopped", "id", command.id, "no command after a stop until a new session begins")
        if command.id.startswith(SAFE_STATE):
            raise Rejected("id_reserved", "id", command.id, f"an id that does not begin with {SAFE_STATE}")
        known = self._settled.get(command.id)
        if known is not None:
            self._repeated = _repeat(known, command)
            return
        before = self._blanked_state()
        charge = safety.check(command, self.limits, before, self._capabilities, self.ledger)
        self._slew.check(command, before)
        self._write_intent(command, before)
        self._begin(_Running(command, before, charge), blanks)

    def secure(self, command: Command, timeout_s: float) -> End:
        """Run a command that brings the holder to its safe state, to its end: after a stop too, and with a full disk.

        Raises:
            Rejected: it is outside the limits, or another command is running.
            Unreachable: nothing came for ``timeout_s``.
        """
        command, blanks = validated(command), self._blanks
        self._check_idle(command)
        before = self.state()
        run = _Running(command, before, safety.check(command, self.limits, before, self._capabilities, self.ledger))
        try:
            self._write_intent(command, before)
        except Rejected as error:
            _log.warning("the holder goes to its safe state without a journal: %s", error)
            run.is_written = False
        self._begin(run, blanks)
        *_, end = self.watch(timeout_s)
        assert isinstance(end, End)
        return end

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the running command; its End carries the reconciled dose.

        A watch that was left early is taken up again by the next one. Whatever the instrument raises leaves the command
        unknown: it stays charged in full, and the beam is blanked.
        """
        if self._repeated is not None:
            end = self._repeated.end
            assert end is not None  # _repeat() lets no other through
            self._repeated = None
            yield end
            return
        run = self._running
        if run is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        if run.parts is None:
            run.parts = iter(self._inner.watch(timeout_s))
        while True:
            try:
                part = next(run.parts)
                if isinstance(part, End):
                    part = validated(part)
                self._read_back(run, part)
            except Exception as error:
                self._lose(run)
                if isinstance(error, StopIteration):
                    raise Malformed(f"the instrument gave no End for command {run.command.id}") from None
                raise
            if isinstance(part, End):
                yield self._settle(run, part)
                return
            yield part

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the running command to end and return its window."""
        pending = self._repeated or self._running
        if pending is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, pending.command, pending.before, timeout_s)

    def abandon(self) -> None:
        """Whoever watched the running command could not go on: it is unknown, charged in full, and blanked."""
        if self._running is not None:
            self._lose(self._running)

    def blank(self, why: str = "") -> None:
        """Blank now and end what is running; ``why`` is what its End will give as the reason."""
        run = self._running
        if run is not None:
            run.why = run.why or why
        self._blanks += 1
        self._inner.blank()

    def stop(self) -> None:
        """Blank, abort and refuse further commands until ``begin_session``."""
        self._is_stopped = True
        self.blank()

    def begin_session(self) -> None:
        """Accept commands again after a stop: somebody new has taken over."""
        self._is_stopped = False

    def fate(self, command_id: str) -> End | Literal["running", "not started", "unknown"]:
        """What became of a command: how it ended, or as much as can be known."""
        known = self._settled.get(command_id)
        if known is not None:
            return known.end if known.end is not None else "unknown"
        running = self._running
        return "running" if running is not None and running.command.id == command_id else "not started"

    @property
    def pending(self) -> tuple[Command, InstrumentState] | None:
        """The command that was submitted last and has not been gathered, and the state before it."""
        pending = self._repeated or self._running
        return None if pending is None else (pending.command, pending.before)

    def _check_idle(self, command: Command) -> None:
        if self._running is not None:
            raise Rejected("busy", "id", command.id, f"command {self._running.command.id} has not been gathered")

    def _blanked_state(self) -> InstrumentState:
        """Read back the instrument; a beam that was left on is blanked, and must then read back as blanked."""
        state = self.state()
        if not state.beam_blanked:
            self._inner.blank()
            state = self.state()
            if not state.beam_blanked:
                raise Rejected("interlock", "beam_blanked", "false", "true before any command")
        return state

    def _begin(self, run: _Running, blanks: int) -> None:
        """Hand a command to the backend; ``blanks`` is how often it had been blanked when the command came."""
        self.ledger.add(run.charge)
        self._repeated = None
        self._running = run
        try:
            self._inner.submit(run.command)
        except (Rejected, Malformed):
            # The backend refused before doing anything, so nothing was exposed.
            self.ledger.refund(run.charge, 0.0)
            self._running = None
            if self._journal is not None and run.is_written:
                # Where that cannot be written, a restart finds the command unknown and charges it fully.
                with contextlib.suppress(OSError):
                    self._journal.withdrawn(run.command.id)
            raise
        except Exception:
            self._slew.add(run.command, run.before)
            self._lose(run)
            raise
        self._slew.add(run.command, run.before)
        if blanks != self._blanks:
            # Somebody blanked or stopped while this command was being checked and written: that must end it too.
            self._inner.blank()

    def _write_intent(self, command: Command, before: InstrumentState) -> None:
        if self._journal is None:
            return
        try:
            self._journal.intent(command, self._worst(command, before), before)
        except OSError as error:
            raise Rejected("journal", "id", command.id, f"a journal that can be written ({error})") from error

    def _read_back(self, run: _Running, part: Part) -> None:
        """See, before anything is exposed, that the instrument took what it was told and that its interlocks hold.

        A move takes its time: a valve may have closed since the command was checked. Blank where either is wrong.
        """
        is_moved = isinstance(part, End) and run.command.acquire is None and not part.aborted
        if isinstance(part, Start) or is_moved:
            state = self.state()
            why = mismatch(run.command, state, self._capabilities.read_back_tolerance) or _open_interlock(part, state)
            if why:
                run.is_wrong = True
                self.blank(why)

    def _settle(self, run: _Running, end: End) -> End:
        acquire, real = run.command.acquire, None
        if acquire is not None and acquire.blanked:
            # Where the beam was on though it was to be off, that is charged as if it had been asked for.
            real = self._worst(run.command, run.before) if end.electrons > 0.0 else run.charge
            self.ledger.book(real, self.ledger.share_used(real, end))
        else:
            self.ledger.refund(run.charge, self.ledger.share_used(run.charge, end))
        is_aborted = end.aborted or run.is_wrong
        reason = run.why if is_aborted and run.why else end.reason
        end = replace(end, state=self._with_dose(end.state), aborted=is_aborted, reason=reason)
        self._settled[run.command.id] = Settled(run.command, run.before, end)
        self._running = None
        if not end.state.beam_blanked:
            # A probe parked on the specimen between two commands is dose that nobody charged.
            self._inner.blank()
        if self._journal is not None and run.is_written:
            with contextlib.suppress(OSError):
                self._journal.result(end, real)
        return end

    def _worst(self, command: Command, before: InstrumentState) -> Charge:
        return worst_charge(command, self.limits, before, self._capabilities)

    def _lose(self, run: _Running) -> None:
        if run.command.acquire is not None and run.command.acquire.blanked:
            self.ledger.book(self._worst(run.command, run.before), 1.0)
        self._settled[run.command.id] = Settled(run.command, run.before, None)
        self._running = None
        self._inner.blank()

    def _with_dose(self, state: InstrumentState) -> InstrumentState:
        return replace(
            state,
            electrons_charged=self.ledger.electrons,
            fluence_max_e_per_A2=float(self.ledger.fluence_e_per_A2.max()),
        )


def _open_interlock(part: Part, state: InstrumentState) -> str:
    """Which interlock opened before a Start, in words; empty where none did."""
    if isinstance(part, Start):
        try:
            safety.check_interlocks(part.mode, state.interlocks)
        except Rejected as error:
            return str(error)
    return ""


def _repeat(known: Settled, command: Command) -> Settled:
    if known.command != command:
        raise Rejected("id_reused", "id", command.id, "an id stands for one command only")
    if known.end is None:
        raise Rejected("unknown", "id", command.id, "it was begun and how it ended is not known: use a new id")
    return known
