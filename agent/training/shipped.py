"""The configuration that a world is shipped with, as training and fitting use it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agent import assemble
from agent.config import Config, load
from agent.decoding import laid_over
from hardware_bridge.geometry import Point
from policies.bayes.kernel import bulge
from policies.greedy import GreedySettings


def shipped(world: str) -> Config:
    """The configuration of a world, with a twin in process and the reader, whose errors are known.

    Raises:
        ConfigErrors: there is no such world.
    """
    overrides = (f"goal.world={world}", f"instrument.world={world}", "instrument.kind=twin", "perception.name=reader")
    return load(path_of(world), overrides, assemble.CHOICES)


def path_of(world: str) -> Path:
    """The file of the configuration that a world is shipped with."""
    path = assemble.DEFAULT_CONFIG.with_name("worlds") / f"{world}.toml"
    return path if path.is_file() else assemble.DEFAULT_CONFIG


def greedy_of(config: Config) -> GreedySettings:
    """What greedy tries and how it weighs it, as a configuration says or by default."""
    settings, _ = laid_over(GreedySettings, config.settings_of("greedy"), "rivals.greedy")
    assert settings is not None  # load() has checked it
    return settings


def expected_C10_nm(config: Config, point_nm: Point) -> float:
    """Where focus is expected to be before anything was seen, as greedy is told."""
    reach_nm = assemble.card_of(config).extent_nm / 2
    x, y = np.array(point_nm)[:, None] / reach_nm
    return greedy_of(config).focus.bulge_nm * float(bulge(x, y)[0])
