"""Potentials of atoms and lattices against sums in Fourier space, and what pixels leave out."""

import math

import numpy as np
import pytest
import torch

from digital_twin.lobato import factor_nm
from digital_twin.materials import POTENTIAL_V_nm2
from digital_twin.potential import Lattice, axes_nm, draw_atoms, finest_per_nm
from digital_twin.specimen import Grid

CPU = torch.device("cpu")
STRONTIUM_TITANATE = [(38, 0.0, 0.0), (22, 0.5, 0.5), (8, 0.5, 0.5), (8, 0.5, 0.0), (8, 0.0, 0.5)]


def one(place, z=38):
    return torch.zeros(1, dtype=torch.long), torch.tensor([place], dtype=torch.float64), torch.tensor([z])


def structure_factors(grid, positions, numbers, thermal_nm):
    """Potential of periodic atoms by its Fourier sum, up to 0.7 of the finest frequency."""
    n, pixel = grid.columns, grid.pixel_nm
    g = np.fft.fftfreq(n, pixel)
    size = np.hypot(g[:, None], g)
    spectrum = np.zeros((n, n), dtype=complex)
    for (x, y), z in zip(positions, numbers, strict=True):
        shape = POTENTIAL_V_nm2 * factor_nm(z, size) * np.exp(-2 * (math.pi * thermal_nm * size) ** 2)
        spectrum += shape * np.exp(-2j * np.pi * (g[:, None] * y + g * x))
    return spectrum / pixel**2, size < 0.7 * finest_per_nm(grid)


@pytest.mark.parametrize("pixel_nm", [0.02, 0.05, 0.2])
def test_atoms_have_the_spectrum_of_their_scattering_factors(square_grid, pixel_nm):
    grid = square_grid(96, pixel_nm)
    positions, numbers = pixel_nm * np.array([[40.3, 44.1], [52.9, 55.5]]), [38, 8]
    drawn = draw_atoms([grid], torch.zeros(2, dtype=torch.long), torch.tensor(positions), torch.tensor(numbers), 0.006)
    expected, low = structure_factors(grid, positions, numbers, 0.006)
    ours = np.fft.fft2(drawn[0].numpy())
    assert np.abs(ours - expected)[low].max() < 0.02 * np.abs(expected).max()
    assert (
        np.abs(ours - expected)[low & (np.abs(expected) > 0.3 * np.abs(expected).max())].max()
        < 0.03 * np.abs(expected).max()
    )


def test_what_is_finer_than_a_pixel_is_left_out(square_grid):
    drawn = np.fft.fft2(draw_atoms([square_grid(64, 0.1)], *one((3.2, 3.2)))[0].numpy())
    # Of a strontium atom a fifth is left at the finest frequency of these pixels.
    assert np.abs(drawn)[28:36, 28:36].max() < 0.01 * np.abs(drawn).max()


def test_heavier_motion_blurs(square_grid):
    sharp, soft = (draw_atoms([square_grid(64, 0.02)], *one((0.64, 0.64)), t).max() for t in (0.0, 0.02))
    assert soft < 0.8 * sharp


def test_each_row_sees_the_atom_from_its_own_place(square_grid):
    straight = square_grid(64, 0.05)
    origin = straight.origin_nm + np.stack([0.013 * np.sin(np.arange(64)), 0.011 * np.cos(np.arange(64))], axis=-1)
    bent = Grid(origin, straight.across_nm, straight.down_nm, 64)
    drawn = draw_atoms(
        [straight, bent], torch.tensor([0, 1]), torch.full((2, 2), 1.6, dtype=torch.float64), torch.tensor([38, 38])
    )
    row = 33
    moved = 1.6 - torch.tensor(origin[row] - straight.origin_nm[row])
    alone = draw_atoms([straight], torch.zeros(1, dtype=torch.long), moved[None], torch.tensor([38]))
    assert torch.allclose(drawn[1, row], alone[0, row], atol=1e-6)
    assert (drawn[0, row] - drawn[1, row]).abs().max() > 1.0


def test_atoms_beyond_the_rim_reach_in_and_far_ones_do_not(square_grid):
    grid = square_grid(32, 0.05)
    drawn = [draw_atoms([grid], *one(place))[0] for place in ((-0.1, 0.8), (-5.0, 0.8), (0.8, 1.7))]
    assert drawn[0][:, 0].max() > 1.0
    assert drawn[1].abs().max() == 0.0
    assert drawn[2][-1].max() > 1.0


def test_a_batch_is_its_scans_one_by_one(square_grid):
    grids = [square_grid(32, 0.05), square_grid(32, 0.07)]
    places, numbers = torch.rand(40, 2, dtype=torch.float64) * 1.6, torch.tensor([6, 42] * 20)
    scan = torch.arange(40) % 2
    together = draw_atoms(grids, scan, places, numbers)
    for b, grid in enumerate(grids):
        mine = scan == b
        alone = draw_atoms([grid], torch.zeros(20, dtype=torch.long), places[mine], numbers[mine])
        assert torch.equal(together[b], alone[0])


def test_an_atom_that_moves_towards_the_middle_is_refused(square_grid):
    with pytest.raises(ValueError, match=r"thermal_nm is -0\.1"):
        draw_atoms([square_grid(8, 0.1)], *one((0.0, 0.0)), -0.1)


def test_a_lattice_is_the_sum_of_its_atoms(square_grid):
    # Four by four cells of strontium titanate on one grid, as atoms and as a Fourier sum.
    edge, pixel = 0.3905, 0.3905 / 24
    grid = square_grid(96, pixel)
    lattice = Lattice.of_cell(np.diag([edge, edge]), edge, STRONTIUM_TITANATE, 0.008, 0.7 * finest_per_nm(grid))
    drawn = edge * lattice.volts(*axes_nm(grid, CPU), finest_per_nm(grid)).numpy()
    positions = [(edge * (i + u), edge * (j + v)) for i in range(4) for j in range(4) for _, u, v in STRONTIUM_TITANATE]
    expected, low = structure_factors(grid, positions, [z for z, _, _ in STRONTIUM_TITANATE] * 16, 0.008)
    summed = np.fft.ifft2(expected * low).real
    assert np.abs(drawn - summed).max() < 1e-6 * summed.max()


def places(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random rows and columns, (count, 2) and (count + 1, 2) nm."""
    drawn = torch.rand(2 * count + 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return drawn[:count], drawn[count:]


def test_a_lattice_shows_only_what_pixels_resolve():
    lattice = Lattice.of_cell(np.diag([0.3905, 0.3905]), 0.3905, STRONTIUM_TITANATE)
    mean = torch.full((7, 8), lattice.mean_V, dtype=torch.float64)
    assert torch.equal(lattice.volts(*places(7), 2.0), mean)
    assert lattice.volts(*places(7), 9.0).std() > lattice.volts(*places(7), 4.0).std() > 1.0


def test_turning_and_moving_a_lattice():
    lattice = Lattice.of_cell(np.diag([0.4, 0.5]), 0.4, [(79, 0.0, 0.0), (8, 0.2, 0.4)])
    rows, columns = places(20)
    straight = lattice.volts(rows, columns, 9.0)
    turn = torch.tensor([[math.cos(0.3), math.sin(0.3)], [-math.sin(0.3), math.cos(0.3)]], dtype=torch.float64)
    assert torch.allclose(lattice.volts(rows @ turn, columns @ turn, 9.0, 0.3), straight)
    assert torch.allclose(lattice.volts(rows + torch.tensor([-0.4, 0.5], dtype=torch.float64), columns, 9.0), straight)


def test_what_is_left_of_each_shell_fades_the_lattice():
    lattice = Lattice.of_cell(np.diag([0.4, 0.5]), 0.4, [(79, 0.0, 0.0), (8, 0.2, 0.4)])
    rows, columns = places(10)
    shells, sizes = lattice.shells, np.hypot(*lattice.g_per_nm.T)
    assert [n for _, some in shells for n in some] != list(range(len(shells)))
    assert all(sizes[n] == pytest.approx(length, abs=1e-6) for length, some in shells for n in some)
    left = torch.zeros(len(shells), 10, 11, dtype=torch.float64)
    mean = torch.full((10, 11), lattice.mean_V, dtype=torch.float64)
    assert torch.equal(lattice.volts(rows, columns, 9.0, order=left), mean)
    left[2] = torch.rand(10, 11, dtype=torch.float64)
    at = rows[:, None] + columns
    waves = [
        (V * np.exp(2j * np.pi * (at @ torch.from_numpy(g)).numpy())).real
        for g, V in zip(lattice.g_per_nm[shells[2][1]], lattice.V[shells[2][1]], strict=True)
    ]
    expected = lattice.mean_V + left[2].numpy() * sum(waves)
    assert np.allclose(lattice.volts(rows, columns, 9.0, order=left).numpy(), expected)


def test_forbidden_reflections_are_not_kept():
    centred = Lattice.of_cell(np.diag([0.36, 0.36]), 0.36, [(29, 0, 0), (29, 0.5, 0.5), (29, 0.5, 0), (29, 0, 0.5)])
    even = centred.g_per_nm * 0.36 / 2
    assert np.allclose(even, even.round())


def test_a_cell_without_volume_is_refused():
    with pytest.raises(ValueError, match="volume is 0"):
        Lattice.of_cell(np.array([[0.4, 0.0], [0.8, 0.0]]), 0.4, [(6, 0.0, 0.0)])
