from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from agent.assemble import make_env
from envs.world import TRAINING_WORLDS, WorldEnv
from hardware_bridge.guard import Guard


@pytest.fixture(scope="module")
def env() -> WorldEnv:
    return make_env()


def action(x: float = 0.0, y: float = 0.0, mode: int = 0, C10: float = 0.0, spend: float = 0.0) -> dict[str, object]:
    return {"move": np.array([x, y, C10, spend], dtype=np.float32), "mode": mode}


def test_it_is_registered_by_importing_the_room() -> None:
    assert envs.register() is None
    made = gymnasium.make("adaptem/Growth-v0", disable_env_checker=True)
    assert isinstance(made.unwrapped, WorldEnv)


def test_gymnasiums_checker_passes(env: WorldEnv) -> None:
    check_env(env, skip_render_check=True)


def test_two_environments_with_the_same_seed_and_actions_see_the_same(env: WorldEnv) -> None:
    def played(one: WorldEnv) -> list[object]:
        seen: list[object] = [one.reset(seed=5)[0]]
        for step in range(4):
            seen += one.step(action(x=0.2 * step, mode=step % 2))[:4]
        return seen

    for one, other in zip(played(env), played(make_env()), strict=True):
        np.testing.assert_equal(one, other)


def test_another_seed_is_another_world(env: WorldEnv) -> None:
    seen = []
    for seed in (5, 6):
        env.reset(seed=seed)
        seen.append(env.step(action())[0]["image"])
    assert not np.array_equal(*seen)


def test_worlds_that_nobody_asked_for_are_training_worlds() -> None:
    class Asked(Exception):
        pass

    def asked(seed: int) -> None:
        raise Asked(seed)

    made = make_env()
    made._make_microscope = asked  # type: ignore[assignment]
    made.np_random = np.random.default_rng(0)
    for _ in range(20):
        with pytest.raises(Asked) as told:
            made.reset()
        assert TRAINING_WORLDS[0] <= told.value.args[0] < TRAINING_WORLDS[1]


def test_an_image_and_a_spectrum_fill_their_parts_and_are_said_to_be_new(env: WorldEnv) -> None:
    env.reset(seed=5)
    after_image = env.step(action())[0]
    assert after_image["image"].max() > 0.0
    assert after_image["spectrum"].max() == 0.0
    assert after_image["state"][-3:].tolist() == [1.0, 0.0, 0.0]
    after_spectrum = env.step(action(mode=1))[0]
    assert after_spectrum["spectrum"].max() > 0.0
    assert after_spectrum["state"][-3:].tolist() == [0.0, 1.0, 0.0]
    np.testing.assert_array_equal(after_image["image"], after_spectrum["image"])
    after_pattern = env.step(action(mode=2))[0]
    assert after_pattern["pattern"].max() > 0.1
    assert after_pattern["state"][-3:].tolist() == [0.0, 0.0, 1.0]
    np.testing.assert_array_equal(after_spectrum["spectrum"], after_pattern["spectrum"])


def test_images_at_any_current_have_the_same_brightness_and_do_not_saturate(env: WorldEnv) -> None:
    env.reset(seed=5)
    images = [env.step(action(spend=spend))[0]["image"] for spend in (-0.5, 0.0, 0.5, 1.0)]
    assert max(image.max() for image in images) < 1.0
    assert np.ptp([np.mean(image**2) for image in images]) < 0.01


@pytest.mark.parametrize(
    ("refused", "word"),
    [(action(x=0.9, mode=1, spend=1.0), "fluence"), (action(x=float("nan")), "stage_x_nm")],
    ids=["too much dose", "not a number"],
)
def test_a_refused_command_moves_nothing_and_is_told(env: WorldEnv, refused: dict[str, object], word: str) -> None:
    env.reset(seed=5)
    before = env.step(action())[0]
    after, reward, terminated, truncated, info = env.step(refused)
    assert word in info["refused"]
    assert (reward, terminated, truncated) == (0.0, False, False)
    np.testing.assert_array_equal(before["image"], after["image"])
    assert after["state"][:3].tolist() == before["state"][:3].tolist()
    assert after["state"][4] == before["state"][4]
    assert after["state"][3] < before["state"][3]
    assert after["state"][-3:].tolist() == [0.0, 0.0, 0.0]


def test_an_action_reaches_the_instrument(env: WorldEnv) -> None:
    env.reset(seed=5)
    state = env.step(action(x=-0.5, y=0.25, C10=0.1))[0]["state"]
    np.testing.assert_allclose(state[:3], [0.25, 0.625, 0.55], atol=1e-6)


def test_rewards_add_up_to_the_change_of_the_score(env: WorldEnv) -> None:
    env.reset(seed=6)
    first = env._score
    rewards = [env.step(action(x=x, y=0.3))[1] for x in (-0.5, 0.0, 0.5)]
    assert any(rewards)
    assert sum(rewards) == pytest.approx(env._score - first)


def test_an_episode_ends_when_its_electrons_are_spent(env: WorldEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    # At ten times the middle current an image takes a thirty-first of the budget.
    monkeypatch.setattr("envs.world.SPENT_SHARE", 0.95)
    env.reset(seed=6)
    ends = [env.step(action(x=x, spend=1.0))[2] for x in (-0.5, 0.5)]
    assert ends == [False, True]


def test_no_command_passes_the_budget(env: WorldEnv) -> None:
    guard = env._make_microscope(6)
    assert isinstance(guard, Guard)
    assert guard.limits.max_electrons == env._card.budget_electrons


def test_an_episode_ends_with_its_time(env: WorldEnv) -> None:
    env.reset(seed=6)
    refused = action(x=float("nan"))
    ends = [env.step(refused)[2] for _ in range(90)]
    # Turns of 7 s, in 600 s.
    assert ends.index(True) == 85
