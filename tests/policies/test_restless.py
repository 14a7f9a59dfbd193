"""Who is stuck is noticed, told, and offered something else; who is not, is left alone."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from msgspec.structs import replace

from hardware_bridge.geometry import field_centre_nm
from policies.bayes.policy import BayesPolicy
from policies.bayes.settings import BayesSettings
from policies.interface import Proposal, Situation
from policies.restless import LOOKS, NAME, Restless
from policies.staring import Staring, StaringSettings

LONG = 93
"""Looks of 0.653 s until one begins more than a tenth of 600 s after the first."""


class Hopeful(Staring):
    """Stares, and promises as much at every look."""

    def suggest(self, situation: Situation, n: int) -> list[Proposal]:
        return [replace(each, information=0.01) for each in super().suggest(situation, n)]


class Learning(Staring):
    """Stares, and promises less the longer it does."""

    def suggest(self, situation: Situation, n: int) -> list[Proposal]:
        return [replace(each, information=0.01 * 0.97**situation.turn) for each in super().suggest(situation, n)]


def begun(bench: Any, policy: Any) -> Restless:
    made = Restless(policy)
    made.begin(bench.setup, 5)
    return made


def test_who_hopes_at_one_place_in_vain_is_sent_elsewhere(bench: Any) -> None:
    policy = begun(bench, Hopeful(StaringSettings()))
    bench.run(policy, LONG)
    assert all(not turn.command.id.startswith(NAME) for turn in bench.turns)
    shown = policy.suggest(bench.situation(LONG), 6)
    away, wide, focus, *others = shown
    assert [each.proposer for each in (away, wide, focus)] == [NAME] * 3
    assert others[0].proposer != NAME
    assert away.reason.startswith(
        f"Stuck: {bench.turns[-1].percept.start_s - 10.0:.0f} s at one place, and it promises 0.01"
    )
    able = bench.setup.capabilities
    stared = [(turn.percept.x_nm, turn.percept.y_nm) for turn in bench.turns]
    assert all(math.dist(field_centre_nm(away.command.go, able), place) > 800.0 for place in stared)
    before = bench.turns[-1].command
    assert wide.command.acquire.fov_nm > 1.5 * before.acquire.fov_nm
    assert focus.command.set.optics.C10_nm - before.set.optics.C10_nm == pytest.approx(
        4 * 1.77 * 2.50793e-3 / 1e-4, rel=1e-3
    )
    assert len({each.command.id for each in shown}) == len(shown)


def test_after_something_else_it_is_left_alone_for_a_while(bench: Any) -> None:
    policy = begun(bench, Hopeful(StaringSettings()))
    bench.run(policy, LONG + 1)
    assert bench.turns[-1].command.id.startswith(NAME)
    assert all(each.proposer != NAME for each in policy.suggest(bench.situation(LONG + 1), 4))
    bench.run(policy, 2 * LONG)
    assert [turn.command.id.startswith(NAME) for turn in bench.turns[LONG + 1 :]].count(True) in (1, 2)


@pytest.mark.parametrize("policy", [Learning(StaringSettings()), Staring(StaringSettings())])
def test_who_learns_or_promises_nothing_is_not_stuck(bench: Any, policy: Any) -> None:
    restless = begun(bench, policy)
    bench.run(restless, 2 * LONG)
    assert all(not turn.command.id.startswith(NAME) for turn in bench.turns)


def test_who_sees_nothing_that_can_be_read_is_stuck_wherever_it_looks(bench: Any) -> None:
    policy = begun(bench, BayesPolicy(BayesSettings()))
    for index in range(LOOKS):
        situation = bench.situation(index)
        offered = tuple(policy.suggest(situation, 4))
        turn = bench.execute(offered[0].command, situation)
        blind = replace(turn.percept, quality={"usable": 0.0}, estimates={}, particles=())
        policy.ingest(dataclasses.replace(turn, offered=offered, percept=blind))
    first = policy.suggest(bench.situation(LOOKS), 4)[0]
    assert first.proposer == NAME
    assert first.reason.startswith("Stuck: the last 8 looks showed nothing that could be read: the same look at (")


def test_a_policy_that_gets_on_is_what_it_was(bench: Any, make_bench: Any) -> None:
    other = make_bench()
    free = BayesPolicy(BayesSettings())
    free.begin(other.setup, 5)
    bench.run(begun(bench, BayesPolicy(BayesSettings())), 60)
    other.run(free, 60)
    assert [turn.command for turn in bench.turns] == [turn.command for turn in other.turns]
