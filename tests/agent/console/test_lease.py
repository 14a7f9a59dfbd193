import pytest

from agent.console.lease import LEASE_S, Lease
from agent.console.words import Forbidden, Person

ADA = Person(name="ada", role="operator", screen="s1")
ADA_TOO = Person(name="ada", role="operator", screen="s2")
BOB = Person(name="bob", role="operator", screen="s3")
EVE = Person(name="eve", role="observer", screen="s4")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(clock)


def test_one_holder_at_a_time(lease: Lease) -> None:
    lease.take(ADA)
    assert lease.holder == ADA
    for other in (BOB, ADA_TOO):
        with pytest.raises(Forbidden, match="ada at s1 holds the lease"):
            lease.take(other)
    lease.drop(BOB)
    assert lease.holder == ADA
    lease.drop(ADA)
    lease.take(BOB)
    assert lease.holder == BOB


def test_an_observer_decides_nothing(lease: Lease) -> None:
    lease.take(ADA)
    for force in (False, True):
        with pytest.raises(Forbidden, match="eve is an observer"):
            lease.take(EVE, force)
        assert lease.holder == ADA


def test_taken_by_force(lease: Lease) -> None:
    lease.take(ADA)
    lease.take(BOB, force=True)
    assert lease.holder == BOB


def test_silence_gives_it_up_and_being_heard_keeps_it(lease: Lease, clock: Clock) -> None:
    lease.take(ADA)
    clock.now_s += LEASE_S
    lease.heard(BOB)
    lease.heard(ADA)
    clock.now_s += LEASE_S
    assert lease.holder == ADA
    lease.heard(BOB)
    clock.now_s += 0.1
    assert lease.holder is None
    lease.heard(ADA)
    assert lease.holder is None, "who was gone has to take it again"
