"""A twin with hidden errors on a bench of its own, and one whole calibration of it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from agent import assemble
from agent.calibrate.bench import Bench
from agent.calibrate.procedure import CalibrateSettings, Evidence, calibrate
from agent.config import Config, load
from digital_twin.apparatus import Apparatus
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.specimen import Grid
from digital_twin.standard import Standard
from hardware_bridge.guard import Guard

CONFIG = Path(__file__).parents[3] / "experiments" / "calibrate_instrument" / "config.toml"
HIDDEN = Misalignment.drawn(2)


@pytest.fixture(scope="session")
def config() -> Config:
    return load(CONFIG, (), assemble.CHOICES)


@pytest.fixture
def bench(config) -> Bench:
    return Bench(Guard(Twin(Standard(2), 2, apparatus=Apparatus(hidden=HIDDEN)), config.limits), config.limits)


class Other(Standard):
    """The standard specimen with something else on it: nothing at all, or dots on a lattice."""

    def __init__(self, period_nm: float | None) -> None:
        super().__init__(1)
        self.period_nm = period_nm

    def project(self, grids: Sequence[Grid]) -> Tensor:
        matter = torch.zeros_like(super().project(grids))
        matter[:, 1] = 20.0
        if self.period_nm is not None:
            across = np.arange(grids[0].columns)[:, None] * grids[0].across_nm
            points = grids[0].origin_nm[:, None] + across
            waves = np.cos(2 * math.pi * points / self.period_nm)
            matter[0, 0] = torch.from_numpy(10 * np.clip(waves, 0, None).prod(axis=-1))
        return matter


@pytest.fixture
def bench_on(config):
    """Make a bench with another specimen: empty, or a lattice of a period in nm."""

    def make(period_nm: float | None) -> Bench:
        return Bench(Guard(Twin(Other(period_nm), 1), config.limits), config.limits)

    return make


@pytest.fixture(scope="session")
def said() -> list[str]:
    return []


@pytest.fixture(scope="session")
def evidence(config, said) -> Evidence:
    """A whole calibration on a coarse raster, so that it takes seconds only."""
    microscope = Guard(Twin(Standard(2), 2, apparatus=Apparatus(hidden=HIDDEN)), config.limits)
    settings = CalibrateSettings(pixels=128, rounds=2, grating_nm=463.0)
    return calibrate(microscope, config.limits, settings, say=said.append)
