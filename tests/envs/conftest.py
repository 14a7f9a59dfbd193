"""Worlds that no card was made from."""

import numpy as np
import pytest

from envs.prior import ensemble

OTHER_SEEDS = range(200_000, 200_012)


@pytest.fixture(scope="session")
def other_truths() -> dict[str, np.ndarray]:
    return ensemble("growth", OTHER_SEEDS)
