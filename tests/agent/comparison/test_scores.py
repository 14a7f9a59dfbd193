"""What a comparison says of episodes: who is compared with whom, on which seeds, and whether predictions are kept."""

from __future__ import annotations

import numpy as np
import pytest

from agent.comparison.scores import HINDSIGHT, Compared, kept
from agent.episode import Episode

SHARES = (0.25, 0.5, 1.0)


def episode(policy: str, seed: int, share: float, score: float, told: tuple[tuple[float, float], ...] = ()) -> Episode:
    return Episode(
        policy=policy, seed=seed, share=share, score=score, scores={"count": score}, turns=10, refused=0,
        modes={"HAADF": 10}, electrons=1e8, duration_s=600.0, suggest_median_s=0.01, told=told,
    )  # fmt: skip


def played(**scores: float) -> list[Episode]:
    return [episode(p, seed, share, s + 0.1 * seed) for p, s in scores.items() for seed in range(4) for share in SHARES]


def test_the_adaptive_one_is_compared_with_the_best_baseline() -> None:
    compared = Compared.of(played(bayes=0.5, raster=0.3, staring=0.1))
    assert compared.policies == ["bayes", "raster", "staring"]
    assert compared.strongest == "raster"
    assert compared.seeds == (0, 1, 2, 3)
    above = compared.above_strongest("bayes")
    # Seeds differ by more than policies do, and it does not matter: they are paired.
    assert (above.mean, above.low, above.high) == pytest.approx((0.2, 0.2, 0.2))


def test_overall_is_the_area_over_doublings_of_the_budget() -> None:
    rising = [episode("raster", 0, share, score) for share, score in zip(SHARES, (0.0, 0.4, 0.8), strict=True)]
    assert Compared.of(rising).overall("raster") == pytest.approx([0.4])
    late = [episode("raster", 0, share, score) for share, score in zip(SHARES, (0.0, 0.0, 0.8), strict=True)]
    assert Compared.of(late).overall("raster") == pytest.approx([0.2])
    assert Compared.of(late[-1:]).overall("raster") == pytest.approx([0.8])


def test_seeds_and_shares_that_one_lacks_are_left_out() -> None:
    episodes = played(bayes=0.5, raster=0.3)
    without = [e for e in episodes if not (e.policy == "bayes" and (e.share == 0.25 or e.seed == 2))]
    compared = Compared.of(without)
    assert compared.shares == (0.5, 1.0)
    assert compared.seeds == (0, 1, 3)
    with pytest.raises(ValueError, match="no seed was played by all"):
        Compared.of([e for e in episodes if (e.policy == "bayes") == (e.seed < 2)])
    with pytest.raises(ValueError, match="no seed was played by all"):
        Compared.of([])


def test_hindsight_takes_the_best_of_each_seed() -> None:
    crossed = [
        episode(p, seed, 1.0, float(seed == wins)) for wins, p in enumerate(("expert", "raster")) for seed in (0, 1)
    ]
    compared = Compared.of(crossed)
    assert compared.overall(HINDSIGHT).tolist() == [1.0, 1.0]
    assert compared.overall("raster").mean() == 0.5


def test_the_gap_goes_up_to_who_knows_the_truth_if_that_helps() -> None:
    knows = Compared.of(played(bayes=0.5, raster=0.3, clairvoyant=0.7))
    assert knows.ceiling == "clairvoyant"
    share = knows.closed("bayes")
    assert share is not None
    assert share.mean == pytest.approx(0.5)
    misled = Compared.of(played(bayes=0.5, raster=0.3, clairvoyant=0.2))
    assert misled.ceiling == HINDSIGHT
    narrow = Compared.of(played(bayes=0.35, raster=0.3))
    assert narrow.closed("bayes") is None


def test_predictions_that_are_kept_lie_on_the_line() -> None:
    random = np.random.default_rng(1)
    episodes = []
    for seed in range(40):
        predicted = random.uniform(0.0, 0.02, 50)
        # What comes of a command scatters far more than what is expected of it.
        realised = 0.5 * predicted + random.normal(0.0, 0.01, 50)
        episodes.append(
            episode("bayes", seed, 1.0, 0.5, tuple(zip(predicted.tolist(), realised.tolist(), strict=True)))
        )
    found = kept(episodes)
    assert found is not None
    assert found.commands == 2000
    assert np.all(np.diff(found.predicted) > 0)
    inside = (found.low <= 0.5 * found.predicted) & (0.5 * found.predicted <= found.high)
    assert inside.sum() >= 7
    assert found.realised[-1] == pytest.approx(0.5 * found.predicted[-1], abs=3 * 0.01 / np.sqrt(250))


def test_who_predicts_nothing_has_nothing_to_keep() -> None:
    assert kept(played(raster=0.3)) is None
    assert kept([]) is None
