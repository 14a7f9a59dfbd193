"""One holder, a token that only grows, and silence that ends in a blank and then in the loss of the lease."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hardware_bridge.errors import NotHeld
from hardware_bridge.lease import WAIT_S, Lease

HEARTBEAT_S, LEASE_S = 0.4, 10.0


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(HEARTBEAT_S, LEASE_S, token=41, clock=clock)


def test_the_first_token_is_greater_than_any_that_was_given_before(lease: Lease) -> None:
    assert lease.take("a", "A") == 42
    assert lease.take("a", "A") == 42
    lease.drop("a", 42)
    assert lease.take("b", "B") == 43


def test_only_the_holder_under_its_token_is_heard(lease: Lease) -> None:
    token = lease.take("a", "A")
    with pytest.raises(NotHeld, match="A"):
        lease.take("b", "B")
    for session, wrong in (("b", token), ("a", token - 1), ("a", token + 1)):
        for act in (lease.beat, lease.work, lease.wait, lease.check, lease.drop):
            with pytest.raises(NotHeld):
                act(session, wrong)
    lease.check("a", token)


def test_silence_ends_what_runs_and_then_the_lease(lease: Lease, clock: Clock) -> None:
    token = lease.take("a", "A")
    lease.work("a", token)
    clock.now_s += 0.39
    assert lease.is_live()
    clock.now_s += 0.02
    assert not lease.is_live()
    clock.now_s += 9.5
    assert not lease.expire()
    clock.now_s += 0.2
    assert lease.expire()
    assert not lease.expire()
    with pytest.raises(NotHeld):
        lease.beat("a", token)


def test_a_process_that_lives_is_no_loop_that_lives(lease: Lease, clock: Clock) -> None:
    token = lease.take("a", "A")
    lease.work("a", token)
    for _ in range(11):
        clock.now_s += 1.0
        lease.present("a", token)
        assert not lease.is_live()
    assert lease.expire()


def test_others_are_told_how_long_the_loop_is_silent_whatever_its_process_says(lease: Lease, clock: Clock) -> None:
    token = lease.take("a", "A")
    lease.work("a", token)
    clock.now_s += 3.0
    lease.present("a", token)
    tenure = lease.tenure()
    assert tenure is not None
    assert (tenure.held_s, tenure.silent_s) == (3.0, 3.0)
    lease.wait("a", token)
    clock.now_s += 2.0
    lease.present("a", token)
    clock.now_s += 0.5
    tenure = lease.tenure()
    assert tenure is not None
    assert tenure.silent_s == 0.5


def test_whoever_waits_blanked_keeps_the_lease_for_an_hour(lease: Lease, clock: Clock) -> None:
    token = lease.take("a", "A")
    lease.wait("a", token)
    while clock.now_s < 100.0 + WAIT_S - 10.0:
        clock.now_s += 5.0
        lease.present("a", token)
        assert not lease.expire()
    clock.now_s += 30.0
    lease.present("a", token)
    assert lease.expire()


def test_whoever_dies_while_waiting_loses_it_like_anybody(lease: Lease, clock: Clock) -> None:
    lease.wait("a", lease.take("a", "A"))
    clock.now_s += 10.1
    assert lease.expire()


class Model(RuleBasedStateMachine):
    """Several clients do anything in any order: at most one holds, under the greatest token of all."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.lease = Lease(HEARTBEAT_S, LEASE_S, clock=self.clock)
        self.tokens: dict[str, int] = {}
        self.greatest = 0

    @rule(who=st.sampled_from("abc"))
    def take(self, who: str) -> None:
        held_by = self.lease.session
        try:
            token = self.lease.take(who, who)
        except NotHeld:
            assert held_by not in (None, who)
            return
        assert held_by in (None, who)
        assert token == self.greatest + (held_by is None)
        self.tokens[who] = self.greatest = token

    @rule(who=st.sampled_from("abc"), act=st.sampled_from(["beat", "work", "wait", "check", "drop"]))
    def act(self, who: str, act: str) -> None:
        may = self.lease.session == who and self.tokens.get(who) == self.greatest
        try:
            getattr(self.lease, act)(who, self.tokens.get(who, 0))
        except NotHeld:
            assert not may
        else:
            assert may

    @rule(seconds=st.sampled_from([0.1, 0.5, 9.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.lease.expire()

    @invariant()
    def the_token_never_shrinks(self) -> None:
        assert self.lease.token == self.greatest


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=30)
