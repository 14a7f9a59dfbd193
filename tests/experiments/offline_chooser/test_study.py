"""The study judges by what was recorded, and lets nothing run that is thought to be worth less."""

from __future__ import annotations

import numpy as np
import torch

from agent.episode import Episode
from experiments.offline_chooser.record import BEHAVIOURS, configured
from experiments.offline_chooser.study import Played, behaved, best_behaviour, may_run
from experiments.offline_chooser.table import page
from policies.training.choices import features
from policies.training.offline import LEARNERS
from policies.training.offpolicy import Worth
from policies.training.trajectory import CANDIDATE, Trajectory


def test_behaviours_are_configurations() -> None:
    for settings in BEHAVIOURS.values():
        assert configured(settings).policy.settings == settings


def test_what_greedy_takes_is_told_from_its_numbers() -> None:
    numbers = np.zeros((1, 3, len(CANDIDATE)))
    numbers[0, :, CANDIDATE.index("information")] = [0.03, 0.02, 0.01]
    numbers[0, :, CANDIDATE.index("time_s")] = [4.0, 2.0, 2.0]
    numbers[0, :, CANDIDATE.index("electrons")] = [1e6, 2e6, 1e5]
    situation = np.array([[0.0, 0.0, 100.0, 1e8, 100.0, 1e8]])
    there = np.ones((1, 3), np.int8)
    seen = [torch.from_numpy(each) for each in (*features(numbers, situation, there), there > 0)]
    # For 0.05, 0.04 and 0.021 of the rest; of little weight electrons leave 0.04, 0.02 and 0.02.
    assert behaved()(*seen).tolist() == [[1.0, 0.0, 0.0]]
    assert behaved(electron_weight=0.0)(*seen).tolist() == [[0.0, 1.0, 0.0]]
    assert behaved(electron_weight=4.0)(*seen).argmax() == 2 or behaved(electron_weight=40.0)(*seen).argmax() == 2
    explored = behaved(explore=0.3)(*seen)[0]
    assert torch.allclose(explored, torch.tensor([0.8, 0.1, 0.1]))


def judgement(**of: float) -> dict[str, Worth]:
    return {name: Worth(of.get(name, 0.0), 0.0, 0.0, (of.get(name, 0.0),) * 2) for name in (*BEHAVIOURS, *LEARNERS)}


def test_only_what_is_thought_to_be_worth_as_much_as_the_best_behaviour_may_run() -> None:
    found = judgement(lavish=0.3, greedy=0.2, iql=0.3, marwil=0.29)
    assert best_behaviour(found) == "lavish"
    assert may_run(found) == {"cloned": False, "marwil": False, "iql": True}


def test_the_page_compares_on_the_seeds_that_all_played() -> None:
    def played(name: str, seed: int, score: float) -> Played:
        episode = Episode(
            policy="greedy", seed=seed, share=1.0, score=score, scores={}, turns=1, refused=0, modes={},
            electrons=1.0, duration_s=1.0, suggest_median_s=0.0,
        )  # fmt: skip
        return Played(name=name, episode=episode)

    every = [played(name, seed, 0.1) for name in (*BEHAVIOURS, *LEARNERS) for seed in (1, 2) if name != "iql"]
    every += [played("iql", 1, 0.3), played("iql", 2, 0.5), played("greedy", 3, 9.0)]
    run = Trajectory("greedy-1", {}, np.zeros(3, np.int64), np.array([0.1, 0.2, 0.3]), True, "", ())
    told = page([run], judgement(iql=0.4), every)
    assert "1 runs of 5 behaviours" in told
    assert "2 new specimens" in told
    (row,) = (line for line in told.splitlines() if line.startswith("| iql"))
    assert "| +0.400 [+0.300, +0.500] | +0.300 [+0.200, +0.400] |" in row
    (row,) = (line for line in told.splitlines() if line.startswith("| greedy"))
    assert "+0.600 [+0.600, +0.600]" in row
