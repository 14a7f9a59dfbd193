"""References come when they are due, and the policy inside does not notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from hardware_bridge.report import Percept
from policies.interface import Situation, Turn
from policies.references import Referenced
from policies.staring import Staring, StaringSettings


@pytest.fixture
def bench(make_bench: Callable[..., Any]) -> Any:
    made = make_bench()
    made.setup = made.setup.__class__(
        **{**vars(made.setup), "capabilities": replace(made.setup.capabilities, dark_references=True)}
    )
    return made


def situation(bench: Any, clock_s: float, turn: int = 0) -> Situation:
    return Situation(turn=turn, state=replace(bench.state, clock_s=clock_s), electrons_left=1e9, time_left_s=600.0)


def begun(bench: Any) -> tuple[Referenced, Staring]:
    inner = Staring(StaringSettings())
    policy = Referenced(inner, every_s=1800.0)
    policy.begin(bench.setup, 7)
    return policy, inner


def test_a_reference_comes_first_then_when_it_is_too_old(bench: Any) -> None:
    policy, inner = begun(bench)
    now = situation(bench, 100.0)
    first, *others = policy.suggest(now, 3)
    assert first.command.acquire is not None
    assert first.command.acquire.blanked
    assert first.electrons == 0.0
    assert first.reason == "A dark reference for HAADF at 5 us: there is none yet"
    assert others == list(inner.suggest(now, 2))
    seen = Percept(command_id=first.command.id, mode="HAADF", start_s=100.0, end_s=102.0)
    policy.ingest(Turn(index=0, command=first.command, percept=seen, verdict="approved", reason=""))
    later = situation(bench, 1901.0, turn=1)
    assert list(policy.suggest(later, 3)) == list(inner.suggest(later, 3))
    (again, *_) = policy.suggest(situation(bench, 1903.0, turn=2), 3)
    assert again.reason.endswith("the last is 30 min old")
    assert again.command.id != first.command.id


def test_a_reference_that_was_refused_is_proposed_again(bench: Any) -> None:
    policy, _ = begun(bench)
    first, *_ = policy.suggest(situation(bench, 100.0), 3)
    policy.ingest(Turn(index=0, command=first.command, percept=None, verdict="rejected", reason="busy"))
    again, *_ = policy.suggest(situation(bench, 102.0, turn=1), 3)
    assert again.command.acquire == first.command.acquire


def test_an_instrument_without_dark_references_is_told_at_the_start(make_bench: Callable[..., Any]) -> None:
    setup = make_bench().setup
    setup = setup.__class__(**{**vars(setup), "capabilities": replace(setup.capabilities, dark_references=False)})
    with pytest.raises(ValueError, match=r"references\.dark_every_s: this instrument takes no dark references"):
        Referenced(Staring(StaringSettings()), 60.0).begin(setup, 7)
