"""Blanking in a thread of its own: in order, whatever a driver raises, and nobody waits."""

import threading
from collections.abc import Iterator

import pytest

from hardware_bridge.hand import Hand


@pytest.fixture
def hand() -> Iterator[Hand]:
    hand = Hand()
    hand.start()
    yield hand
    hand.close()
    hand.join(5.0)


def test_one_after_the_other_and_then_what_was_to_follow(hand: Hand) -> None:
    done: list[str] = []
    for name in "ab":
        hand.do(lambda name=name: done.append(name), lambda name=name: done.append(f"after {name}"))
    hand.do(lambda: None)
    assert hand.settled(5.0)
    assert done == ["a", "after a", "b", "after b"]


def test_a_driver_that_raises_is_no_reason_to_stop(hand: Hand, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    hand.do(lambda: [][0], done.set)
    assert done.wait(5.0)
    assert "blanking failed" in caplog.text
    hand.do(lambda: None)
    assert hand.settled(5.0)


def test_a_driver_that_hangs_is_seen_to_hang(hand: Hand) -> None:
    go_on = threading.Event()
    hand.do(lambda: go_on.wait(10.0) and None)
    assert not hand.settled(0.05)
    go_on.set()
    assert hand.settled(5.0)
