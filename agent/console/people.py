"""What people do at a console beside answering its question: hold the lease, say what is asked, pause, steer."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from agent.config import ConfigErrors, outside_limits
from agent.console.audit import Audit, What
from agent.console.lease import Lease
from agent.console.standing import Standing
from agent.console.words import Conflict, Grant, Impossible, Mode, Person
from hardware_bridge.messages import Limits, Range

Check = Callable[[Sequence[str]], None]
"""Raises ConfigErrors for changes of a run that are wrong."""


class People(ABC):
    """Who may decide, and what holds until somebody changes it. ``limits`` may be set to the lab's."""

    def __init__(self, mode: Mode, audit: Audit | None, clock: Callable[[], float]) -> None:
        self.limits: Limits | None = None
        self.standing = Standing(mode)
        self.lease = Lease(clock)
        self.changed: list[Callable[[], None]] = []  # called from any thread, when something is another
        self._audit, self._clock = audit, clock
        self._lock = threading.Condition(threading.RLock())
        self._check: Check | None = None
        if audit is not None and audit.steered is not None:
            self.standing.steering, self.standing.steered_by = audit.steered.changes, audit.steered.by

    @abstractmethod
    def _count(self) -> float:
        """Count the time that has passed against the question of now; whether time counts is about to change."""

    @abstractmethod
    def _give_up(self, reason: str) -> None:
        """Ask anew what waits."""

    def heard(self, person: Person) -> None:
        """Know that a person is still there; it keeps their lease."""
        with self._lock:
            self.lease.heard(person)

    def take_lease(self, person: Person, force: bool = False) -> None:
        """Become the one who decides; raises Forbidden."""
        with self._lock:
            self.lease.take(person, force)
            self._act("lease", person, "taken from its holder" if force else "")

    def leave(self, person: Person) -> None:
        """Give the lease up; nothing where the person has none."""
        with self._lock:
            if self.lease.holder == person:
                self.lease.drop(person)
                self._act("left", person)

    def set_mode(self, person: Person, mode: Mode) -> None:
        """Ask by another mode from now on; raises Forbidden."""
        with self._lock:
            self._decides(person)
            self._act("mode", person, f"{self.standing.mode} -> {mode}")
            self.standing.mode = mode

    def set_envelope(self, person: Person, ranges: Mapping[str, Range]) -> None:
        """Narrow or widen, within the limits, what runs unasked from the next turn on.

        Raises:
            Forbidden: the person may not.
            Impossible: a range is none, or passes the limits; nothing changed.
        """
        with self._lock:
            self._decides(person)
            problems = outside_limits(ranges, self.limits) if self.limits is not None else ()
            if told := "; ".join(f"{name}: {complaint}" for name, complaint in problems):
                raise Impossible(told)
            spoken = ", ".join(f"{name} {asked.low:g}..{asked.high:g}" for name, asked in ranges.items())
            self._act("envelope", person, spoken or "none")
            self.standing.envelope = dict(ranges)

    def steering(self, check: Check) -> tuple[str, ...]:
        """What is wanted of the run by now; from now on ``check`` raises ConfigErrors for changes that are wrong."""
        with self._lock:
            self._check = check
            return self.standing.steering

    def steer(self, person: Person, changes: Sequence[str]) -> None:
        """Change what is wanted of the run from the next turn on; a question that waits is asked anew.

        Raises:
            Forbidden: the person may not.
            Conflict: the run has not begun, or is not to be steered.
            Impossible: something is wrong with a change; nothing changed.
        """
        check = self._check
        if check is None:
            raise Conflict("the run has not begun yet")
        if self.standing.mode == "none":
            raise Conflict("mode = none: nobody steers; choose supervise first")
        with self._lock:
            self._decides(person)
        try:
            check(changes)  # may take a second, in which others are heard
        except ConfigErrors as errors:
            raise Impossible(str(errors)) from None
        with self._lock:
            self._decides(person)
            if self._audit is not None:
                told = "; ".join(changes) or "as it was started"
                self._audit.append(
                    "steered", by=person.name, screen=person.screen, reason=told[:2000], changes=tuple(changes)
                )
            self.standing.steering, self.standing.steered_by = tuple(changes), person.name
            self._give_up(f"{person.name} steers, so it is asked anew")
            self._tell()

    def grant(self, person: Person, kind: str | None, left: int | None, minutes: float | None) -> Grant:
        """Approve beforehand: the next ``left`` commands, and only of one kind where one is given, for some minutes.

        Raises:
            Forbidden: the person may not.
            Conflict: neither ``left`` nor ``minutes`` ends it.
        """
        with self._lock:
            self._decides(person)
            if left is None and minutes is None:
                raise Conflict("left, minutes: one of them is needed, or the grant would never end")
            until_s = self._clock() + 60.0 * minutes if minutes is not None else None
            grant = Grant(by=person.name, kind=kind, left=left, until_s=until_s)
            told = [f"the next {left}" if left is not None else "", kind or "", f"{minutes:g} min" if minutes else ""]
            self._act("granted", person, ", ".join(filter(None, told)))
            self.standing.grants = (*self.standing.grants, grant)
            return grant

    def revoke(self, person: Person) -> None:
        """Take back all grants; raises Forbidden."""
        with self._lock:
            self._decides(person)
            self._act("revoked", person)
            self.standing.grants = ()

    def pause(self, person: Person, on: bool) -> None:
        """Let nothing run, with the beam blanked, until somebody lets it go on; raises Forbidden."""
        with self._lock:
            self._decides(person)
            self._act("paused" if on else "went on", person)
            self._count()
            self.standing.paused_by = person.name if on else ""

    def take_over(self, person: Person, on: bool) -> None:
        """Have every command wait for this person without end, or hand back to the policy; raises Forbidden."""
        with self._lock:
            self._decides(person)
            self._act("took over" if on else "handed back", person)
            self._count()
            self.standing.taken_by = person.name if on else ""

    def _decides(self, person: Person) -> None:
        self.lease.check(person)
        if self.lease.holder is None:
            self.take_lease(person)
        self.lease.heard(person)

    def _act(self, what: What, person: Person, reason: str = "") -> None:
        if self._audit is not None:
            self._audit.append(what, by=person.name, screen=person.screen, reason=reason[:2000])
        self._tell()

    def _tell(self) -> None:
        self._lock.notify_all()
        for changed in tuple(self.changed):
            changed()
