from __future__ import annotations

import numpy as np
import pytest

from agent.training.errors import sd_about_0, shared


def test_what_is_missing_does_not_count() -> None:
    assert sd_about_0(np.array([3.0, np.nan, -4.0])) == pytest.approx(np.sqrt(12.5))
    assert sd_about_0(np.array([np.nan])) == 1.0


def test_what_errors_of_a_cell_and_of_a_world_have_in_common_is_told_apart() -> None:
    random = np.random.default_rng(0)
    worlds, looks, cells = 400, 30, 5
    seed, cell = np.repeat(np.arange(worlds), looks), random.integers(0, cells, worlds * looks)
    z = np.sqrt(0.3) * random.standard_normal(worlds)[seed]
    z += np.sqrt(0.4) * random.standard_normal((worlds, cells))[seed, cell]
    z += np.sqrt(0.3) * random.standard_normal(len(seed))
    z[::7] = np.nan
    half = len(seed) // 2
    parts = [(seed[rows], cell[rows], z[rows, None]) for rows in (slice(half), slice(half, None))]
    assert shared(parts, 0) == (pytest.approx(0.7, abs=0.05), pytest.approx(0.3, abs=0.05))
