"""Asking gets rarer with agreement, down to a floor, and not for what the envelope forbids."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from scipy import stats

from agent.console.trust import Trust
from agent.record import Decision, Record
from hardware_bridge.messages import Command
from policies.interface import Verdict


def agreed(times: int, at_least: float = 0.01) -> Trust:
    trust = Trust(at_least)
    for _ in range(times):
        trust.learn("HAADF", True)
    return trust


def asked(trust: Trust, decisions: int = 1000) -> float:
    return sum(trust.asks("HAADF") for _ in range(decisions)) / decisions


def test_unknown_kinds_are_always_asked() -> None:
    assert asked(Trust(0.1)) == 1.0
    assert agreed(50).share("EELS") == 1.0


@pytest.mark.parametrize("times", [1, 10, 60])
def test_it_gets_rarer_as_people_agree(times: int) -> None:
    trust = agreed(times)
    weight = sum(0.99**n for n in range(times))
    # The bound by another's distribution, and what is asked is that share.
    assert trust.share("HAADF") == pytest.approx(stats.beta(1.0, 1.0 + weight).ppf(0.95))
    assert asked(trust) == pytest.approx(trust.share("HAADF"), abs=0.002)


def test_a_disagreement_brings_it_up_again() -> None:
    trust = agreed(20)
    before = trust.share("HAADF")
    trust.learn("HAADF", False)
    assert trust.share("HAADF") > 1.4 * before


def test_the_lab_has_a_floor() -> None:
    assert asked(agreed(500, at_least=0.25)) == 0.25
    assert asked(agreed(500, at_least=1.0)) == 1.0


def test_a_resumed_run_knows_what_people_thought(
    make_record: Callable[..., Record], make_command: Callable[..., Command]
) -> None:
    def told(verdict: Verdict, by: str, reason: str, command: Command | None) -> Record:
        record = make_record(0, None)
        changed: Decision = replace(record.decision, verdict=verdict, by=by, reason=reason, command=command)
        return replace(record, decision=changed)

    best = make_record(0, None).decision.proposals[0].command
    trust = Trust(0.1)
    trust.resume([
        told("approved", "ada", "good", best),
        told("approved", "ada", "approved beforehand: good", best),
        told("approved", "envelope", "good", best),
        told("approved", "ada", "alternative 1: other", make_command("c0b")),
        told("edited", "ada", "dwell", make_command("c0-edited")),
        told("refused", "ada", "wrong place", None),
        told("timed_out", "nobody", "nobody answered in time", None),
    ])  # fmt: skip
    (found,) = trust.told()
    assert (found.kind, round(found.agreed), round(found.differed)) == ("HAADF", 1, 3)
