"""The study of hidden twins: short sessions are fitted within their errors, and a recorded run is."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from agent import assemble
from agent.cli import main
from agent.config import from_table, load
from agent.run import begin
from agent.watched import Watched
from experiments.calibrate_twin.__main__ import report
from experiments.calibrate_twin.picture import draw
from experiments.calibrate_twin.study import Plan, hidden, measure

CONFIG = Path(__file__).parents[2] / "experiments" / "calibrate_twin" / "config.toml"
SHORT = Plan(cycles=12, repeats=12, through_focus=8)


@pytest.fixture(scope="module")
def outcomes():
    return [measure(seed, SHORT) for seed in (1, 2)]


def test_short_sessions_are_fitted_within_their_errors(outcomes):
    z = {}
    for outcome in outcomes:
        for each, true in outcome.told():
            z.setdefault(each.name, []).append(each.z(true))
    assert {"gain_counts_per_electron", "offset_counts", "read_noise_counts", "dark_counts_per_s"} <= set(z)
    assert max(abs(value) for values in z.values() for value in values) < 4.0
    assert sum(abs(v) < 1.96 for values in z.values() for v in values) >= 0.7 * sum(map(len, z.values()))


def test_every_parameter_is_told_or_the_reason_is(outcomes):
    for outcome in outcomes:
        names = {each.name for each in outcome.fitted.found.parameters}
        assert set(outcome.truth) <= names
        assert all(each.note for each in outcome.fitted.found.parameters)


def test_hidden_twins_differ_and_are_those_of_their_seeds():
    assert hidden(1) == hidden(1)
    assert hidden(1).readout != hidden(2).readout


def test_the_page_and_the_picture_are_made(outcomes, tmp_path):
    text = report(outcomes)
    assert "| gain_counts_per_electron | 2 of 2 |" in text
    draw(outcomes, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_recorded_run_becomes_a_twin_that_runs(tmp_path, capfd):
    config = load(CONFIG, ["budget.turns=45"], assemble.CHOICES)
    with open("/dev/null", "w") as silent:
        begin(config, 1, tmp_path / "run", Watched(0, silent))
    assert main(["twin", "calibrate", str(tmp_path / "run"), "--out", str(tmp_path / "twin.toml")]) == 0
    part = tomllib.loads((tmp_path / "twin.toml").read_text())["instrument"]
    told, true = part["readout"], config.instrument.readout
    assert told["offset_counts"] == pytest.approx(true["offset_counts"], abs=0.5)
    assert told["read_noise_counts"] == pytest.approx(true["read_noise_counts"], rel=0.03)
    assert math.log(told["gain_counts_per_electron"] / true["gain_counts_per_electron"]) == pytest.approx(0, abs=0.25)
    table = tomllib.loads(CONFIG.read_text())
    table["instrument"] |= part
    fitted = from_table(table, (), "fitted", assemble.CHOICES)
    assert fitted.instrument.readout == told
    assert np.isfinite(list(fitted.instrument.conditions.values())).all()
