from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from agent.assemble import make_env
from envs.growth import GrowthEnv


@pytest.fixture(scope="module")
def env() -> GrowthEnv:
    return make_env()


def action(x: float = 0.0, y: float = 0.0, mode: int = 0, C10: float = 0.0) -> dict[str, object]:
    return {"move": np.array([x, y, C10, 0.0], dtype=np.float32), "mode": mode}


def test_it_is_registered_by_importing_the_room() -> None:
    assert envs.register() is None
    made = gymnasium.make("adaptem/Growth-v0", disable_env_checker=True)
    assert isinstance(made.unwrapped, GrowthEnv)


def test_gymnasiums_checker_passes(env: GrowthEnv) -> None:
    check_env(env, skip_render_check=True)


def test_the_same_seed_and_actions_give_the_same_episode(env: GrowthEnv) -> None:
    def played() -> list[object]:
        seen: list[object] = [env.reset(seed=5)[0]]
        for step in range(4):
            seen += env.step(action(x=0.2 * step, mode=step % 2))[:2]
        return seen

    for one, other in zip(played(), played(), strict=True):
        np.testing.assert_equal(one, other)


def test_an_image_and_a_spectrum_fill_their_parts(env: GrowthEnv) -> None:
    env.reset(seed=5)
    after_image = env.step(action())[0]
    assert after_image["image"].max() > 0.0
    assert after_image["spectrum"].max() == 0.0
    after_spectrum = env.step(action(mode=1))[0]
    assert after_spectrum["spectrum"].max() > 0.0


def test_a_refused_command_moves_nothing_and_is_told(env: GrowthEnv) -> None:
    env.reset(seed=5)
    before = env.step(action())[0]
    # Limits allow 512 nm at most, so a step beyond the ranges needs another wall: an id that was used before.
    env._turn -= 1
    after, reward, _, _, info = env.step(action(x=0.9))
    assert "id_reused" in info["refused"]
    assert reward == 0.0
    np.testing.assert_array_equal(before["image"], after["image"])
    assert after["state"][0] == before["state"][0]


def test_rewards_add_up_to_the_change_of_the_score(env: GrowthEnv) -> None:
    env.reset(seed=6)
    first = env._score
    rewards = [env.step(action(x=x, y=0.3))[1] for x in (-0.5, 0.0, 0.5)]
    assert sum(rewards) == pytest.approx(env._score - first)
