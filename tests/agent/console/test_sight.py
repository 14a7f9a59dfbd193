"""What was approved runs where it is by then: looked for, moved, or put again."""

import math
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from sights import PIXELS, Drifting

from agent.console.asking import Asking, Waiting
from agent.console.console import Console
from agent.console.sight import LOST, Sight
from agent.console.whereabouts import Whereabouts
from agent.console.words import Approve, Person, Question
from agent.record import Decision
from agent.review import Walls
from hardware_bridge.cost import fluence_e_per_A2
from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits
from hardware_bridge.observation import Observation
from policies.interface import Proposal, Situation

Make = Callable[..., Command]
ADA = Person(name="ada", role="operator", screen="page")
PIXEL_NM = 256.0 / PIXELS


class Bench:
    """A run with an image already taken, whose person takes ``thinks_s`` while the specimen drifts."""

    def __init__(self, walls: Walls, drifting: Drifting, make_proposal: Callable[..., Proposal]) -> None:
        self.walls, self.drifting, self.make_proposal = walls, drifting, make_proposal
        self.places = Whereabouts(walls.capabilities, walls.limits)
        self.thinks_s, self.drifts_px, self.turn = 20.0, (2, -1), 0
        self.waited: list[float | None] = []
        self.questions: list[Question] = []
        self.answers, self.gone = True, ""
        self.begin("hold")

    def begin(self, waiting: Waiting, watch_e_per_A2_s: float = 1.0) -> None:
        self.console = Console("every", 1e4, lambda: None)
        sight = Sight(self.walls, self.drifting.state, self.places, watch_e_per_A2_s)
        self.review = Asking(self.console, self.walls, self.attend, waiting, sight)

    def attend(self, name: str | None, for_s: float | None) -> str:
        assert name is not None
        self.waited.append(for_s)
        question = self.console.question(name)
        if not self.questions or self.questions[-1].id != name:
            self.questions.append(question)
        self.drifting.clock_s += self.thinks_s
        self.drifting.drift_px = self.drifts_px
        if self.answers:
            self.console.answer(ADA, name, Approve(revision=question.revision))
        return self.gone

    def decide(self, *commands: Command) -> Decision:
        proposals = [self.make_proposal(command) for command in commands]
        situation = Situation(self.turn, self.drifting.state(), electrons_left=1e9, time_left_s=1e4)
        self.turn += 1
        return self.review(proposals, situation)

    def runs(self, decision: Decision) -> None:
        assert decision.command is not None
        self.places.see(self.drifting.observe(decision.command))
        self.console.ended()


@pytest.fixture
def bench(
    limits: Limits,
    capabilities: Capabilities,
    make_proposal: Callable[..., Proposal],
    make_observation: Callable[..., Observation],
    make_state: Callable[..., InstrumentState],
    make_command: Make,
) -> Bench:
    able = replace(capabilities, time="real")
    made = Bench(Walls(limits, able), Drifting(make_observation, make_state), make_proposal)
    made.places.see(made.drifting.observe(make_command("before", pixels=PIXELS, stage_x_nm=10.0, stage_y_nm=0.0)))
    return made


def wanted(make_command: Make) -> Command:
    return make_command("wanted", pixels=PIXELS, stage_x_nm=50.0, stage_y_nm=20.0)


def test_it_is_looked_for_and_runs_where_it_is_by_then(bench: Bench, make_command: Make) -> None:
    look = bench.decide(wanted(make_command))
    assert bench.questions[0].choices[0].finding > 0.0, "the look is charged in the proposal"
    assert look.command is not None
    assert (look.verdict, look.by, look.proposals) == ("approved", "ada", ())
    assert look.command.id.startswith("finding-place-")
    assert look.command.go.stage_x_nm == 10.0, "where the reference was taken"
    assert bench.console.question(bench.questions[0].id).state == "approved"
    bench.runs(look)
    ran = bench.decide(make_command("other"))
    assert ran.command is not None
    assert (ran.verdict, ran.by, ran.command.id) == ("approved", "ada", "wanted")
    moved = (ran.command.go.stage_x_nm, ran.command.go.stage_y_nm)
    assert moved == pytest.approx((50.0 + 2 * PIXEL_NM, 20.0 - PIXEL_NM), abs=0.35 * PIXEL_NM)
    assert "; moved by 8" in ran.reason
    assert len(bench.questions) == 1
    assert bench.console.question(bench.questions[0].id).state == "executing"


def test_a_quick_answer_runs_at_once(bench: Bench, make_command: Make) -> None:
    bench.thinks_s = 5.0
    assert bench.decide(wanted(make_command)).command == wanted(make_command)


def test_what_drifted_too_far_is_put_again(bench: Bench, make_command: Make) -> None:
    bench.drifts_px = (9, 0)
    bench.runs(bench.decide(wanted(make_command)))
    bench.thinks_s = 1.0
    ran = bench.decide(make_command("other"))
    first, again = bench.questions
    assert bench.console.question(first.id).state == "expired"
    assert again.why == "it had drifted by 36 nm before it was approved"
    assert again.choices[0].x_nm == pytest.approx(50.0 + 9 * PIXEL_NM, abs=0.35 * PIXEL_NM)
    assert ran.command == again.choices[0].command


def test_what_cannot_be_found_is_put_again(bench: Bench, make_command: Make) -> None:
    bench.thinks_s = 30.0
    look = bench.decide(wanted(make_command))
    bench.drifting.matter[:] = 20.0
    bench.runs(look)
    lost = bench.decide(make_command("other"))
    assert (lost.verdict, lost.command) == ("timed_out", None)
    assert lost.reason == f"it cannot run any more: {LOST}"
    bench.answers, bench.gone = False, "nobody is there"
    bench.decide(make_command("other"))
    assert bench.console.status().question != bench.questions[0]


def test_a_stop_after_the_approval_stops_the_look_too(bench: Bench, make_command: Make) -> None:
    bench.runs(bench.decide(wanted(make_command)))
    bench.console.stop(ADA)
    assert bench.decide(make_command("other")).command is None


def test_it_looks_on_while_the_question_waits(bench: Bench, make_command: Make) -> None:
    bench.begin("watch", watch_e_per_A2_s=0.1)
    bench.answers, bench.thinks_s, bench.drifts_px = False, 3.0, (1, 0)
    looks = [bench.decide(wanted(make_command)) for _ in range(2)]
    for look in looks:
        assert look.command is not None
        assert (look.by, look.proposals) == ("envelope", ())
        assert look.command.id.startswith("finding-watching-")
        bench.runs(look)
    assert looks[0].command != looks[1].command, "no id is used twice"
    assert len(bench.questions) == 1, "one question, asked once"
    assert looks[0].command is not None
    fluence = fluence_e_per_A2(looks[0].command, bench.drifting.state(), bench.walls.capabilities)
    assert bench.waited == pytest.approx([max(0.5, fluence / 0.1)] * 2)
    bench.answers = True
    ran = bench.decide(make_command("other"))
    assert ran.command is not None
    assert ran.command.go.stage_x_nm == pytest.approx(50.0 + PIXEL_NM, abs=0.35 * PIXEL_NM), (
        "and needs no look of its own"
    )


def test_paused_nothing_looks_on(bench: Bench, make_command: Make) -> None:
    bench.begin("watch")
    bench.answers = False
    attend, waits = bench.attend, iter([True, True, False])

    def pausing(name: str | None, for_s: float | None) -> str:
        told = attend(name, for_s)
        bench.console.pause(ADA, next(waits))
        return told

    bench.review._attend = pausing
    assert bench.decide(wanted(make_command)).command is not None
    assert len(bench.waited) == 3, "twice paused, and the look comes after"


def test_the_dose_rate_is_kept(bench: Bench, make_command: Make) -> None:
    look = replace(wanted(make_command), id="look")
    situation = Situation(0, bench.drifting.state(), electrons_left=1e9, time_left_s=1e4)
    fluence = fluence_e_per_A2(look, situation.state, bench.walls.capabilities)
    sight = Sight(bench.walls, bench.drifting.state, bench.places, fluence / 7.0)
    assert math.isclose(sight.every_s(look, situation), 7.0)


def test_an_even_field_is_not_looked_at_in_vain(bench: Bench, make_command: Make) -> None:
    bench.drifting.matter[:] = 20.0
    bench.places.see(bench.drifting.observe(make_command("even", pixels=PIXELS)))
    decision = bench.decide(wanted(make_command))
    assert decision.command == wanted(make_command), "after 20 s it cannot be a tenth of 256 nm away"
    assert bench.questions[0].choices[0].finding == 0.0
    bench.thinks_s = 26.0
    assert bench.decide(wanted(make_command)).command is None
