from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.console.standing import Standing, kind_of
from agent.console.words import Grant, Mode
from hardware_bridge.messages import Command

Make = Callable[..., Command]


@pytest.mark.parametrize(
    ("mode", "outside", "has_envelope", "why"),
    [
        ("every", "", True, "every decision is asked"),
        ("outside", "", True, ""),
        ("outside", "too far", True, "too far"),
        ("outside", "", False, "there is no envelope"),
        ("none", "too far", True, ""),
    ],
)
def test_why_something_is_asked(mode: Mode, outside: str, has_envelope: bool, why: str) -> None:
    standing = Standing(mode)
    assert standing.why_ask(outside, has_envelope) == why
    standing.taken_by = "ada"
    assert standing.why_ask(outside, has_envelope) == "ada has taken over"


def test_the_next_n(make_command: Make) -> None:
    standing = Standing("every", grants=(Grant(by="ada", left=2),))
    covers = [standing.cover(make_command(), 0.0) for _ in range(3)]
    assert [grant.left if grant is not None else None for grant in covers] == [1, 0, None]


def test_one_kind_for_some_time(make_command: Make) -> None:
    standing = Standing("every", grants=(Grant(by="ada", kind="EELS", until_s=10.0),))
    assert standing.cover(make_command(mode="HAADF"), 5.0) is None
    assert standing.cover(make_command(mode="EELS"), 5.0) is not None
    assert standing.cover(make_command(mode="EELS"), 10.0) is None
    assert standing.grants == ()


def test_nothing_is_covered_while_somebody_has_taken_over(make_command: Make) -> None:
    standing = Standing("every", taken_by="ada", grants=(Grant(by="ada", left=2),))
    assert standing.cover(make_command(), 0.0) is None
    assert standing.grants == (Grant(by="ada", left=2),)


def test_kinds(make_command: Make) -> None:
    assert kind_of(make_command(mode="EELS")) == "EELS"
    assert kind_of(replace(make_command(), acquire=None)) == "move"
