"""The policy says when what it forecast came too late to be true."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from policies.bayes.policy import BayesPolicy
from policies.bayes.settings import BayesSettings


@pytest.mark.parametrize(("delay_s", "warnings"), [(0.0, 0), (120.0, 1)])
def test_a_late_decision_is_told(
    make_bench: Callable[..., Any], caplog: pytest.LogCaptureFixture, delay_s: float, warnings: int
) -> None:
    bench = make_bench()
    policy = BayesPolicy(BayesSettings())
    policy.begin(bench.setup, 0)
    proposal = policy.suggest(bench.situation(0), 1)[0]
    # Looking itself takes longer than this may be late, and is expected to.
    for field in policy.belief.fields.values():
        field.kernel = replace(field.kernel, time_s=4.0)
    assert proposal.time_s > 0.1 * 4.0
    # Somebody was asked and took this long to answer.
    bench.state = changed(bench.state, clock_s=bench.state.clock_s + delay_s)
    turn = bench.execute(proposal.command, bench.situation(0))
    with caplog.at_level(logging.WARNING):
        policy.ingest(turn)
        policy.ingest(replace(turn, index=1))
    told = [record for record in caplog.messages if record.startswith("The decision came late")]
    assert len(told) == warnings
