import threading
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.console.asking import Asking
from agent.console.console import Console
from agent.console.words import Approve, Edit, Impossible, Mode, Person, Question, Refuse, Undo
from agent.record import Decision
from agent.review import Autonomous, Walls
from hardware_bridge.messages import Capabilities, Command, Limits, Range
from policies.interface import Proposal, Situation

Make = Callable[..., Command]
ADA = Person(name="ada", role="operator", screen="page")
ENVELOPE = {"stage_x_nm": Range(low=-100.0, high=100.0)}


class Bench:
    """A review whose questions are answered by a function, as if from another thread."""

    def __init__(
        self, limits: Limits, capabilities: Capabilities, make_proposal: Callable[..., Proposal], situation: Situation
    ) -> None:
        self.limits, self.capabilities, self.make_proposal = limits, capabilities, make_proposal
        self.situation = situation
        self.seen: list[Question] = []
        self.answer: Callable[[Question], object] = lambda question: ""
        self.begin("every")

    def begin(self, mode: Mode, envelope: bool = False) -> None:
        self.console = Console(mode, 60.0, lambda: None)
        self.walls = Walls(self.limits, self.capabilities, ENVELOPE if envelope else {})
        self.review = Asking(self.console, self.walls, self.attend)

    def attend(self, name: str | None, for_s: float | None) -> str:
        if name is None:
            return "nobody came"
        self.seen.append(self.console.question(name))
        self.answer(self.seen[-1])
        return "nobody answered"

    def proposals(self, *commands: Command) -> list[Proposal]:
        return [self.make_proposal(command, reason=f"because of {command.id}") for command in commands]

    def decide(self, *commands: Command) -> Decision:
        decision = self.review(self.proposals(*commands), self.situation)
        self.console.ended()
        return decision

    def approve(self, question: Question) -> None:
        self.console.answer(ADA, question.id, Approve(revision=question.revision))


@pytest.fixture
def bench(
    limits: Limits,
    capabilities: Capabilities,
    make_proposal: Callable[..., Proposal],
    make_situation: Callable[..., Situation],
) -> Bench:
    return Bench(limits, capabilities, make_proposal, make_situation())


def test_what_is_shown_of_a_choice(bench: Bench, make_command: Make) -> None:
    bench.begin("every", envelope=True)
    bench.decide(make_command("best", stage_x_nm=150.0, stage_y_nm=-20.0), make_command("second", fov_nm=128.0))
    first, second = bench.seen[0].choices
    assert first.does.startswith("HAADF 32 x 32 pixels over 256 nm at (150, -20) nm")
    assert (first.x_nm, first.y_nm, first.width_nm, first.height_nm) == (150.0, -20.0, 256.0, 256.0)
    assert (first.information, first.proposer, first.reason) == (0.02, "survey", "because of best")
    assert first.electrons == pytest.approx(50.0 * 6241.509 * 32 * (32 * 2e-6 + 1e-5) * 1e3, rel=1e-6)
    assert "limit -100..100" in first.outside
    assert second.outside == ""
    assert bench.seen[0].electrons_left == bench.situation.electrons_left


def test_what_a_policy_does_not_predict_is_none(bench: Bench, make_command: Make) -> None:
    made = bench.make_proposal
    bench.make_proposal = lambda command, reason: replace(  # type: ignore[method-assign]
        made(command, reason=reason), information=0.0, information_sd=0.0
    )
    bench.decide(make_command("best"))
    assert bench.seen[0].choices[0].information is None


def test_an_approved_question_is_executing_and_then_done(bench: Bench, make_command: Make) -> None:
    bench.answer = bench.approve
    decision = bench.review(bench.proposals(make_command("best")), bench.situation)
    assert (decision.verdict, decision.by, decision.command) == ("approved", "ada", make_command("best"))
    name = bench.seen[0].id
    assert bench.console.question(name).state == "executing"
    bench.console.ended("the stage is stuck")
    done = bench.console.question(name)
    assert (done.state, done.reason) == ("done", "the stage is stuck")


def test_an_edit_is_checked_and_predicted_again(bench: Bench, make_command: Make) -> None:
    def edit(question: Question) -> None:
        def ask(changes: str, choice: int = 0) -> Question:
            now = bench.console.question(question.id)
            return bench.console.edit(ADA, now.id, Edit(revision=now.revision, changes=changes, choice=choice))

        with pytest.raises(Impossible, match=r"acquire.dwell_s = 0.2 refused \(range\): limit 1e-07..0.1"):
            ask("dwell_s=0.2")
        with pytest.raises(Impossible, match="did you mean dwell_s"):
            ask("dwel_s=1")
        after = ask("dwell_s=4e-6 stage_x_nm=30", choice=1)
        edited = after.choices[-1]
        assert edited.electrons == pytest.approx(question.choices[1].electrons * (32 * 4 + 10) / (32 * 2 + 10))
        assert (edited.x_nm, edited.information) == (30.0, None)
        bench.console.answer(ADA, after.id, Approve(revision=after.revision, choice=2))

    bench.answer = edit
    decision = bench.decide(make_command("best"), make_command("second", fov_nm=128.0))
    assert decision.verdict == "edited"
    assert decision.command is not None
    assert decision.command.id == "second-edited"
    assert decision.command.go.stage_x_nm == 30.0
    assert decision.reason == "acquire.dwell_s 2e-06 -> 4e-06; go.stage_x_nm unset -> 30"


def test_what_an_edit_would_tell_is_predicted_again(bench: Bench, make_command: Make) -> None:
    asked: list[Command] = []

    def foresee(command: Command, situation: Situation) -> tuple[float, float]:
        asked.append(command)
        return 0.5, 0.1

    def edit(question: Question) -> None:
        after = bench.console.edit(ADA, question.id, Edit(revision=0, changes="dwell_s=4e-6"))
        assert (after.choices[-1].information, after.choices[-1].information_sd) == (0.5, 0.1)
        assert asked == [after.choices[-1].command]

    bench.review.foresee, bench.answer = foresee, edit
    bench.decide(make_command("best"))
    assert len(bench.seen) == 1


def test_a_refusal_has_its_reason(bench: Bench, make_command: Make) -> None:
    def refuse(question: Question) -> None:
        bench.console.answer(ADA, question.id, Refuse(revision=0, why="other", note="that is the grid bar"))

    bench.answer = refuse
    decision = bench.decide(make_command("best"))
    assert (decision.verdict, decision.command, decision.reason) == ("refused", None, "other: that is the grid bar")


def test_where_nobody_can_answer_it_holds(bench: Bench, make_command: Make) -> None:
    decision = bench.decide(make_command("best"))
    assert (decision.verdict, decision.by, decision.reason) == ("timed_out", "nobody", "nobody answered")
    assert decision.command is None


def test_the_impossible_is_not_asked(bench: Bench, make_command: Make) -> None:
    decision = bench.decide(make_command("bad", stage_x_nm=5000.0))
    assert (decision.by, decision.command, bench.seen) == ("envelope", None, [])
    assert "limit -1000..1000" in decision.reason


def test_unasked_it_decides_as_the_envelope_alone(bench: Bench, make_command: Make) -> None:
    bench.begin("none", envelope=True)
    for commands in (
        [make_command("a", stage_x_nm=150.0), make_command("b")],
        [make_command("a", stage_x_nm=150.0)],
        [make_command("a", stage_x_nm=5000.0)],
        [],
    ):
        proposals = bench.proposals(*commands)
        alone = Autonomous(Walls(bench.limits, bench.capabilities, ENVELOPE))(proposals, bench.situation)
        assert bench.review(proposals, bench.situation) == alone
    assert bench.seen == []


def test_a_mode_may_be_switched_between_turns(bench: Bench, make_command: Make) -> None:
    bench.begin("none")
    bench.answer = bench.approve
    assert bench.decide(make_command("a")).by == "envelope"
    bench.console.set_mode(ADA, "every")
    assert bench.decide(make_command("b")).by == "ada"
    bench.console.set_mode(ADA, "outside")
    assert bench.decide(make_command("c")).by == "ada", "without an envelope everything lies outside it"
    bench.console.set_mode(ADA, "none")
    assert bench.decide(make_command("d")).by == "envelope"


def test_the_next_two_are_not_asked(bench: Bench, make_command: Make) -> None:
    bench.console.grant(ADA, None, 2, None)
    decisions = [bench.decide(make_command(f"c{turn}")) for turn in range(3)]
    assert [decision.by for decision in decisions] == ["ada", "ada", "nobody"]
    assert decisions[0].reason == "approved beforehand: because of c0"


def test_what_lies_outside_the_envelope_is_asked_whatever_was_granted(bench: Bench, make_command: Make) -> None:
    bench.begin("every", envelope=True)
    bench.console.grant(ADA, None, 2, None)
    assert bench.decide(make_command("far", stage_x_nm=150.0)).by == "nobody"
    assert bench.decide(make_command("near")).by == "ada"


def test_asking_gets_rarer_but_not_outside_the_envelope(bench: Bench, make_command: Make) -> None:
    bench.begin("every", envelope=True)
    bench.console.trust.at_least = 0.2
    bench.answer = bench.approve
    for turn in range(60):
        bench.decide(make_command(f"near{turn}"))
    asked = len(bench.seen)
    assert 15 < asked < 40
    decisions = [bench.decide(make_command(f"later{turn}")) for turn in range(20)]
    assert [decision.by for decision in decisions].count("ada") == 4
    assert any("one in 5 is, as people agree" in decision.reason for decision in decisions)
    status = bench.console.status()
    assert (status.asks[0].kind, status.asks[0].share, status.asks_at_least) == ("HAADF", 0.2, 0.2)
    for turn in range(5):
        assert bench.decide(make_command(f"far{turn}", stage_x_nm=150.0)).by == "ada"
    bench.console.take_over(ADA, True)
    assert {bench.decide(make_command(f"mine{turn}")).by for turn in range(5)} == {"ada"}
    bench.console.take_over(ADA, False)
    assert bench.console.trust.told()[0].differed == 0.0
    bench.answer = lambda question: bench.console.answer(ADA, question.id, Refuse(revision=0, why="wrong place"))
    for turn in range(8):
        bench.decide(make_command(f"bad{turn}"))
    assert bench.console.trust.told()[0].differed > 0.9


def test_the_envelope_changes_while_it_runs(bench: Bench, make_command: Make) -> None:
    bench.begin("outside")
    bench.answer = bench.approve
    assert bench.decide(make_command("a", stage_x_nm=50.0)).by == "ada"
    bench.console.set_envelope(ADA, {"stage_x_nm": Range(low=-60.0, high=60.0)})
    assert bench.decide(make_command("b", stage_x_nm=50.0)).by == "envelope"
    assert bench.decide(make_command("c", stage_x_nm=70.0)).by == "ada"
    for ranges, why in (
        ({"stage_x_nm": Range(low=-2000.0, high=0.0)}, "passes limits.ranges.stage_x_nm = -1000..1000"),
        ({"stage_x_nm": Range(low=1.0, high=0.0)}, "low 1 is above high 0"),
        ({"stage_q_nm": Range(low=0.0, high=1.0)}, "not in limits.ranges, did you mean stage_"),
    ):
        with pytest.raises(Impossible, match=why):
            bench.console.set_envelope(ADA, ranges)
    assert bench.decide(make_command("d", stage_x_nm=50.0)).by == "envelope"
    bench.console.set_envelope(ADA, {})
    assert bench.decide(make_command("e", stage_x_nm=50.0)).by == "ada"


class TestGoingOn:
    """Where the config allows it, what the envelope lets through does not wait for what it does not."""

    @pytest.fixture
    def going(self, bench: Bench) -> Bench:
        bench.begin("outside", envelope=True)
        bench.review = Asking(bench.console, bench.walls, bench.attend, "go_on")
        return bench

    def test_safe_work_goes_on_and_the_answer_is_a_turn_of_its_own(self, going: Bench, make_command: Make) -> None:
        far, near = make_command("far", stage_x_nm=150.0), make_command("near")
        first = going.decide(far, near)
        assert (first.by, first.command) == ("envelope", near)
        assert going.decide(make_command("far-again", stage_x_nm=160.0), near).command == near
        assert going.console.asked == 1, "one question at a time"
        question = going.console.status().question
        assert question is not None
        going.approve(question)
        later = going.decide(make_command("other"), near)
        assert (later.verdict, later.by, later.command) == ("approved", "ada", far)
        assert going.console.question(question.id).state == "done"
        assert going.decide(near).by == "envelope"
        assert going.seen == [], "the loop has waited for nobody"

    def test_an_answer_taken_back_waits_again(self, going: Bench, make_command: Make) -> None:
        far, near = make_command("far", stage_x_nm=150.0), make_command("near")
        going.decide(far, near)
        question = going.console.status().question
        assert question is not None
        going.approve(question)
        going.console.undo(ADA, question.id, Undo(revision=1))
        assert going.decide(near).command == near
        going.console.answer(ADA, question.id, Approve(revision=2))
        assert going.decide(near).command == far

    def test_what_cannot_run_any_more_does_not(
        self, going: Bench, make_command: Make, make_situation: Callable[..., Situation]
    ) -> None:
        far, near = make_command("far", stage_x_nm=150.0), make_command("near")
        going.decide(far, near)
        question = going.console.status().question
        assert question is not None
        going.approve(question)
        going.situation = make_situation(1, electrons_left=1.0)
        decision = going.decide(near)
        assert (decision.verdict, decision.command) == ("timed_out", None)
        assert decision.reason.startswith("it cannot run any more: electrons = ")
        assert going.console.question(question.id).state == "expired"

    def test_a_refusal_is_a_turn_too(self, going: Bench, make_command: Make) -> None:
        going.decide(make_command("far", stage_x_nm=150.0), make_command("near"))
        question = going.console.status().question
        assert question is not None
        going.console.answer(ADA, question.id, Refuse(revision=0, why="wrong place"))
        decision = going.decide(make_command("near"))
        assert (decision.verdict, decision.by, decision.reason) == ("refused", "ada", "wrong place")

    def test_where_nothing_is_safe_it_waits(self, going: Bench, make_command: Make) -> None:
        going.answer = going.approve
        far = make_command("far", stage_x_nm=150.0)
        assert going.decide(far).command == far


def test_paused_and_nobody_there(bench: Bench, make_command: Make) -> None:
    bench.begin("none")
    bench.console.pause(ADA, True)
    decision = bench.decide(make_command("a"))
    assert (decision.command, decision.reason) == (None, "paused by ada, and nobody came")
    bench.console.pause(ADA, False)
    assert bench.decide(make_command("a")).command is not None


def test_stopped_nothing_runs_any_more(bench: Bench, make_command: Make) -> None:
    def approve_and_stop(question: Question) -> None:
        bench.approve(question)
        bench.console.stop(ADA)

    bench.answer = approve_and_stop
    decision = bench.decide(make_command("a"))
    assert (decision.verdict, decision.command, decision.reason) == ("timed_out", None, "stopped by ada")
    bench.console.set_mode(ADA, "none")
    assert bench.decide(make_command("b")).command is None


def test_another_thread_answers(bench: Bench, make_command: Make) -> None:
    bench.review = Asking(bench.console, bench.walls)

    def elsewhere() -> None:
        while (question := bench.console.status().question) is None:
            bench.console.wait(0.05)
        bench.approve(question)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    assert bench.decide(make_command("a")).by == "ada"
    thread.join()
