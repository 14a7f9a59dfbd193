"""A late decision is told once, and only where it matters."""

import logging

import pytest

from policies.bayes.lateness import Lateness


def test_a_late_measurement_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    lateness = Lateness()
    lateness.decided(100.0)
    with caplog.at_level(logging.WARNING):
        told = lateness.measured(130.0, time_s=100.0)
    assert told == (
        "The decision came late: the measurement ended 30.0 s after it was expected to, "
        "and what was forecast for it has lost 26% of its weight"
    )
    assert caplog.messages == [told]


@pytest.mark.parametrize("end_s", [80.0, 100.0, 105.0])
def test_one_in_time_is_not(end_s: float, caplog: pytest.LogCaptureFixture) -> None:
    lateness = Lateness()
    lateness.decided(100.0)
    assert lateness.measured(end_s, time_s=100.0) is None
    assert caplog.messages == []


def test_each_decision_is_told_once_and_a_replay_never() -> None:
    lateness = Lateness()
    assert lateness.measured(1e6, time_s=100.0) is None
    lateness.decided(100.0)
    assert lateness.measured(200.0, time_s=100.0)
    assert lateness.measured(300.0, time_s=100.0) is None
