from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from agent.perception.columns import FEWEST, MOS2, Columns, find_columns, points
from agent.perception.lattice import Lattice

EDGE_NM, PIXEL_NM, PIXELS = 0.316, 0.0625, 96
METAL, SULFUR = 2.35, 1.0


@dataclass
class Drawn:
    """Gaussian columns on a honeycomb, drawn from closed forms: what is where is known."""

    image: np.ndarray
    light: np.ndarray
    share: np.ndarray


def honeycomb(rng: np.random.Generator, electrons: float, turn_deg: float = 17.0, shaken_nm: float = 0.0) -> Drawn:
    """An image with ``electrons`` in a full light column, every 20th of which has half of it, and every 30th twice.

    Rows may stand off along themselves by so much, in waves of some 50 rows.
    """
    sd_nm = 0.055
    off = shaken_nm / PIXEL_NM * np.sin(np.arange(PIXELS) / 8.0)
    turn = math.radians(turn_deg)
    across = EDGE_NM / PIXEL_NM * np.array([math.sin(turn), math.cos(turn)])
    down = EDGE_NM / PIXEL_NM * np.array([math.sin(turn + 2 * math.pi / 3), math.cos(turn + 2 * math.pi / 3)])
    n, m = np.mgrid[-60:61, -60:61]
    cells = n.reshape(-1, 1) * across + m.reshape(-1, 1) * down + PIXELS / 2 + 0.3
    heavy, light = cells, cells + (across + 2 * down) / 3
    heavy, light = (at[((at > -6) & (at < PIXELS + 5)).all(axis=1)] for at in (heavy, light))
    share = np.ones(len(light))
    order = rng.permutation(len(light))
    share[order[::20]], share[order[7::30]] = 0.5, 2.3
    expected = np.full((PIXELS, PIXELS), 1e-9)
    for (row, column), height in zip(np.concatenate([heavy, light]), [*[METAL] * len(heavy), *share], strict=True):
        y = np.exp(-0.5 * ((np.arange(PIXELS) - row) * PIXEL_NM / sd_nm) ** 2)
        x = np.exp(-0.5 * ((np.arange(PIXELS) - column - off[:, None]) * PIXEL_NM / sd_nm) ** 2)
        expected += electrons * height * y[:, None] * x * PIXEL_NM**2 / (2 * math.pi * sd_nm**2)
    inside = ((light > 1) & (light < PIXELS - 2)).all(axis=1)
    return Drawn(rng.poisson(expected), light[inside], share[inside])


def nearest(found: Columns, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each place the nearest light column found, and how far it is, in nm."""
    apart = np.hypot(*(found.light.at[None] - at[:, None]).transpose(2, 0, 1))
    return apart.argmin(axis=1), apart.min(axis=1) * PIXEL_NM


@pytest.mark.parametrize("turn_deg", [-29.0, 0.0, 17.0, 95.0])
def test_columns_are_where_they_are_and_defects_are_told(turn_deg: float) -> None:
    drawn = honeycomb(np.random.default_rng(1), 400.0, turn_deg)
    found = find_columns(drawn.image, PIXEL_NM, MOS2)
    assert found.usable
    which, apart = nearest(found, drawn.light)
    assert apart.max() < 0.02
    vacancies, dopants, light_atoms = found.light.defects()[which].T
    # Half of two sulfur atoms: one of them is missing, or is oxygen, which is a third as bright.
    assert ((vacancies + light_atoms > 0.5) == (drawn.share < 0.8)).mean() > 0.995
    assert ((vacancies > 0.5) == (drawn.share < 0.8)).mean() > 0.99
    np.testing.assert_array_equal(dopants > 0.5, drawn.share > 2)
    assert found.quality["misfit"] < 1.1
    assert found.quality["electrons_per_column"] == pytest.approx(400.0, rel=0.05)


def test_rows_that_shake_are_followed() -> None:
    drawn = honeycomb(np.random.default_rng(6), 1500.0, shaken_nm=0.008)
    found = find_columns(drawn.image, PIXEL_NM, MOS2)
    assert found.usable
    assert found.quality["misfit"] < 1.15


def test_chances_mean_what_they_say_where_single_columns_hardly_tell() -> None:
    rng = np.random.default_rng(2)
    chances, true = [], []
    for _ in range(12):
        drawn = honeycomb(rng, 40.0, rng.uniform(0, 60))
        found = find_columns(drawn.image, PIXEL_NM, MOS2)
        which, _ = nearest(found, drawn.light)
        chances.append(found.light.defects()[which][:, [0, 2]].sum(axis=1))
        true.append(drawn.share < 0.8)
    told, there = np.concatenate(chances), np.concatenate(true)
    assert told.mean() == pytest.approx(there.mean(), rel=0.3)
    unsure = (told > 0.2) & (told < 0.8)
    assert unsure.sum() > 40
    assert there[unsure].mean() == pytest.approx(told[unsure].mean(), abs=0.15)


def test_numbers_have_honest_errors_at_any_dose() -> None:
    rng = np.random.default_rng(3)
    for electrons in (30.0, 300.0):
        z = []
        for _ in range(10):
            drawn = honeycomb(rng, electrons, rng.uniform(0, 60))
            found = find_columns(drawn.image, PIXEL_NM, MOS2)
            which, _ = nearest(found, drawn.light)
            _, mean, sd = found.light.within(np.unique(which)).tally()
            z.append((mean[1] - (drawn.share > 2).sum()) / max(sd[1], 0.2))
        assert np.sqrt(np.mean(np.square(z))) < 2.0, electrons


def test_half_of_an_image_is_told_of_as_such() -> None:
    drawn = honeycomb(np.random.default_rng(4), 400.0)
    found = find_columns(drawn.image, PIXEL_NM, MOS2)
    cell_nm = PIXELS * PIXEL_NM
    whole = found.told((0, PIXELS, 0, PIXELS), PIXEL_NM, cell_nm)
    half = found.told((0, PIXELS // 2, 0, PIXELS), PIXEL_NM, cell_nm)
    assert whole.shape == half.shape == (9,)
    # What was not seen is as full as the rest, but nobody knows.
    np.testing.assert_allclose(half[1] ** 2, whole[1] ** 2, rtol=0.35)
    assert half[4] > whole[4] + 0.5


BAD = {
    "blank": np.zeros((96, 96)),
    "even": np.full((96, 96), 7),
    "saturated": np.minimum(np.random.default_rng(0).poisson(300, (96, 96)), 255),
    "not finite": np.full((96, 96), np.nan),
    "a bad pixel": np.where(np.arange(96 * 96).reshape(96, 96) == 5, np.inf, 3.0),
    "negative": np.random.default_rng(0).normal(0, 1, (96, 96)),
    "a line": np.ones((1, 400)),
    "a spectrum": np.ones((8, 8, 100)),
    "tiny": np.ones((FEWEST - 1, FEWEST - 1)),
    "noise": np.random.default_rng(0).poisson(20.0, (96, 96)),
    "nothing": np.zeros((0, 0)),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_said_to_be_one(name: str) -> None:
    found = find_columns(BAD[name], PIXEL_NM, MOS2)
    assert not found.usable
    assert not len(found.light.at)
    assert all(math.isfinite(value) for value in found.quality.values())


def test_less_than_nothing_was_never_counted() -> None:
    image = honeycomb(np.random.default_rng(8), 400.0).image.astype(np.float64)
    assert find_columns(image, PIXEL_NM, MOS2).usable
    image[40, 40] = -1.0
    assert not find_columns(image, PIXEL_NM, MOS2).usable


def test_pixels_too_coarse_for_the_lattice_tell_nothing() -> None:
    assert not find_columns(np.random.default_rng(0).poisson(20.0, (64, 64)), 0.2, MOS2).usable


def test_another_crystal_is_not_taken_for_this_one() -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:96, :96] * PIXEL_NM
    square = 60.0 * (1 + np.cos(2 * math.pi * x / 0.2737)) * (1 + np.cos(2 * math.pi * y / 0.2737))
    assert not find_columns(rng.poisson(square), PIXEL_NM, MOS2).usable


def test_points_are_those_within_the_image() -> None:
    lattice = Lattice(np.eye(2) / 10.0, 100.0)
    at = points(lattice, np.array([2.0, 3.0]), (30, 20), 0.0)
    assert sorted(map(tuple, at.round(6).tolist())) == [(r, c) for r in (2.0, 12.0, 22.0) for c in (3.0, 13.0)]
