"""The timing of perception: every stage is timed on images that came from the twin."""

import sys

import pytest

from experiments.benchmarks import perception


def test_stages_are_timed_and_left_as_they_were() -> None:
    capabilities, observations = perception.record(64, 3)
    assert [o.data.shape for o in observations] == [(64, 64)] * 3
    before = perception.Drift.register
    taken = perception.milliseconds(capabilities, observations, 1)
    assert taken.shape == (3, len(perception.STAGES))
    assert (taken > 0.0).all()
    whole, *parts = taken.T
    assert (whole > sum(parts)).all()
    assert perception.Drift.register is before
    assert perception.report_ms(capabilities, observations, 1) > 0.0


def test_a_spectrum_is_timed() -> None:
    assert perception.spectrum_ms(1) > 0.0


def test_help_gives_an_example(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["perception", "--help"])
    with pytest.raises(SystemExit):
        perception.main()
    assert "python -m experiments.benchmarks.perception" in capsys.readouterr().out
