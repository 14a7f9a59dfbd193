"""Focus is kept within its tolerance, and what features are is checked, whatever else pays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hardware_bridge.report import Particle
from policies.bayes.grid import Grid
from policies.bayes.labels import Labels
from policies.bayes.policy import BayesPolicy
from policies.bayes.settings import BayesSettings, RefocusSettings, SpectrumSettings


def played(make_bench: Callable[..., Any], settings: BayesSettings, turns: int) -> tuple[BayesPolicy, list[str]]:
    bench = make_bench()
    policy = BayesPolicy(settings)
    policy.begin(bench.setup, 0)
    bench.run(policy, turns)
    return policy, [shown[0].proposer for shown in bench.shown]


def test_focus_is_kept_within_its_tolerance(make_bench: Callable[..., Any]) -> None:
    kept, who = played(make_bench, BayesSettings(refocus=RefocusSettings(tolerance_nm=120.0, every=3)), 60)
    _, careless = played(make_bench, BayesSettings(refocus=RefocusSettings(tolerance_nm=1e4, horizon_images=1e-3)), 60)
    assert np.sqrt(kept.belief.focus.over(kept.belief.grid.places, 60.0)[1].mean()) < 120.0
    assert who.count("refocus") > 2 > careless.count("refocus")
    # Once it is known well enough nothing is due any more, and other things are done between two pairs.
    assert "refocus" not in who[-5:]
    assert ["refocus"] * 3 not in [who[i : i + 3] for i in range(len(who) - 2)]


def test_features_are_checked_by_spectra(make_bench: Callable[..., Any]) -> None:
    _, who = played(make_bench, BayesSettings(spectrum=SpectrumSettings(every=7)), 40)
    seldom, _ = played(make_bench, BayesSettings(spectrum=SpectrumSettings(every=1000)), 1)
    assert who.count("spectrum") >= 4
    assert seldom.belief.due(1.0) != "spectrum"


def particle(track: int, x_nm: float, radius_nm: float, real: float) -> Particle:
    return Particle(
        track=track, x_nm=x_nm, y_nm=50.0, radius_nm=radius_nm, x_sd_nm=1.0, y_sd_nm=1.0, radius_sd_nm=0.5, snr=20.0,
        real=real,
    )  # fmt: skip


def test_a_doubtful_feature_decides_the_mean_radius_most_where_it_is_alone(make_bench: Callable[..., Any]) -> None:
    grid = Grid(make_bench().setup.card)
    labels = Labels(grid)

    def hold(*particles: Particle) -> None:
        labels.features = {p.track: p for p in particles}
        labels.cells = {p.track: int(grid.cell_of((p.x_nm, p.y_nm)) or 0) for p in particles}

    doubtful, neighbour, far = particle(1, 50.0, 10.0, 0.5), particle(2, 60.0, 20.0, 1.0), particle(3, 900.0, 20.0, 1.0)
    hold(doubtful, far)
    # Mean radius 10 or 0, each with probability one half; then 15 or 20.
    assert labels.of_each("mean_radius_nm")[1] == pytest.approx(25.0)
    hold(doubtful, neighbour)
    assert labels.of_each("mean_radius_nm")[1] == pytest.approx(6.25)
    assert labels.of_each("count") == {1: 0.25, 2: 0.0}
    assert labels.variances("count").sum() == 0.25
