from __future__ import annotations

import math

import numpy as np
import pytest

from agent.perception.lattice import SHELLS, Lattice, coefficients, find_lattice, periodic, resolved


def basis(edge_px: float, turn_deg: float) -> np.ndarray:
    """Reciprocal vectors of a hexagonal lattice, 60 degrees apart, the first at an angle from the columns' axis."""
    angles = np.radians([turn_deg, turn_deg + 60.0])
    return 2 / (math.sqrt(3) * edge_px) * np.stack([np.sin(angles), np.cos(angles)], axis=-1)


def waves(reciprocal: np.ndarray, shape: tuple[int, int], mean: float) -> np.ndarray:
    """An image that repeats with a lattice: three cosines on a mean."""
    at = np.moveaxis(np.indices(shape), 0, -1)
    return mean * (1 + 0.2 * sum(np.cos(2 * math.pi * at @ g) for g in np.array(SHELLS[0]) @ reciprocal))


@pytest.mark.parametrize(("turn_deg", "edge_px"), [(3.0, 5.05), (31.0, 5.1), (58.0, 4.95), (90.0, 5.0)])
def test_a_lattice_is_found_at_any_turn_to_a_thousandth(turn_deg: float, edge_px: float) -> None:
    true = basis(edge_px, turn_deg)
    counts = np.random.default_rng(1).poisson(waves(true, (100, 120), 200.0)).astype(float)
    found = find_lattice(counts, 5.0)
    assert found is not None
    assert found.significance > 100
    # Any of the three pairs of a lattice's vectors is as good, either way round.
    index = np.linalg.solve(true.T, found.reciprocal.T)
    np.testing.assert_allclose(index, index.round(), atol=0.002)
    assert abs(round(float(np.linalg.det(index)))) == 1
    np.testing.assert_allclose(np.hypot(*found.edges.T), edge_px, rtol=1e-3)


def test_it_is_sheared_where_the_scan_was() -> None:
    true = basis(5.0, 20.0) @ np.array([[1.0, 0.012], [0.0, 1.0]])
    counts = np.random.default_rng(2).poisson(waves(true, (96, 96), 30.0)).astype(float)
    found = find_lattice(counts, 5.0)
    assert found is not None
    index = np.linalg.solve(true.T, found.reciprocal.T)
    np.testing.assert_allclose(index, index.round(), atol=0.003)


def test_noise_is_not_a_lattice() -> None:
    rng = np.random.default_rng(3)
    most = [find_lattice(rng.poisson(2.0, (96, 96)).astype(float), 5.0) for _ in range(20)]
    assert max(each.significance for each in most if each is not None) < 12.0


def test_few_electrons_are_enough() -> None:
    # 0.3 a pixel, of which a lattice makes a fifth: no column could be seen.
    true = basis(5.05, 12.0)
    found = find_lattice(np.random.default_rng(4).poisson(waves(true, (128, 128), 0.3)).astype(float), 5.0)
    assert found is not None
    assert found.significance > 12.0
    index = np.linalg.solve(true.T, found.reciprocal.T)
    np.testing.assert_allclose(index, index.round(), atol=0.01)


def test_a_lattice_finer_than_pixels_is_not_looked_for() -> None:
    assert find_lattice(np.ones((64, 64)), 2.0) is None
    assert len(resolved(basis(2.0, 0.0))) == 0
    assert len(resolved(basis(5.0, 0.0))) == 9
    assert len(resolved(basis(3.0, 0.0))) == 3


def test_coefficients_are_those_of_the_waves_that_make_an_image() -> None:
    # With (0.2, 0) and (0, 0.25) periods a pixel: they fit into 100 pixels, so that nothing leaks.
    lattice = Lattice(np.array([[0.2, 0.0], [0.0, 0.25]]), 1.0)
    orders = np.array([[1, 0], [0, 1], [1, 1]])
    made = np.array([2.0 + 1.0j, -0.5j, 0.3])
    image = periodic(made, (100, 100), lattice.reciprocal, orders)
    y, x = np.indices((100, 100))
    turns = [0.2 * y, 0.25 * x, 0.2 * y + 0.25 * x]
    plain = sum(2 * (c * np.exp(2j * math.pi * t)).real for c, t in zip(made, turns, strict=True))
    np.testing.assert_allclose(image, plain, atol=1e-9)
    np.testing.assert_allclose(coefficients(image, lattice.reciprocal, orders), made, atol=1e-3)
