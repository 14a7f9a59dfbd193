"""Who decides: another policy by name, and a learned one only where there is a chooser and a reader for its world."""

from pathlib import Path

import pytest

from agent import assemble
from agent.config import Config, ConfigErrors, load
from agent.deciding import with_policy
from agent.evaluate import asked

WORLDS = assemble.DEFAULT_CONFIG.with_name("worlds")


def growth(*overrides: str) -> Config:
    return load(assemble.DEFAULT_CONFIG, overrides, assemble.CHOICES)


def test_another_policy_has_the_settings_of_its_name() -> None:
    config = with_policy(growth("rivals.raster.tiles=3"), "raster")
    assert (config.policy.name, config.policy.settings) == ("raster", {"tiles": 3})


def test_the_learned_policy_runs_with_the_chooser_that_is_shipped() -> None:
    config = with_policy(growth("perception.name=reader"), "learned")
    assert config.policy.name == "learned"


def test_without_a_chooser_of_the_world_it_is_refused() -> None:
    config = load(WORLDS / "valence.toml", (), assemble.CHOICES)
    with pytest.raises(ConfigErrors, match=r"policy\.settings\.checkpoint: no chooser is shipped for world valence"):
        with_policy(config, "learned")


def test_without_the_reader_it_is_refused() -> None:
    with pytest.raises(ConfigErrors, match="'analyst' is not reader"):
        with_policy(growth(), "learned")


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ConfigErrors, match="'lerned' is unknown"):
        with_policy(growth(), "lerned")


def test_a_comparison_takes_any_checkpoint(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "policies/weights/growth"
    configs, names = asked([assemble.DEFAULT_CONFIG], ["perception.name=reader"], "greedy", shipped)
    assert names == ["greedy", "learned"]
    assert configs[0].settings_of("learned") == {"checkpoint": str(shipped)}
    with pytest.raises(ValueError, match="there is no file"):
        asked([assemble.DEFAULT_CONFIG], [], "greedy", tmp_path / "none")
