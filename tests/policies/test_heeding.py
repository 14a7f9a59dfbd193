"""What a person did not want stands back, for the reason that they gave; whoever approves it later is heeded too."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.messages import Command
from policies.bayes.policy import BayesPolicy
from policies.bayes.settings import BayesSettings
from policies.book import with_current
from policies.commands import View, looking
from policies.heeding import DOSE, FOCUS, OTHER, PLACE, SEEN, FADES_s, Heeding
from policies.interface import Proposal, Setup, Situation, Turn, Verdict
from policies.pointing import Pointing


class Menu:
    """A policy that always offers the same looks, in the same order."""

    name, sees_truth = "menu", False

    def __init__(self) -> None:
        self.learned: list[Turn] = []

    def begin(self, setup: Setup, seed: int) -> None:
        self.setup, self.pointing = setup, Pointing(setup)

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        places = [
            ((0.0, 0.0), 20.0, 0.0),
            ((20.0, 0.0), 20.0, 500.0),
            ((600.0, 0.0), 20.0, 0.0),
            ((0.0, 600.0), 5.0, 0.0),
        ]
        return [
            Proposal(
                command=self.look(situation, place, current_pA, C10_nm, rank), information=0.1, information_sd=0.0,
                electrons=1e6, time_s=1.0, reason=f"look {rank}", proposer="menu" if rank else "first",
            )
            for rank, (place, current_pA, C10_nm) in enumerate(places)
        ][:n]  # fmt: skip

    def look(self, situation: Situation, place: Any, current_pA: float, C10_nm: float, rank: int) -> Command:
        go = self.pointing.go(place, 128.0, situation.state)
        return looking(f"m{situation.turn}-{rank}", go, View(fov_nm=128.0, pixels=64, dwell_s=1e-5), current_pA, C10_nm)

    def ingest(self, turn: Turn) -> None:
        self.learned.append(turn)


@pytest.fixture
def policy(bench: Any) -> Heeding:
    made = Heeding(Menu())
    made.begin(bench.setup, 1)
    return made


def order(policy: Heeding, bench: Any, turn: int = 1, clock_s: float = 20.0) -> list[str]:
    now = dataclasses.replace(bench.situation(turn), state=replace(bench.state, clock_s=clock_s))
    return [each.command.id[-1] for each in policy.suggest(now, 4)]


def told(
    policy: Heeding, bench: Any, verdict: Verdict, reason: str, command: Command | None = None, by: str = "ada"
) -> None:
    offered = tuple(policy.suggest(bench.situation(0), 4))
    policy.ingest(Turn(0, command, None, verdict, reason, offered, by, 10.0))


@pytest.mark.parametrize(
    ("reason", "left"),
    [
        # A look 20 nm aside is the same place for a field of 128 nm.
        (PLACE, "2301"),
        (f"{SEEN}: twice", "2301"),
        # All with at least as many electrons to the area; the last has a quarter of them.
        (DOSE, "3012"),
        # The second look at the place is at another focus.
        (FOCUS, "1230"),
        # Nobody knows what it was about the first: who proposed it, and where.
        (OTHER, "1230"),
        ("I would rather not", "1230"),
    ],
)
def test_what_is_alike_stands_back(policy: Heeding, bench: Any, reason: str, left: str) -> None:
    assert "".join(order(policy, bench)) == "0123"
    told(policy, bench, "refused", reason)
    assert "".join(order(policy, bench)) == left
    last = policy.suggest(bench.situation(1), 4)[-1]
    assert "like what ada did not want" in last.reason


def test_a_refusal_of_the_envelope_is_nobodys_opinion(policy: Heeding, bench: Any) -> None:
    told(policy, bench, "refused", PLACE, by="envelope")
    assert "".join(order(policy, bench)) == "0123"


def test_what_was_seen_already_may_be_looked_at_later(policy: Heeding, bench: Any) -> None:
    told(policy, bench, "refused", SEEN)
    assert "".join(order(policy, bench, clock_s=10.0 + 0.9 * FADES_s)) == "2301"
    assert "".join(order(policy, bench, clock_s=10.0 + 1.1 * FADES_s)) == "0123"


def test_who_approves_it_after_all_has_changed_their_mind(policy: Heeding, bench: Any) -> None:
    told(policy, bench, "refused", PLACE)
    menu = policy.suggest(bench.situation(0), 4)
    told(policy, bench, "approved", "", menu[-1].command)
    assert "".join(order(policy, bench)) == "0123"


def test_what_was_changed_says_why(policy: Heeding, bench: Any) -> None:
    first = policy.suggest(bench.situation(0), 4)[0].command
    told(policy, bench, "edited", "", with_current(first, 4.0))
    assert "".join(order(policy, bench)) == "3012"
    policy.begin(bench.setup, 1)
    optics = replace(first.set.optics, C10_nm=-300.0)
    told(policy, bench, "edited", "", replace(first, set=replace(first.set, optics=optics)))
    assert "".join(order(policy, bench)) == "1230"
    policy.begin(bench.setup, 1)
    go = Pointing(bench.setup).go((300.0, 300.0), 128.0, bench.state)
    told(policy, bench, "edited", "", replace(first, go=go))
    assert "".join(order(policy, bench)) == "2301"


def test_the_policy_inside_learns_and_a_new_run_knows_nothing(policy: Heeding, bench: Any) -> None:
    told(policy, bench, "refused", PLACE)
    inner = policy._policy
    assert isinstance(inner, Menu)
    assert [turn.verdict for turn in inner.learned] == ["refused"]
    policy.begin(bench.setup, 2)
    assert "".join(order(policy, bench)) == "0123"


def test_the_bayesian_policy_looks_elsewhere_after_a_wrong_place(bench: Any) -> None:
    policy, free = Heeding(BayesPolicy(BayesSettings())), BayesPolicy(BayesSettings())
    for each in (policy, free):
        each.begin(bench.setup, 3)
    offered = policy.suggest(bench.situation(0), 4)
    assert list(offered) == list(free.suggest(bench.situation(0), 4))
    refused = Turn(0, None, None, "refused", PLACE, tuple(offered), "ada", 10.0)
    for each in (policy, free):
        each.ingest(refused)
    able = bench.setup.capabilities
    at, still, now = (
        field_centre_nm(each.command.go, able)
        for each in (offered[0], free.suggest(bench.situation(1), 4)[0], policy.suggest(bench.situation(1), 4)[0])
    )
    assert still == at
    assert now != at
