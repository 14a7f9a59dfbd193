from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from agent.assemble import make_autotune
from agent.twins import tuning_bench
from digital_twin.misalignment import Misalignment
from envs.autotune import GOOD, MOST_IMAGES, RANGES_NM, AutotuneEnv, Bench, optics_of
from hardware_bridge.messages import Optics


@pytest.fixture(scope="module")
def env() -> AutotuneEnv:
    return make_autotune()


def hidden_in(bench: Bench) -> Misalignment:
    found: Misalignment = vars(vars(bench.microscope)["_inner"])["_hidden"]
    return found


def cure(env: AutotuneEnv) -> np.ndarray:
    """The action that undoes what is hidden."""
    residual = hidden_in(env._bench).residual
    parts = [residual.C10_nm]
    for name, m in (("C12", 2), ("C21", 1), ("C23", 3)):
        size, angle = getattr(residual, f"{name}_nm"), m * getattr(residual, f"phi{name[1:]}_rad")
        parts += [size * math.cos(angle), size * math.sin(angle)]
    ranges = [RANGES_NM["C10"]] + [RANGES_NM[name] for name in ("C12", "C21", "C23") for _ in range(2)]
    return (-np.array(parts) / ranges)[: env.action_space.shape[0]].astype(np.float32)


def test_it_is_registered_by_importing_the_room() -> None:
    assert envs.register() is None
    made = gymnasium.make("adaptem/Autotune-v0", parameters=7, disable_env_checker=True)
    assert made.action_space.shape == (7,)


def test_gymnasiums_checker_passes(env: AutotuneEnv) -> None:
    check_env(env, skip_render_check=True)


@pytest.mark.parametrize("parameters", [3, 7])
def test_undoing_what_is_hidden_makes_the_probe_perfect(parameters: int) -> None:
    env = make_autotune(parameters)
    for seed in range(3):
        _, info = env.reset(seed=seed)
        assert info["strehl"] < GOOD
        worse = env.step(np.clip(-cure(env), -1, 1))
        assert worse[4]["strehl"] < 0.2
        seen, reward, over, cut, told = env.step(cure(env))
        assert told["strehl"] == pytest.approx(1.0, abs=1e-6)
        assert reward == pytest.approx(told["strehl"] - worse[4]["strehl"])
        assert (over, cut) == (True, False)
        assert env.observation_space.contains(seen)


def test_a_sharper_probe_shows_sharper_atoms(env: AutotuneEnv) -> None:
    means = []
    for share in (0.0, 1.0):
        env.reset(seed=4)
        means.append(float(np.mean(env.step(share * cure(env))[0]["image"] ** 2)))
    # The largest count is 1: the sharper its peaks are, the darker is the rest of an image.
    assert means[1] < 0.8 * means[0]


def test_an_episode_is_cut_off_after_its_images(env: AutotuneEnv) -> None:
    env.reset(seed=5)
    cuts = [env.step(np.ones(3, dtype=np.float32))[3] for _ in range(MOST_IMAGES)]
    assert cuts.index(True) == MOST_IMAGES - 1


def test_what_safety_refuses_is_told_and_sets_nothing(env: AutotuneEnv) -> None:
    before, _ = env.reset(seed=5)
    for wrong in (np.full(3, np.nan, dtype=np.float32), np.full(3, 1.5, dtype=np.float32)):
        after, reward, over, cut, info = env.step(wrong)
        assert "C1" in info["refused"]
        assert (reward, over, cut) == (0.0, False, False)
        np.testing.assert_array_equal(after["image"], before["image"])
        np.testing.assert_array_equal(after["state"][:3], before["state"][:3])


def test_the_same_seed_is_the_same_task(env: AutotuneEnv) -> None:
    first, again = (env.reset(seed=6) for _ in range(2))
    np.testing.assert_equal(first, again)
    assert env.reset(seed=7)[1]["strehl"] != first[1]["strehl"]


def test_a_wrong_number_of_parameters_is_told() -> None:
    with pytest.raises(ValueError, match="parameters = 5: choose 3"):
        make_autotune(5)


def test_settings_are_components_over_their_ranges() -> None:
    made = optics_of(("C10", "C12"), (5.0, 0.0, 3.0))
    assert (made.C10_nm, made.C12_nm) == (5.0, 3.0)
    assert made.phi12_rad == pytest.approx(math.pi / 4)


def test_the_strehl_ratio_is_that_of_what_is_set_and_what_is_hidden() -> None:
    bench = tuning_bench(3, ("C10", "C12"))
    residual = hidden_in(bench).residual
    undone = Optics(C10_nm=-residual.C10_nm, C12_nm=-residual.C12_nm, phi12_rad=residual.phi12_rad)
    assert bench.strehl(undone) == pytest.approx(1.0)
