"""Every policy can be had by name, with its own settings only."""

import msgspec
import pytest

from agent.lessons import outlook_of
from policies import catalogue
from policies.raster import RasterSettings
from policies.staring import StaringSettings


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_defaults_make_every_policy(name: str) -> None:
    policy = catalogue.make(name, outlook=outlook_of("growth"))
    assert policy.sees_truth is False  # type: ignore[attr-defined]
    assert policy.name == name  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_settings_survive_being_written_and_read(name: str) -> None:
    settings = catalogue.settings_type(name)()
    assert msgspec.json.decode(msgspec.json.encode(settings), type=type(settings)) == settings


def test_unknown_names_are_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'rastr' is unknown: choose one of staring, raster, random, expert, bayes"):
        catalogue.make("rastr")


def test_settings_of_another_policy_are_refused() -> None:
    with pytest.raises(ValueError, match="must be RasterSettings, not StaringSettings"):
        catalogue.make("raster", StaringSettings())
    assert catalogue.make("raster", RasterSettings(tiles=2))


def test_a_policy_that_foresees_wants_an_outlook() -> None:
    with pytest.raises(ValueError, match="'greedy' foresees what looks would tell, and was given no outlook"):
        catalogue.make("greedy")
