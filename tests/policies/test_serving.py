"""A served chooser chooses as the agent's own, for many at once; while the actor is away or wrong the own one does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent import assemble, twins
from agent.config import load
from agent.lessons import outlook_of
from agent.loop import Loop
from agent.record import Record
from agent.review import Autonomous, Walls
from hardware_bridge.guard import Guard
from hardware_bridge.observation import Observation
from hardware_bridge.words import encode
from policies.bayes.chooser import GreedyChooser
from policies.greedy import Greedy, GreedySettings
from policies.interface import Chooser, Proposal, Setup, Situation
from policies.serving import _LENGTH, Answer, Question, Served, desk, orders, receive

ROOT = Path(__file__).resolve().parents[2]
slow_ray = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")


class Nowhere:
    def write(self, record: Record, observation: Observation | None) -> Record:
        return record


def agent(served: Callable[[Chooser], Chooser] = lambda own: own, seed: int = 1) -> Loop:
    """Greedy at the twin of valence, with a chooser put in front of its own."""
    overrides = ["instrument.kind=twin", "policy.settings={}", "policy.name=greedy"]
    config = load(ROOT / "agent" / "worlds" / "valence.toml", overrides, assemble.CHOICES)
    card, microscope = assemble.card_of(config), Guard(twins.driver(config, seed), config.limits)
    able = microscope.describe()
    setup = Setup(able, config.limits, card, 0.0, config.budget.duration_s, config.budget.electrons)
    policy = Greedy(GreedySettings(), outlook_of("valence"), served)
    policy.begin(setup, seed)
    return Loop(
        microscope=microscope,
        policy=policy,
        perceive=assemble.perception(able, card, config).perceive,
        review=Autonomous(Walls(config.limits, able, config.review.envelope)),
        recorder=Nowhere(),
        setup=setup,
    )


def turns(loop: Loop, n: int) -> list[Record]:
    return list(loop.run(loop.turn + n))


def commands(records: Sequence[Record]) -> list[object]:
    return [record.decision.command for record in records]


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60.0
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture(scope="module")
def asked() -> tuple[Chooser, Sequence[Proposal], Situation]:
    """A chooser, with candidates it has an order for."""
    kept: list[tuple[Chooser, Sequence[Proposal], Situation]] = []

    class Keeping:
        def __init__(self, own: Chooser) -> None:
            self.own = own

        def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
            kept.append((self.own, proposals, situation))
            return self.own.rank(proposals, situation)

    turns(agent(Keeping), 2)
    return kept[-1]


Reply = Callable[[Question], Answer | bytes | None]


@pytest.fixture
def answered_by() -> Iterator[Callable[[Chooser, Reply], Served]]:
    """A served chooser whose answers a function of the test gives, in the place of the messenger."""
    made: list[Served] = []

    class Told(Served):
        def __init__(self, own: Chooser, reply: Reply) -> None:
            super().__init__(own, patience_s=0.3)
            self.reply = reply
            made.append(self)

        def _opened(self) -> socket.socket:
            self._line, far = socket.socketpair()
            self._messenger = threading.Thread(target=self.speak, args=(far,), daemon=True)
            self._messenger.kill = lambda: None  # type: ignore[attr-defined]
            self._messenger.start()
            return self._line

        def speak(self, far: socket.socket) -> None:
            with far, contextlib.suppress(ConnectionError):
                while True:
                    said = self.reply(receive(far, Question, None))
                    if said is not None:
                        body = said if isinstance(said, bytes) else encode(said)
                        far.sendall(_LENGTH.pack(len(body)) + body)

    yield Told
    for served in made:
        served.close()


def right(question: Question) -> Answer:
    last = len(question.proposals) - 1
    return Answer(key=question.key, order=(last, 0), node="here")


def test_an_order_of_ones_own_candidates_is_followed(asked: Any, answered_by: Any) -> None:
    own, proposals, situation = asked
    served = answered_by(own, right)
    assert served.rank(proposals, situation) == [proposals[-1], proposals[0]]
    assert (served.answered, served.own_answers, served.node) == (1, 0, "here")


@pytest.mark.parametrize(
    "reply",
    [
        lambda question: Answer(key="q0", order=(1, 0), node="n"),
        lambda question: Answer(key=question.key, order=(0, len(question.proposals)), node="n"),
        lambda question: Answer(key=question.key, order=(1, 1), node="n"),
        lambda question: Answer(key=question.key, order=(), node="n"),
        lambda question: b"\xc1 no message",
        lambda question: None,
    ],
    ids=["of another question", "of no candidate", "twice the same", "no order", "no message", "silence"],
)
def test_what_is_no_answer_to_this_question_is_not_followed(reply: Reply, asked: Any, answered_by: Any) -> None:
    own, proposals, situation = asked
    served = answered_by(own, reply)
    assert served.rank(proposals, situation) == own.rank(proposals, situation)
    assert (served.answered, served.own_answers) == (0, 1)


def test_a_late_answer_is_nobodys(asked: Any, answered_by: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own, proposals, situation = asked
    monkeypatch.setattr("policies.serving.AGAIN_S", 0.0)
    wait = threading.Event()

    def late(question: Question) -> Answer:
        if question.key == "q1":
            assert wait.wait(60.0)
            return Answer(key="q1", order=(len(question.proposals) - 1,), node="late")
        return Answer(key=question.key, order=(0,), node="prompt")

    served = answered_by(own, late)
    assert served.rank(proposals, situation) == own.rank(proposals, situation)
    assert served.rank(proposals, situation) == own.rank(proposals, situation), "the first question still waits"
    wait.set()
    assert served.rank(proposals, situation) == [proposals[0]]
    assert (served.answered, served.own_answers, served.node) == (1, 2, "prompt")


def test_many_questions_get_the_answers_that_each_would_get(asked: Any) -> None:
    own, proposals, situation = asked

    class Many(GreedyChooser):
        def rank_many(self, asked: Sequence[tuple[Sequence[Proposal], Situation]]) -> Sequence[Sequence[Proposal]]:
            return [self.rank(some, how) for some, how in asked]

    def question(some: Sequence[Proposal]) -> Question:
        return Question(
            key="q", proposals=tuple(some), turn=1, state=situation.state,
            electrons_left=situation.electrons_left, time_left_s=situation.time_left_s,
        )  # fmt: skip

    questions = [question(proposals), question(proposals[:5]), question(proposals[::-1])]
    single = orders(own, questions)
    assert single == orders(Many(own.capabilities, own.electron_weight), questions)
    best = own.rank(proposals, situation)[0]
    assert proposals[single[0][0]] == best == proposals[::-1][single[2][0]]


@pytest.mark.slow
@slow_ray
@pytest.mark.timeout(240)
def test_the_agent_goes_on_while_the_actors_node_is_lost_and_comes_back_to_it(
    cluster: Any, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("policies.serving.AGAIN_S", 0.2)
    first, made = cluster.add_node(num_cpus=1), []

    def served(own: Chooser) -> Chooser:
        made.append(Served(own, cluster.address))
        return made[-1]

    loop, alone = agent(served), turns(agent(), 9)
    (line,) = made

    def answers() -> bool:
        loop.policy.suggest(loop.look(), 1)
        return line.answered > 0

    until(answers, "the actor never answered")
    record = turns(loop, 3)
    before = line.node
    killed_s = time.monotonic()
    cluster.remove_node(first, allow_graceful=False)
    record += turns(loop, 3)  # with nobody there
    assert line.own_answers >= 1
    cluster.add_node(num_cpus=1)

    def answers_from_elsewhere() -> bool:
        loop.policy.suggest(loop.look(), 1)
        return line.node != before

    until(answers_from_elsewhere, "the actor never came back")
    recovered_s = time.monotonic() - killed_s
    record_property("recovered_s", round(recovered_s, 2))
    print(f"an answer from another node {recovered_s:.2f} s after the kill")
    record += turns(loop, 3)
    assert commands(record) == commands(alone)
    assert len({each.id for each in commands(record)}) == 9
    line.close()


@pytest.mark.slow
@slow_ray
@pytest.mark.timeout(240)
def test_one_actor_answers_many_at_once_and_a_lost_head_loses_no_agent(cluster: Any, asked: Any) -> None:
    import ray

    cluster.add_node(num_cpus=1)
    own, proposals, situation = asked
    actor = desk(own)
    assert desk(own) == actor
    question = Question(
        key="q", proposals=tuple(proposals), turn=1, state=situation.state,
        electrons_left=situation.electrons_left, time_left_s=situation.time_left_s,
    )  # fmt: skip
    answers = ray.get([actor.answer.remote(encode(question)) for _ in range(200)])
    questions, batches = ray.get(actor.answered.remote())
    assert questions == 200
    assert batches < 200
    print(f"{questions} questions in {batches} batches")
    assert len({*answers}) == 1
    served = Served(own, cluster.address, patience_s=1.0)

    def answers_now() -> bool:
        served._again_s = 0.0
        assert served.rank(proposals, situation) == own.rank(proposals, situation)
        return served.answered > 0

    until(answers_now, "the actor never answered")
    another = Served(own, cluster.address, patience_s=1.0)

    def another_answers_now() -> bool:
        another._again_s = 0.0
        another.rank(proposals, situation)
        return another.answered > 0

    until(another_answers_now, "the actor never answered the other")
    assert ray.get(actor.answered.remote())[0] >= 202, "both ask the same actor"
    another.close()
    # Head and all: nothing of Ray is left, the agent's process and its chooser are.
    ray.shutdown()
    cluster.shutdown()
    until(lambda: not served._messenger.is_alive() or not os.kill(served._messenger.pid, signal.SIGKILL), "it stays")
    assert served.rank(proposals, situation) == own.rank(proposals, situation)
    served.close()
