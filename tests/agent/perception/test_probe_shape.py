from __future__ import annotations

import math

import numpy as np
import pytest

from agent.perception.lattice import find_lattice
from agent.perception.probe_shape import Shape, find_shape

PIXEL_NM, EDGE_NM, PIXELS = 0.0625, 0.316, 96


def image(sd_nm: tuple[float, float], ratio: float, origin: tuple[float, float], hand: int) -> np.ndarray:
    """Expected counts of a honeycomb of Gaussian columns, wider along rows than along columns, or not."""
    turn = math.radians(11.0)
    a = EDGE_NM / PIXEL_NM * np.array([math.sin(turn), math.cos(turn)])
    b = EDGE_NM / PIXEL_NM * np.array([math.sin(turn + 2 * math.pi / 3), math.cos(turn + 2 * math.pi / 3)])
    n, m = np.mgrid[-60:61, -60:61]
    heavy = n.reshape(-1, 1) * a + m.reshape(-1, 1) * b + np.array(origin)
    light = heavy + ((a + 2 * b) / 3 if hand > 0 else (2 * a + b) / 3)
    expected = np.zeros((PIXELS, PIXELS))
    for at, height in ((heavy, ratio), (light, 1.0)):
        for row, column in at[((at > -6) & (at < PIXELS + 5)).all(axis=1)]:
            y = np.exp(-0.5 * ((np.arange(PIXELS) - row) * PIXEL_NM / sd_nm[0]) ** 2)
            x = np.exp(-0.5 * ((np.arange(PIXELS) - column) * PIXEL_NM / sd_nm[1]) ** 2)
            expected += 200.0 * height * np.outer(y, x) * PIXEL_NM**2 / (2 * math.pi * sd_nm[0] * sd_nm[1])
    return expected


@pytest.mark.parametrize("hand", [1, -1])
@pytest.mark.parametrize("sd_nm", [(0.05, 0.05), (0.075, 0.06)])
def test_shape_heights_and_places_are_found(sd_nm: tuple[float, float], hand: int) -> None:
    origin = (43.2, 51.7)
    counts = np.random.default_rng(0).poisson(image(sd_nm, 2.35, origin, hand)).astype(float)
    lattice = find_lattice(counts, EDGE_NM / PIXEL_NM)
    assert lattice is not None
    shape = find_shape(counts, lattice, PIXEL_NM, 2.35)
    # As many lattice vectors away from the truth as it likes, but whole ones.
    for place, true in zip(shape.places, (np.array(origin), None), strict=True):
        if true is not None:
            index = (place - true) @ lattice.reciprocal.T
            np.testing.assert_allclose(index, index.round(), atol=0.02)
    np.testing.assert_allclose(shape.heights, [470.0, 200.0], rtol=0.05)
    # Of a Gaussian the tail holds what the core lacks: the whole is as wide.
    whole = (1 - shape.tail + shape.tail * shape.wider**2) * shape.core_nm2
    np.testing.assert_allclose(np.sqrt(np.diag(whole)), sd_nm, rtol=0.1)
    assert abs(shape.background) < 0.03 * counts.mean()


def test_a_drawn_column_holds_what_it_should_and_fades_as_its_transfer_says() -> None:
    core = np.array([[0.05**2, 3e-4], [3e-4, 0.06**2]])
    shape = Shape(core, 0.3, 2.0, np.zeros((2, 2)), np.ones(2), 0.0)
    span = np.arange(-32, 33)
    drawn = shape.drawn(span[None] - 0.3, span[None] + 0.2, 0.02)[0]
    assert drawn.sum() == pytest.approx(1.0, abs=1e-3)
    g = np.array([[3.0, 2.0]])
    y, x = np.meshgrid((span - 0.3) * 0.02, (span + 0.2) * 0.02, indexing="ij")
    seen = (drawn * np.cos(2 * math.pi * (g[0, 0] * y + g[0, 1] * x))).sum()
    assert shape.transfer(g)[0] == pytest.approx(seen, abs=1e-3)
    assert shape.sd_nm == pytest.approx(math.sqrt((0.05**2 + 0.06**2) / 2))
