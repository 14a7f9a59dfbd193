"""The console against a model: whatever people do, nothing is decided twice, by the wrong one, or without a trace."""

import errno
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.config import ConfigErrors
from agent.console.audit import Audit, verified
from agent.console.console import Console
from agent.console.lease import LEASE_S
from agent.console.question import NEXT
from agent.console.words import (
    Approve,
    Choice,
    Conflict,
    ConsoleError,
    Edit,
    Forbidden,
    Impossible,
    NotFound,
    Person,
    Question,
    Refuse,
    Undo,
)  # fmt: skip
from agent.eventlog import LOG_NAME, RecordError
from hardware_bridge.errors import Unreachable
from hardware_bridge.messages import Acquire, Command

PEOPLE = [
    Person(name="ada", role="operator", screen="s1"),
    Person(name="ada", role="operator", screen="s2"),
    Person(name="bob", role="operator", screen="s3"),
    Person(name="eve", role="observer", screen="s4"),
]
ADA, ADA_TOO, BOB, EVE = PEOPLE
TIMEOUT_S = 20.0


def choice(name: str, *edits: str) -> Choice:
    acquire = Acquire(mode="HAADF", fov_nm=64.0, pixels_x=8, pixels_y=8, dwell_s=1e-6)
    return Choice(
        command=Command(id=name, acquire=acquire), does=name, reason=name, proposer="survey", information=0.1,
        information_sd=0.0, electrons=1.0, fluence_e_per_A2=1.0, time_s=0.5, x_nm=0.0, y_nm=0.0, width_nm=64.0,
        height_nm=64.0, edits=edits,
    )  # fmt: skip


def edit(before: Choice, wanted: Edit) -> Choice:
    if wanted.changes == "impossible":
        raise Impossible("dwell_s = 9 refused (range): limit 1")
    return choice(f"{before.command.id}-edited", wanted.changes)


class Bench:
    """A console with a clock that a test turns."""

    def __init__(self, situation: object, audit: Audit | None = None) -> None:
        self.now_s, self.halts, self.situation = 0.0, 0, situation
        self.console = Console("every", TIMEOUT_S, self.halt, audit, lambda: self.now_s)

    def halt(self) -> None:
        self.halts += 1

    def ask(self) -> Question:
        return self.console.ask((choice("a"), choice("b")), self.situation, "every decision is asked", edit)  # type: ignore[arg-type]


@pytest.fixture
def bench(make_situation: Callable[..., object]) -> Bench:
    return Bench(make_situation())


def test_a_decision_counts_once(bench: Bench) -> None:
    question = bench.ask()
    bench.console.answer(ADA, question.id, Approve(revision=0, choice=1))
    for late in (Approve(revision=0, choice=1), Approve(revision=1), Refuse(revision=0, why="other")):
        with pytest.raises(Conflict, match="is approved by ada: too late"):
            bench.console.answer(ADA, question.id, late)
    assert bench.console.taken(question.id, "").choices[1].command.id == "b"


def test_a_stale_revision_decides_nothing(bench: Bench) -> None:
    question = bench.ask()
    bench.console.edit(ADA, question.id, Edit(revision=0, changes="dwell"))
    with pytest.raises(Conflict, match=r"revision = 0 of question .* it has revision 1 now"):
        bench.console.answer(ADA, question.id, Approve(revision=0))
    assert bench.console.answer(ADA, question.id, Approve(revision=1, choice=2)).state == "edited"


def test_a_question_of_an_earlier_process_is_unknown(bench: Bench, make_situation: Callable[..., object]) -> None:
    before = Bench(make_situation()).ask()
    question = bench.ask()
    assert before.id != question.id
    with pytest.raises(NotFound, match="there is none"):
        bench.console.answer(ADA, before.id, Approve(revision=0))


def test_too_late_is_too_late(bench: Bench) -> None:
    question = bench.ask()
    bench.now_s = TIMEOUT_S
    with pytest.raises(Conflict, match="is expired by nobody"):
        bench.console.answer(ADA, question.id, Approve(revision=0))


def test_paused_time_does_not_count_and_nothing_is_decided(bench: Bench) -> None:
    question = bench.ask()
    bench.now_s = 15.0
    bench.console.pause(ADA, True)
    bench.now_s = 1000.0
    with pytest.raises(Conflict, match="paused by ada"):
        bench.console.answer(ADA, question.id, Approve(revision=0))
    assert bench.console.status().left_s is None
    bench.console.pause(ADA, False)
    assert bench.console.status().left_s == pytest.approx(5.0)
    bench.now_s += 5.0
    assert bench.console.question(question.id).state == "expired"


def test_whoever_has_taken_over_is_waited_for(bench: Bench) -> None:
    question = bench.ask()
    bench.console.take_over(ADA, True)
    bench.now_s = 1000.0  # and the lease has fallen
    assert bench.console.question(question.id).state == "proposed"
    with pytest.raises(Forbidden, match="ada has taken over"):
        bench.console.answer(BOB, question.id, Approve(revision=0))
    bench.console.take_over(BOB, False)
    assert bench.console.answer(BOB, question.id, Approve(revision=0)).by == "bob"


def test_only_the_holder_decides(bench: Bench) -> None:
    question = bench.ask()
    bench.console.take_lease(ADA)
    for other in (ADA_TOO, BOB, EVE):
        with pytest.raises(Forbidden):
            bench.console.answer(other, question.id, Approve(revision=0))
    bench.console.take_lease(BOB, force=True)
    with pytest.raises(Forbidden, match="bob at s3 holds the lease"):
        bench.console.answer(ADA, question.id, Approve(revision=0))
    bench.console.leave(ADA)
    assert bench.console.status().holder == "bob at s3"


def test_anybody_stops_and_it_is_done_at_once(bench: Bench) -> None:
    question = bench.ask()
    bench.console.take_lease(ADA)
    assert bench.console.stop(EVE) == ""
    assert bench.halts == 1
    refused = bench.console.question(question.id)
    assert (refused.state, refused.by, refused.reason) == ("refused", "eve", "stopped by eve")
    assert bench.console.status().stopped_by == "eve"


def test_a_stop_that_does_not_arrive_is_told(bench: Bench, make_situation: Callable[..., object]) -> None:
    def lost() -> None:
        raise Unreachable("nothing answers")

    bench.console = Console("every", TIMEOUT_S, lost)
    question = bench.ask()
    assert bench.console.stop(ADA) == "nothing answers"
    assert bench.console.question(question.id).state == "refused"


def test_a_grant_must_end(bench: Bench) -> None:
    with pytest.raises(Conflict, match="left, minutes: one of them is needed"):
        bench.console.grant(ADA, "EELS", None, None)
    bench.console.grant(ADA, None, 3, None)
    bench.console.revoke(ADA)
    assert bench.console.status().grants == ()


def test_what_cannot_be_kept_is_not_decided(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / LOG_NAME).write_bytes(b"header\n")
    audit = Audit(tmp_path)
    bench.console = Console("every", TIMEOUT_S, bench.halt, audit, lambda: bench.now_s)
    question = bench.ask()
    bench.console.take_lease(ADA)
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(RecordError, match="cannot be written: No space left"):
        bench.console.answer(ADA, question.id, Approve(revision=0))
    assert bench.console.question(question.id).state == "proposed"
    with pytest.raises(RecordError, match="cannot be written"):
        bench.console.stop(ADA)
    assert bench.halts == 1, "the beam is blanked even so"


class TestUndo:
    def test_an_answer_is_taken_back_before_the_loop_acts(self, bench: Bench) -> None:
        question = bench.ask()
        for answer in (Approve(revision=0, choice=1), Refuse(revision=2, why="other")):
            after = bench.console.answer(ADA, question.id, answer)
            again = bench.console.undo(ADA, question.id, Undo(revision=after.revision))
            assert (again.state, again.chosen, again.by, again.reason) == ("proposed", None, "", "")
        assert again.revision == 4
        assert bench.console.claim(question.id).state == "proposed"
        bench.console.answer(ADA, question.id, Approve(revision=4))
        assert bench.console.taken(question.id, "").choices[0].command.id == "a"

    def test_an_edit_is_taken_back(self, bench: Bench) -> None:
        question = bench.ask()
        with pytest.raises(Conflict, match="nothing to take back"):
            bench.console.undo(ADA, question.id, Undo(revision=0))
        bench.console.edit(ADA, question.id, Edit(revision=0, changes="dwell"))
        assert bench.console.undo(ADA, question.id, Undo(revision=1)).choices == question.choices

    def test_too_late_or_not_theirs(self, bench: Bench) -> None:
        question = bench.ask()
        bench.console.answer(ADA, question.id, Approve(revision=0))
        for other in (BOB, EVE):
            with pytest.raises(Forbidden):
                bench.console.undo(other, question.id, Undo(revision=1))
        with pytest.raises(Conflict, match="it has revision 1 now"):
            bench.console.undo(ADA, question.id, Undo(revision=0))
        assert bench.console.claim(question.id).state == "approved"
        with pytest.raises(Conflict, match="too late to take anything back"):
            bench.console.undo(ADA, question.id, Undo(revision=1))
        bench.console.taken(question.id, "")
        with pytest.raises(Conflict, match="too late"):
            bench.console.undo(ADA, question.id, Undo(revision=2))


def check(changes: Sequence[str]) -> None:
    if any("wrong" in change for change in changes):
        raise ConfigErrors("what is to be changed", ["goal.wrong: unknown field"])


class TestSteering:
    def test_it_is_told_to_the_loop_and_the_question_is_asked_anew(self, bench: Bench) -> None:
        assert bench.console.steering(check) == ()
        question = bench.ask()
        bench.console.steer(ADA, ["budget.electrons=1e8"])
        assert bench.console.steering(check) == ("budget.electrons=1e8",)
        after = bench.console.question(question.id)
        assert (after.state, after.reason) == ("expired", "ada steers, so it is asked anew")
        status = bench.console.status()
        assert (status.steering, status.steered_by) == (("budget.electrons=1e8",), "ada")

    def test_what_is_wrong_or_not_allowed_changes_nothing(self, bench: Bench) -> None:
        with pytest.raises(Conflict, match="has not begun"):
            bench.console.steer(ADA, [])
        bench.console.steering(check)
        question = bench.ask()
        with pytest.raises(Impossible, match=r"goal\.wrong: unknown field"):
            bench.console.steer(ADA, ["goal.wrong=1"])
        for other in (BOB, EVE):
            with pytest.raises(Forbidden):
                bench.console.steer(other, ["budget.electrons=1e8"])
        bench.console.set_mode(ADA, "none")
        with pytest.raises(Conflict, match="choose supervise first"):
            bench.console.steer(ADA, ["budget.electrons=1e8"])
        assert bench.console.steering(check) == ()
        assert bench.console.question(question.id).state == "proposed"

    def test_the_log_brings_it_back(self, bench: Bench, tmp_path: Path) -> None:
        (tmp_path / LOG_NAME).write_bytes(b"header\n")
        for changes in (["a=1"], ["a=2", "b=3"]):
            console = Console("supervise", TIMEOUT_S, bench.halt, Audit(tmp_path))
            console.steering(check)
            console.steer(ADA, changes)
            console.close()
        console = Console("supervise", TIMEOUT_S, bench.halt, Audit(tmp_path))
        assert console.steering(check) == ("a=2", "b=3")
        assert console.status().steered_by == "ada"
        console.close()
        entries, problems = verified(tmp_path, [])
        assert problems == []
        assert [entry.changes for entry in entries if entry.what == "steered"] == [("a=1",), ("a=2", "b=3")]


class Machine(RuleBasedStateMachine):
    """People, time and the loop in any order; ``ran`` is what a real loop would have sent to the instrument."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        folder = Path(self.scratch.name)
        (folder / LOG_NAME).write_bytes(b"header\n")
        self.folder, self.audit = folder, Audit(folder)
        self.question: Question | None = None
        self.ran: list[tuple[str, str]] = []
        self.approvals: dict[str, tuple[str, str]] = {}
        self.states: dict[str, list[str]] = {}

    @initialize(situation=st.builds(lambda: None))
    def begin(self, situation: None) -> None:
        class Now:
            turn, time_left_s, electrons_left = 0, 600.0, 1e9

        self.bench = Bench(Now(), self.audit)
        self.console = self.bench.console

    def waits(self) -> bool:
        return self.question is not None

    @precondition(lambda self: not self.waits() and not self.console.standing.stopped_by)
    @rule()
    def ask(self) -> None:
        self.question = self.bench.ask()

    @precondition(waits)
    @rule(person=st.sampled_from(PEOPLE), number=st.integers(0, 3), behind=st.integers(0, 1))
    def approve(self, person: Person, number: int, behind: int) -> None:
        assert self.question is not None
        before, held = self.console.question(self.question.id), self.console.lease.holder
        standing = self.console.standing
        allowed = (
            before.state == "proposed" and behind == 0 and number < len(before.choices) and person.role == "operator"
            and held in (None, person) and not standing.paused_by and not standing.stopped_by
            and standing.taken_by in ("", person.name)
        )  # fmt: skip
        try:
            after = self.console.answer(person, before.id, Approve(revision=before.revision - behind, choice=number))
        except (ConsoleError, ValueError):
            assert not allowed
            return
        assert allowed
        assert before.id not in self.approvals, "decided twice"
        self.approvals[before.id] = (after.choices[number].command.id, person.name)

    @precondition(waits)
    @rule(person=st.sampled_from(PEOPLE))
    def refuse(self, person: Person) -> None:
        assert self.question is not None
        before = self.console.question(self.question.id)
        try:
            self.console.answer(person, before.id, Refuse(revision=before.revision, why="wrong place"))
        except ConsoleError:
            return
        assert before.state == "proposed"
        assert person.role == "operator"

    @precondition(waits)
    @rule(person=st.sampled_from(PEOPLE), text=st.sampled_from(["dwell", "impossible"]))
    def edit(self, person: Person, text: str) -> None:
        assert self.question is not None
        before = self.console.question(self.question.id)
        try:
            after = self.console.edit(person, before.id, Edit(revision=before.revision, changes=text))
        except ConsoleError:
            assert self.console.question(before.id) == before
            return
        assert text == "dwell"
        assert (after.revision, after.state) == (before.revision + 1, "proposed")

    @precondition(waits)
    @rule(person=st.sampled_from(PEOPLE), behind=st.integers(0, 1))
    def undo(self, person: Person, behind: int) -> None:
        assert self.question is not None
        before = self.console.question(self.question.id)
        try:
            after = self.console.undo(person, before.id, Undo(revision=before.revision - behind))
        except (ConsoleError, ValueError):
            assert self.console.question(before.id) == before
            return
        assert behind == 0
        assert person.role == "operator"
        assert (after.state, after.chosen) == ("proposed", None)
        self.approvals.pop(before.id, None)

    @precondition(waits)
    @rule(gone=st.booleans())
    def loop_acts(self, gone: bool) -> None:
        """The loop looks whether its question is decided; ``gone`` says that nobody can answer any more."""
        assert self.question is not None
        name = self.question.id
        if self.console.question(name).state == "proposed" and not gone:
            return
        self.console.claim(name)
        question = self.console.taken(name, "the input is closed")
        if question.state == "executing":
            assert question.chosen is not None
            self.ran.append((name, question.choices[question.chosen].command.id))
        self.console.ended()
        self.question = None

    @rule(seconds=st.sampled_from([0.5, 8.0, TIMEOUT_S, LEASE_S + 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.now_s += seconds

    @rule(person=st.sampled_from(PEOPLE), what=st.sampled_from(["pause", "take_over"]), on=st.booleans())
    def stand(self, person: Person, what: str, on: bool) -> None:
        try:
            getattr(self.console, what)(person, on)
        except Forbidden:
            assert person.role == "observer" or self.console.lease.holder not in (None, person)

    @rule(person=st.sampled_from(PEOPLE), force=st.booleans(), leave=st.booleans())
    def lease(self, person: Person, force: bool, leave: bool) -> None:
        if leave:
            self.console.leave(person)
            assert self.console.lease.holder != person
            return
        before = self.console.lease.holder
        try:
            self.console.take_lease(person, force)
        except Forbidden:
            assert person.role == "observer" or (before not in (None, person) and not force)
            assert self.console.lease.holder == before
        else:
            assert self.console.lease.holder == person

    @rule(person=st.sampled_from(PEOPLE))
    def stop(self, person: Person) -> None:
        halts = self.bench.halts
        self.console.stop(person)
        assert self.bench.halts == halts + 1

    @invariant()
    def nothing_runs_but_what_was_approved_and_only_once(self) -> None:
        assert len({name for name, _ in self.ran}) == len(self.ran)
        for name, command in self.ran:
            assert self.approvals[name][0] == command

    @invariant()
    def states_follow_the_drawing(self) -> None:
        if self.question is None:
            return
        state = self.console.question(self.question.id).state
        path = self.states.setdefault(self.question.id, ["proposed"])
        if state != path[-1]:
            assert state in NEXT[path[-1]]  # type: ignore[index]
            path.append(state)

    def teardown(self) -> None:
        if hasattr(self, "console"):
            self.console.close()
            entries, problems = verified(self.folder, [])
            assert problems == []
            told: dict[str | None, str] = {}
            for entry in entries:
                if entry.what in ("approved", "edited"):
                    told[entry.question] = entry.by
                elif entry.what == "undone":
                    told.pop(entry.question, None)
            assert told == {name: by for name, (_, by) in self.approvals.items()}
            started = [entry.question for entry in entries if entry.what == "executing"]
            assert started == [name for name, _ in self.ran]
        self.scratch.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
