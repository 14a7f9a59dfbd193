from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import envs
from agent.assemble import make_env, make_vector_env
from envs.registration import IDS
from envs.vector import VectorWorldEnv

SEEDS: list[int | None] = [5, 6, 9]
STEPS, FEW = 4, 3
"""Steps in growth, and in the other worlds: two of them see each mode together."""


@pytest.fixture(scope="module")
def vector() -> VectorWorldEnv:
    return make_vector_env(3)


def actions(step: int) -> dict[str, np.ndarray]:
    """Another place, focus and current of each world at each step, two of one mode; the third is refused once."""
    g = np.random.default_rng(step)
    move = g.uniform(-0.5, 0.5, (3, 4)).astype(np.float32)
    if step == 1:
        move[2] = np.nan
    return {"move": move, "mode": (np.arange(3) // 2 + step) % 3}


def test_it_is_registered_beside_the_single_ones() -> None:
    assert envs.register() is None
    made = gymnasium.make_vec("adaptem/Growth-v0", num_envs=2, vectorization_mode="vector_entry_point")
    assert isinstance(made.unwrapped, VectorWorldEnv)
    assert made.num_envs == 2


@pytest.mark.parametrize("world", IDS.values())
def test_it_equals_the_single_environments_seed_by_seed(world: str, vector: VectorWorldEnv) -> None:
    vector = vector if world == "growth" else make_vector_env(3, world)
    singles = [make_env(world) for _ in SEEDS]
    together, _ = vector.reset(seed=SEEDS)
    for n, (env, seed) in enumerate(zip(singles, SEEDS, strict=True)):
        first, _ = env.reset(seed=seed)
        for name, values in first.items():
            np.testing.assert_array_equal(together[name][n], values)
    fresh = set[int]()
    for step in range(STEPS if world == "growth" else FEW):
        seen, rewards, over, truncated, info = vector.step(actions(step))
        for n, env in enumerate(singles):
            action = {name: values[n] for name, values in actions(step).items()}
            alone, reward, done, cut, told = env.step(action)
            for name, values in alone.items():
                np.testing.assert_array_equal(seen[name][n], values)
            assert (rewards[n], over[n], truncated[n]) == (reward, done, cut)
            assert ("refused" in told) == bool(len(info) and info["refused"][n])
            fresh |= set(np.flatnonzero(alone["state"][7:]).tolist())
    assert fresh == {0, 1, 2}
    assert len(vector.step(actions(1))[4]["refused"]) == 3


def test_spaces_hold_what_it_gives(vector: VectorWorldEnv) -> None:
    seen, _ = vector.reset(seed=7)
    assert vector.observation_space.contains(seen)
    again, _ = vector.reset(seed=[7, 8, 9])
    np.testing.assert_equal(seen, again)
    assert vector.observation_space.contains(vector.step(vector.action_space.sample())[0])


def test_a_world_that_is_over_waits_for_the_others(vector: VectorWorldEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.world.SPENT_SHARE", 0.995)
    vector.reset(seed=SEEDS)
    move = np.zeros((3, 4), dtype=np.float32)
    move[:, 3] = (1.0, -0.9, -0.9)
    image = {"move": move, "mode": np.zeros(3, dtype=np.int64)}
    assert vector.step(image)[2].tolist() == [True, False, False]
    before, rewards, *_ = vector.step(image)
    assert rewards[0] == 0.0
    after, *_ = vector.step({"move": 0.5 * move, "mode": np.zeros(3, dtype=np.int64)})
    np.testing.assert_array_equal(before["image"][0], after["image"][0])
    assert not np.array_equal(before["image"][1], after["image"][1])
