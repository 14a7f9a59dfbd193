"""The search finds what there is to find, measures nothing twice, and refuses what cannot be."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from policies.bayes.deep_kernel import KernelSettings
from policies.bayes.scene import Scene
from policies.bayes.structure_search import Plan, above, search

EDGE, SEEDS = 24, (0, 1, 2)
QUICK = KernelSettings(steps_first=20, steps=5)
PLAN = Plan(points=60, first=20, batch=5, top=0.02, kernel=QUICK)


def world(seed: int) -> tuple[Scene, np.ndarray]:
    """Blobs in an image, and a property that is theirs but grows to the right."""
    random = np.random.default_rng([seed, 7])
    y, x = np.indices((EDGE, EDGE))
    at = random.uniform(0, EDGE, (14, 2))
    image = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 6.0) for a, b in at)
    value = (image * (0.4 + x / EDGE)).ravel()
    seen = image + 0.02 * random.normal(size=image.shape)
    return Scene.of(seen, (EDGE, EDGE), 3, 8), value


def share_found(plan: Plan, seed: int) -> float:
    scene, value = world(seed)
    noisy = value + 0.02 * np.random.default_rng([seed, 8]).normal(size=value.size)
    found = search(scene, lambda rows: noisy[rows], plan, seed)
    assert len(set(found.rows.tolist())) == plan.points
    assert found.values.tolist() == noisy[found.rows].tolist()
    best = np.argsort(value)[-round(plan.top * value.size) :]
    return float(np.isin(best, found.rows).mean())


def test_it_finds_the_best_places_and_others_do_not() -> None:
    wanted = {name: [share_found(replace(PLAN, wanted=name), seed) for seed in SEEDS] for name in ("most", "any")}
    assert np.mean(wanted["most"]) > 0.8
    assert np.mean(wanted["any"]) < 0.35


def test_all_begin_with_the_same_places_and_one_seed_gives_one_order() -> None:
    scene, value = world(0)
    orders = [search(scene, lambda rows: value[rows], replace(PLAN, wanted=name, points=30), 4).rows for name in
              ("most", "unknown", "any", "most")]  # fmt: skip
    assert all(np.array_equal(order[:20], orders[0][:20]) for order in orders)
    assert np.array_equal(orders[0], orders[3])
    assert not np.array_equal(orders[0], orders[1])


def test_the_first_places_keep_apart() -> None:
    scene, value = world(0)
    nearest = []
    for seed in SEEDS:
        rows = search(scene, lambda some: value[some], replace(PLAN, wanted="any"), seed).rows
        first = scene.places[rows[:20]]
        apart = np.linalg.norm(first[:, None] - first[None], axis=-1) + 9.0 * np.eye(20)
        nearest.append(apart.min(axis=1).mean())
    # Of a Poisson process it would be half over the square root of the density.
    assert min(nearest) > 1.4 * 0.5 / np.sqrt(20)


def test_it_tells_what_it_found_after_each_batch() -> None:
    scene, value = world(0)
    heard: list[int] = []
    search(scene, lambda rows: value[rows], replace(PLAN, points=33), 0, lambda found: heard.append(len(found.rows)))
    assert heard == [20, 25, 30, 33]


def test_a_batch_is_not_one_place_and_its_neighbours() -> None:
    # With the variance alone in view, what is imagined keeps the places of a batch apart.
    scene, value = world(0)
    plan = replace(PLAN, points=30, batch=10, wanted="unknown", kernel=replace(QUICK, by_look=False))
    last = scene.places[search(scene, lambda rows: value[rows], plan, 1).rows[20:]]
    apart = np.linalg.norm(last[:, None] - last[None], axis=-1) + 9.0 * np.eye(10)
    assert apart.min() > 3.0 / EDGE


def test_all_places_can_be_measured() -> None:
    scene, value = world(0)
    plan = replace(PLAN, points=EDGE**2, first=EDGE**2 - 7)
    assert sorted(search(scene, lambda rows: value[rows], plan, 0).rows.tolist()) == list(range(EDGE**2))


def test_what_is_expected_above_a_level() -> None:
    random = np.random.default_rng(0)
    drawn = norm.rvs(1.0, 2.0, size=400_000, random_state=random)
    told = above(2.5, np.array([1.0, 5.0, 1.0]), np.array([2.0, 0.0, 0.0]))
    assert told[0] == pytest.approx(np.maximum(drawn - 2.5, 0.0).mean(), abs=4 * drawn.std() / 630)
    assert told[1:] == pytest.approx([2.5, 0.0])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"first": 1}, "first = 1: 2 to points, 60"),
        ({"first": 61}, "first = 61: 2 to points, 60"),
        ({"batch": 0}, "batch = 0: at least 1"),
        ({"doubt": 0.0}, "doubt = 0: above 0 and finite"),
        ({"top": 0.0}, "top = 0: above 0 and below 1"),
        ({"top": float("nan")}, "top = nan: above 0 and below 1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changed: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(PLAN, **changed)


def test_more_points_than_places_and_values_that_are_none_are_refused() -> None:
    scene, value = world(0)
    with pytest.raises(ValueError, match="points = 600: at most 576"):
        search(scene, lambda rows: value[rows], replace(PLAN, points=600), 0)
    with pytest.raises(ValueError, match=r"\(20,\) values for 20 places, all must be finite"):
        search(scene, lambda rows: np.full(len(rows), np.nan), PLAN, 0)
    with pytest.raises(ValueError, match=r"\(1,\) values for 20 places"):
        search(scene, lambda rows: np.ones(1), PLAN, 0)
