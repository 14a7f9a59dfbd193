from __future__ import annotations

import numpy as np
import pytest

from agent.perception.columns import MOS2
from agent.perception.occupancy import Occupancy, Sites


def test_cases_of_a_column_of_two_are_all_there_is() -> None:
    may = Occupancy.of(2, (1.0, 0.0, 3.0, 0.5), (0.1, 0.2, 0.3))
    assert len(may.bright) == 10
    assert may.common(may.usual).sum() == pytest.approx(1.0)
    one = {tuple(h): (b, c) for h, b, c in zip(may.holds.tolist(), may.bright, may.common(may.usual), strict=True)}
    assert one[0, 0, 0] == pytest.approx((1.0, 0.4**2))
    assert one[1, 0, 0] == pytest.approx((0.5, 2 * 0.4 * 0.1))
    assert one[0, 2, 0] == pytest.approx((3.0, 0.2**2))
    assert one[1, 0, 1] == pytest.approx((0.25, 2 * 0.1 * 0.3))


def drawn(rng: np.random.Generator, chance: np.ndarray, sd: float, count: int) -> tuple[Sites, np.ndarray]:
    """Columns whose brightness is seen with a Gaussian error, and what is on them."""
    may = MOS2.light
    case = rng.choice(len(may.bright), count, p=may.common(chance) / may.common(chance).sum())
    seen = may.bright[case] + sd * rng.standard_normal(count)
    logs = -0.5 * ((seen[:, None] - may.bright) / sd) ** 2
    return Sites(np.zeros((count, 2)), logs, may), may.holds[case]


@pytest.mark.parametrize("sd", [0.04, 0.15, 0.4])
def test_numbers_are_honest_whatever_the_noise_and_the_density(sd: float) -> None:
    rng = np.random.default_rng(round(100 * sd))
    z, sds = [], []
    for _ in range(60):
        sites, holds = drawn(rng, MOS2.light.usual * np.exp(0.8 * rng.standard_normal(3)), sd, 400)
        _, mean, error = sites.tally()
        sds.append(error)
        z.append((mean - holds.sum(axis=0)) / np.hypot(error, 0.05))
    rms = np.sqrt(np.mean(np.square(z), axis=0))
    assert (rms < 1.35).all()
    # Where every atom is seen there is next to no error left.
    assert (rms[np.mean(sds, axis=0) > 0.5] > 0.7).all()


def test_many_defects_are_seen_as_a_high_density() -> None:
    rng = np.random.default_rng(0)
    few, many = (drawn(rng, MOS2.light.usual * times, 0.2, 2000)[0].tally()[0] for times in (0.3, 6.0))
    assert (many[:2] > 5 * few[:2]).all()


def test_no_columns_tell_what_is_usual() -> None:
    sites = Sites(np.zeros((0, 2)), np.zeros((0, 10)), MOS2.light)
    chance, mean, sd = sites.tally()
    assert (chance > MOS2.light.usual).all()
    assert (chance < 3 * MOS2.light.usual).all()
    np.testing.assert_array_equal([mean, sd], np.zeros((2, 3)))
    assert sites.defects().shape == (0, 3)
