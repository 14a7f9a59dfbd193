"""The console: it holds the one question that waits, and decides who may answer it. All screens are clients of it.

The loop asks and waits; people answer from any thread. What is decided is on disk before it counts.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from agent.console import question as questions
from agent.console.audit import Audit, What
from agent.console.people import People
from agent.console.trust import Trust
from agent.console.words import (
    Answer,
    Approve,
    Choice,
    Conflict,
    Edit,
    Forbidden,
    Grant,
    Mode,
    NotFound,
    Person,
    Question,
    Replay,
    Status,
    Undo,
)  # fmt: skip
from hardware_bridge.errors import BridgeError
from hardware_bridge.messages import Command
from policies.interface import Situation

REMEMBERED = 200
"""Questions that are told from unknown ones when somebody answers them late."""

Editor = Callable[[Choice, Edit], Choice]


class Console(People):
    """What people are asked in one run, and what they did about it."""

    def __init__(
        self,
        mode: Mode,
        timeout_s: float,
        halt: Callable[[], None],
        audit: Audit | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask by ``mode``, hold after ``timeout_s`` of silence; ``halt`` blanks and aborts at the instrument.

        ``limits`` may be set to the lab's: an envelope is checked against them. ``watches`` is only told.
        """
        super().__init__(mode, audit, clock)
        self.watches = False
        self.trust = Trust()
        self.turns = self.asked = 0
        self._session = secrets.token_hex(4)  # an answer to a question of an earlier process finds none of this one's
        self._timeout_s, self._halt = timeout_s, halt
        self._questions: OrderedDict[str, Question] = OrderedDict()
        self._current: str | None = None
        self._edit: Editor | None = None
        self._claimed = ""
        self._asked_s = 0.0
        self._left_s, self._counted_s = 0.0, 0.0

    # What the loop does.

    def ask(self, choices: tuple[Choice, ...], situation: Situation, why: str, edit: Editor) -> Question:
        """Put a question; ``edit`` changes a choice as a person wants it, checks it and predicts it again.

        Raises:
            RecordError: it could not be put on disk.
        """
        with self._lock:
            question = Question(
                id=f"{self._session}.{situation.turn}.{self.asked}",
                revision=0,
                state="proposed",
                turn=situation.turn,
                why=why[:2000],
                time_left_s=situation.time_left_s,
                electrons_left=situation.electrons_left,
                choices=choices,
            )
            self._log("asked", None, question)
            self.asked += 1
            self._edit, self._current = edit, question.id
            self._asked_s = self._counted_s = self._clock()
            self._left_s = self._timeout_s
            return self._put(question)

    def question(self, name: str) -> Question:
        """A question as it stands; one that waited too long has expired.

        Raises:
            NotFound: there is no such question.
        """
        with self._lock:
            question = self._questions.get(name)
            if question is None:
                raise NotFound(f"question {name}: there is none")
            if name == self._current and question.state == "proposed" and self._count() <= 0.0:
                return self._expire(question, "nobody answered in time")
            return question

    def wait(self, timeout_s: float) -> None:
        """Wait until something changes, for ``timeout_s`` at most."""
        with self._lock:
            self._lock.wait(timeout_s)

    def taken(self, name: str, reason: str, refusal: str = "") -> Question:
        """What became of a question, for the loop to act on: what is approved is executing from here on.

        One that waits still is given up for ``reason``: it has expired, and so has one approved before somebody
        stopped the run, or that cannot run any more, which ``refusal`` says.
        """
        with self._lock:
            question, stopper = self.question(name), self.standing.stopped_by
            if question.chosen is not None and question.state != "executing" and refusal:
                return self._expire(question, f"it cannot run any more: {refusal}")
            if question.state == "proposed" or (question.chosen is not None and stopper):
                return self._expire(question, f"stopped by {stopper}" if stopper else reason)
            if question.chosen is None:
                return question
            question = questions.moved(question, "executing")
            self._log("executing", None, question)
            return self._put(question)

    def claim(self, name: str) -> Question:
        """A question for the loop to act on: what was answered cannot be taken back from here on."""
        with self._lock:
            question = self.question(name)
            if question.state != "proposed":
                self._claimed = name
            return question

    def finding(self, name: str, turn: int) -> Question:
        """Say that the place of what was approved is looked for first, in this turn."""
        with self._lock:
            question = self.question(name)
            if self._audit is not None:
                self._audit.append("finding", by=question.by, turn=turn, question=name, revision=question.revision)
            return question

    def ended(self, failure: str = "") -> None:
        """Say that a turn is over and recorded; what ran in it is done, or failed."""
        with self._lock:
            self.turns += 1
            question = self._questions.get(self._current or "")
            if question is not None and question.state == "executing":
                self._log("done", None, question, failure)
                self._put(questions.moved(question, "done", reason=failure))

    def covered(self, command: Command, turn: int) -> Grant | None:
        """Use up what somebody granted for such a command; None where nobody did."""
        with self._lock:
            grant = self.standing.cover(command, self._clock())
            if grant is not None and self._audit is not None:
                self._audit.append("covered", by=grant.by, turn=turn, reason=command.id)
            return grant

    @property
    def took_s(self) -> float:
        """How long the question of now has been there."""
        return self._clock() - self._asked_s

    # What people do.

    def status(self) -> Status:
        """Where things stand."""
        with self._lock:
            standing, question = self.standing, None
            if self._current is not None:
                question = self.question(self._current)
            waits = question is not None and question.state == "proposed" and not standing.waits_without_end
            holder = self.lease.holder
            return Status(
                mode=standing.mode,
                paused_by=standing.paused_by,
                taken_by=standing.taken_by,
                stopped_by=standing.stopped_by,
                stop_failure=standing.stop_failure,
                holder=f"{holder.name} at {holder.screen}" if holder is not None else "",
                question=question,
                left_s=max(self._count(), 0.0) if waits else None,
                grants=standing.grants,
                envelope=dict(standing.envelope),
                asked=self.asked,
                turns=self.turns,
                watches=self.watches,
                steering=standing.steering,
                steered_by=standing.steered_by,
                asks=self.trust.told() if self.trust.at_least < 1.0 else (),
                asks_at_least=self.trust.at_least,
            )

    def answer(self, person: Person, name: str, answer: Answer) -> Question:
        """Decide a question.

        Raises:
            Forbidden, NotFound, Conflict: nothing was decided.
            RecordError: it could not be put on disk, so it was not decided.
        """
        with self._lock:
            question = self._seen(person, name, answer.revision)
            if isinstance(answer, Approve):
                after = questions.approved(question, answer.choice, person.name)
                self._log("edited" if after.state == "edited" else "approved", person, after)
            else:
                reason = f"{answer.why}: {answer.note}" if answer.note else answer.why
                after = questions.moved(question, "refused", person.name, reason)
                self._log("refused", person, after)
            return self._put(after)

    def edit(self, person: Person, name: str, edit: Edit) -> Question:
        """Change a choice of a question; the edited one waits to be approved.

        Raises:
            Forbidden, NotFound, Conflict, Impossible: nothing changed.
        """
        with self._lock:
            question = self._seen(person, name, edit.revision)
            assert self._edit is not None
            choice = self._edit(questions.choice_of(question, edit.choice), edit)
            return self._put(questions.with_edited(question, choice))

    def undo(self, person: Person, name: str, undo: Undo) -> Question:
        """Take back an edit, or an answer before anything was done about it.

        Raises:
            Forbidden, NotFound, Conflict: nothing changed.
        """
        with self._lock:
            self._decides(person)
            question = self.question(name)
            if name != self._current or name == self._claimed:
                raise Conflict(f"question {name} is {question.state}: too late to take anything back")
            if undo.revision != question.revision:
                raise Conflict(
                    f"revision = {undo.revision} of question {name}: it has revision {question.revision} now"
                )
            if self.standing.taken_by not in ("", person.name):
                raise Forbidden(f"{self.standing.taken_by} has taken over")
            before = questions.undone(question)
            self._log("undone", person, before, f"it was {question.state}")
            return self._put(before)

    def stop(self, person: Person) -> str:
        """Blank and abort at once, and end the run. Anybody may, and nothing is asked; returns what went wrong."""
        self.standing.stopped_by = person.name  # before all else: from here on nothing is started
        failure = ""
        try:
            self._halt()
        except BridgeError as error:
            self.standing.stop_failure = failure = str(error)
        with self._lock:
            self._act("stopped", person, failure)
            question = self._questions.get(self._current or "")
            if question is not None and question.state == "proposed":
                after = questions.moved(question, "refused", person.name, f"stopped by {person.name}")
                self._log("refused", person, after)
                self._put(after)
        return failure

    def replay(self, wanted: Replay) -> None:
        """Move in a run that is replayed; raises NotFound: this one goes on."""
        raise NotFound("this run goes on: nothing is replayed")

    def close(self) -> None:
        """Close the log of what people did."""
        with self._lock:
            if self._audit is not None:
                self._audit.close()
                self._audit = None

    # What both need.

    def _seen(self, person: Person, name: str, revision: int) -> Question:
        self._decides(person)
        question = self.question(name)
        questions.seen(question, revision)
        if self.standing.stopped_by or self.standing.paused_by:
            who = self.standing.stopped_by or self.standing.paused_by
            raise Conflict(f"{'stopped' if self.standing.stopped_by else 'paused'} by {who}: nothing is decided now")
        if self.standing.taken_by not in ("", person.name):
            raise Forbidden(f"{self.standing.taken_by} has taken over")
        return question

    def _count(self) -> float:
        """Count the time that has passed against the question of now, unless silence is no answer; returns the rest."""
        now_s = self._clock()
        if not self.standing.waits_without_end:
            self._left_s -= now_s - self._counted_s
        self._counted_s = now_s
        return self._left_s

    def _give_up(self, reason: str) -> None:
        question = self._questions.get(self._current or "")
        if question is not None and question.state == "proposed":
            self._expire(question, reason)

    def _expire(self, question: Question, reason: str) -> Question:
        expired = questions.moved(question, "expired", "nobody", reason)
        self._log("expired", None, expired)
        return self._put(expired)

    def _put(self, question: Question) -> Question:
        self._questions[question.id] = question
        while len(self._questions) > REMEMBERED:
            self._questions.popitem(last=False)
        self._tell()
        return question

    def _log(self, what: What, person: Person | None, question: Question, reason: str = "") -> None:
        if self._audit is None:
            return
        self._audit.append(
            what,
            by=person.name if person is not None else question.by,
            screen=person.screen if person is not None else "",
            turn=question.turn,
            question=question.id,
            revision=question.revision,
            shown=tuple(choice.does for choice in question.choices) if what == "asked" else (),
            reason=(reason or question.reason or question.why)[:2000],
            took_s=self.took_s if what != "asked" else None,
        )
