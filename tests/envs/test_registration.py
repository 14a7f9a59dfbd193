"""Every world that is registered is an environment that Gymnasium takes, and scored as it should be."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agent.assemble import make_vector_env
from agent.lessons import prior_of
from agent.perception.reader import Conditioned
from envs.prior import load_card, load_ensemble
from envs.registration import IDS
from envs.score import score
from envs.world import WorldEnv
from hardware_bridge.report import Report, TargetReport

SEEDS = (400, 401, 402, 403)
EVERY = 5
"""Beats from one look to the next."""

QUICK = "interface"
UNREAD = {"valence", "beam_sensitive", "defects"}
"""Worlds of which the reader sees next to nothing yet: there it must not mislead."""

WORLDS = [pytest.param(name, marks=[] if world == QUICK else [pytest.mark.slow]) for name, world in IDS.items()]


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_passes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # One world is drawn whenever no seed is given, since most of the time goes into truths.
    monkeypatch.setattr("envs.world.TRAINING_WORLDS", (123, 124))
    env = gymnasium.make(name, disable_env_checker=True).unwrapped
    assert isinstance(env, WorldEnv)
    check_env(env, skip_render_check=True)


@pytest.mark.parametrize("world", IDS.values())
def test_an_empty_report_scores_nothing_on_average_and_the_truth_all(world: str) -> None:
    card, empty, ensemble = load_card(world), Conditioned(prior_of(world)).report(), load_ensemble(world)
    scores = []
    for seed in range(len(ensemble[card.targets[0].name])):
        values = {t.name: ensemble[t.name][seed] for t in card.targets}
        truth = {
            t.name: values[t.name][1:].ravel() if t.kind == "field" else values[t.name][None] for t in card.targets
        }
        exact = {name: TargetReport(mean=tuple(each), sd=(0.0,) * len(each)) for name, each in truth.items()}
        assert score(Report(world=world, targets=exact), truth, card)[0] == pytest.approx(1.0)
        scores.append(score(empty, truth, card)[0])
    assert abs(np.mean(scores)) < 4 * np.std(scores) / np.sqrt(len(scores)) + 0.01


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", WORLDS)
def test_reading_raises_the_score(name: str) -> None:
    env = make_vector_env(len(SEEDS), IDS[name])
    env.reset(seed=list(SEEDS))
    gained, over, beat = np.zeros(len(SEEDS)), False, 0
    random = np.random.default_rng(0)
    while not over:
        # What is no place is refused: a beat goes by without a look.
        place = random.integers(8, size=2) / 4 - 0.875 if beat % EVERY == 0 else np.full(2, np.nan)
        move = np.array([*place, 0.0, 1.0], dtype=np.float32)
        mode = np.full(len(SEEDS), int(beat % (4 * EVERY) == 0))
        _, rewards, ended, _, _ = env.step({"move": np.tile(move, (len(SEEDS), 1)), "mode": mode})
        gained, over, beat = gained + rewards, bool(ended.all()), beat + 1
    assert gained.mean() > (-0.05 if IDS[name] in UNREAD else 0.02)
