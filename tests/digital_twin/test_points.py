"""Points of matter on pixels: nothing is lost, and it is where it should be."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import torch

from digital_twin.points import draw_points

PLACES = torch.tensor([[0.1, 0.13], [0.222, 0.2], [0.35, 0.31]], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
ONE = torch.zeros(3, dtype=torch.long)


def centre(image: np.ndarray, grid) -> np.ndarray:
    rows, columns = np.mgrid[: len(image), : image.shape[1]]
    places = grid.origin_nm[rows] + columns[..., None] * grid.across_nm
    return (image[..., None] * places).sum((0, 1)) / image.sum()


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_weight_and_centre_of_mass_are_kept(square_grid, turn):
    plain = square_grid(32, 0.02)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    grid = replace(
        plain,
        origin_nm=(plain.origin_nm - 0.3) @ matrix.T + 0.3,
        across_nm=matrix @ plain.across_nm,
        down_nm=matrix @ plain.down_nm,
    )
    for place, weight in zip(PLACES, WEIGHTS, strict=True):
        image = draw_points([grid], ONE[:1], place[None], weight[None])[0].numpy()
        assert image.sum() == pytest.approx(float(weight))
        assert centre(image, grid) == pytest.approx(place.numpy(), abs=1e-9)
        assert (image > 0).sum() <= 4


def test_a_row_that_has_drifted_sees_points_elsewhere(square_grid):
    plain = square_grid(32, 0.02)
    moved = replace(plain, origin_nm=plain.origin_nm - np.array([0.06, 0.0]))
    image, other = (draw_points([grid], ONE, PLACES, WEIGHTS)[0] for grid in (plain, moved))
    assert torch.allclose(image[:, :-3], other[:, 3:])
    skewed = replace(plain, origin_nm=plain.origin_nm - 0.5 * plain.origin_nm[:, ::-1] * np.array([1.0, 0.0]))
    sheared = draw_points([skewed], ONE, PLACES, WEIGHTS)[0].numpy()
    assert sheared.sum() == pytest.approx(8.0)
    column = sheared[10] @ np.arange(32) / sheared[10].sum()
    assert column == pytest.approx((0.222 + 0.5 * 0.2) / 0.02, abs=1e-9)


def test_what_lies_outside_is_not_seen(square_grid):
    grid = square_grid(8, 0.02)
    outside = torch.tensor([[-0.03, 0.05], [0.05, 0.17], [5.0, 5.0]], dtype=torch.float64)
    assert draw_points([grid], ONE, outside, WEIGHTS).abs().max() == 0.0
    half = draw_points([grid], ONE[:1], torch.tensor([[-0.01, 0.04]], dtype=torch.float64), WEIGHTS[:1])
    assert half.sum().item() == pytest.approx(0.5)
    assert half[0, 2, 0].item() == pytest.approx(0.5)


def test_scans_of_a_batch_are_drawn_each_by_itself(square_grid):
    grids = [square_grid(16, 0.02), square_grid(16, 0.03)]
    both = draw_points(grids, torch.tensor([0, 1, 1]), PLACES, WEIGHTS)
    assert torch.equal(both[0], draw_points(grids[:1], ONE[:1], PLACES[:1], WEIGHTS[:1])[0])
    assert torch.equal(both[1], draw_points(grids[1:], ONE[:2], PLACES[1:], WEIGHTS[1:])[0])


def test_rows_that_shake_see_what_a_probe_sees(square_grid):
    # A probe of 0.04 nm over two atoms, from rows displaced by a quarter of a pixel and more.
    plain = square_grid(48, 0.02)
    random = np.random.default_rng(3)
    shaken = replace(plain, origin_nm=plain.origin_nm + random.normal(0.0, 0.005, (48, 2)))
    atoms, brightness = np.array([[0.41, 0.52], [0.61, 0.47]]), np.array([1.0, 3.0])
    where = shaken.origin_nm[:, None] + np.arange(48)[:, None] * shaken.across_nm
    away2 = ((where[:, :, None] - atoms) ** 2).sum(-1)
    true = (brightness * np.exp(-away2 / (2 * 0.04**2))).sum(-1)
    points = draw_points([shaken], ONE[:2], torch.from_numpy(atoms), torch.from_numpy(brightness))[0].numpy()
    steps = 0.02 * np.arange(-12, 13)
    probe = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 0.04**2))
    seen = scipy.signal.fftconvolve(points, probe, mode="same")
    assert points.sum() == pytest.approx(4.0, rel=0.03)
    assert np.sqrt(((seen - true) ** 2).mean() / (true**2).mean()) < 0.2
    assert seen.max() == pytest.approx(true.max(), rel=0.15)


def test_rows_that_drift_apart_see_a_point_less_often(square_grid):
    plain = square_grid(64, 0.02)
    stretched = replace(plain, origin_nm=plain.origin_nm * np.array([1.0, 1.25]))
    image = draw_points([stretched], ONE, PLACES + 0.3, WEIGHTS)
    assert image.sum().item() == pytest.approx(8.0 / 1.25)
