"""Periodic films: distances, maps between nodes, grains and what lies in them, the window under heat."""

import math

import numpy as np
import pytest
import torch

from digital_twin.conditions import ROOM_K
from digital_twin.film import (
    BLOCK,
    LAG_S,
    Grains,
    Window,
    cell_means,
    draw_grains,
    nearest_image_nm,
    nodes_nm,
    read_maps,
)
from digital_twin.potential import Lattice, pixel_places_nm
from digital_twin.specimen import Grid
from hardware_bridge.messages import Holder

EXTENT_NM = 400.0
CPU = torch.device("cpu")
ROWS = Lattice(3.0, np.array([[2.0, 0.0]]), np.array([1.0 + 0.0j]))
"""A crystal of rows along y, 0.5 nm apart."""


def grains(seed: int = 1) -> Grains:
    """One film of 64 grains."""
    random = np.random.default_rng(seed)
    place = torch.from_numpy(draw_grains(random, EXTENT_NM, 8))[None]
    return Grains(place, torch.from_numpy(random.uniform(0, math.pi, (1, 64))), EXTENT_NM)


def points(count: int, low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Random points, (1, count, count)."""
    random = np.random.default_rng(4)
    return tuple(torch.from_numpy(random.uniform(low, high, (1, count, count))) for _ in range(2))


def by_hand(film: Grains, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The nearest centre among all of them and their eight images."""
    shifts = [EXTENT_NM * torch.tensor([a, b]) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    centres = torch.cat([film.centre_nm[0] + shift for shift in shifts])
    return torch.cdist(torch.stack([x, y], -1)[0].view(-1, 2), centres).argmin(dim=1).view(x.shape) % 64


def test_the_short_way_round():
    offsets = torch.tensor([10.0, 199.0, 201.0, 399.0, -390.0])
    assert nearest_image_nm(offsets, EXTENT_NM).tolist() == [10.0, 199.0, -199.0, -1.0, 10.0]


@pytest.mark.parametrize(("low", "high"), [(-3.0, 4.0), (10.0, 11.0), (150.0, 240.0), (-200.0, 200.0), (-520.0, 90.0)])
def test_points_belong_to_the_nearest_centre(low, high):
    film, places = grains(), points(40, low, high)
    assert torch.equal(film.owner(*places), by_hand(film, *places))


def test_the_nodes_of_a_map_belong_to_the_nearest_centre():
    film, axis = grains(), nodes_nm(EXTENT_NM, 32, CPU)
    x, y = axis.expand(1, 33, 33), axis[:, None].expand(1, 33, 33)
    owners = film.owners(32)
    assert torch.equal(owners[:, :-1, :-1], by_hand(film, x, y)[:, :-1, :-1])
    assert torch.equal(owners[:, -1], owners[:, 0])
    assert torch.equal(owners[:, :, -1], owners[:, :, 0])


def test_maps_are_read_by_straight_lines_and_go_on_beyond_the_edge():
    axis = nodes_nm(EXTENT_NM, 64, CPU)
    wave = torch.cos(2 * math.pi * axis / EXTENT_NM) + 2 * torch.sin(2 * math.pi * axis / EXTENT_NM)[:, None]
    x, y = points(30, -500.0, 500.0)
    expected = torch.cos(2 * math.pi * x / EXTENT_NM) + 2 * torch.sin(2 * math.pi * y / EXTENT_NM)
    assert torch.allclose(read_maps([wave[None]], x, y, EXTENT_NM)[0], expected, atol=0.008)


def test_means_of_cells_are_in_the_order_of_rows():
    axis = nodes_nm(8.0, 32, CPU)
    means = cell_means((axis + 10 * axis[:, None])[None], 4)[0].view(4, 4)
    middles = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=torch.float64)
    assert torch.allclose(means, middles + 10 * middles[:, None])


def fringes(film: Grains, pixel_nm: float) -> torch.Tensor:
    """Rows of atoms in the middle of a grain."""
    centre = film.centre_nm[0, 27].numpy()
    origin = centre + pixel_nm * np.stack([np.full(32, -16), np.arange(32) - 16], axis=1)
    grid = Grid(origin, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), 32)
    (drawn,) = film.lattices_V((ROWS,), [grid])
    return drawn[0]


def test_every_grain_has_a_lattice_of_its_own_about_its_centre():
    # Across grains, the film's edge and blocks, with a scan that is turned and rows that drift.
    film, columns = grains(), 40 + BLOCK
    across, down = np.array([0.19, 0.05]), np.array([-0.05, 0.19])
    drift = np.random.default_rng(2).normal(0.0, 0.05, (70, 2))
    grid = Grid(np.array([180.0, 190.0]) + np.arange(70)[:, None] * down + drift, across, down, columns)
    left = torch.rand(1, 1, 70, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (drawn,), (faded,) = film.lattices_V((ROWS,), [grid]), film.lattices_V((ROWS,), [grid], left)
    x, y = pixel_places_nm([grid], CPU)
    owner = by_hand(film, x, y)
    assert len(owner.unique()) > 2
    dx, dy = (nearest_image_nm(at - film.centre_nm[0][owner][..., k], EXTENT_NM) for k, at in enumerate((x, y)))
    turn = film.turn_rad[0][owner]
    wave = torch.cos(2 * math.pi * 2.0 * (turn.cos() * dx + turn.sin() * dy))
    assert torch.allclose(drawn, 3.0 + wave, rtol=0.0, atol=1e-9)
    assert torch.allclose(faded, 3.0 + left[0] * wave, rtol=0.0, atol=1e-9)


def test_a_lattice_is_turned_as_its_grain_is():
    film = grains()
    spectrum = torch.fft.fft2(fringes(film, 0.125) - 3.0).abs()
    row, column = divmod(int(spectrum[:16].argmax()), 32)
    along = (math.atan2(row, column if column < 16 else column - 32)) % math.pi
    assert along == pytest.approx(float(film.turn_rad[0, 27]), abs=0.15)


def test_pixels_that_do_not_resolve_a_lattice_see_its_mean():
    assert (fringes(grains(), 0.3) == 3.0).all()


def test_the_window_follows_its_set_point_and_lifts():
    window = Window([1, 2], 573.0, CPU)
    place = torch.zeros(2, 1, dtype=torch.float64)
    cold = window.height_nm(place, place, None)
    assert (cold < -300.0).all()
    window.set_holder(Holder(temperature_K=573.0))
    window.set_holder(Holder(temperature_K=None))
    window.follow(LAG_S)
    assert window.temperature_K == pytest.approx(573.0 - (573.0 - ROOM_K) / math.e)
    window.follow(1e6)
    assert torch.allclose(window.height_nm(place, place, None), torch.zeros_like(place))
