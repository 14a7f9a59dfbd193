"""The lattice against distances in MoS2, and its defects against the densities they are drawn from."""

import math

import numpy as np
import pytest
import torch

from digital_twin.monolayer import (
    COLUMNS,
    LATTICE_NM,
    METAL_NM,
    NOTHING,
    OXYGEN,
    PAIRS,
    PER_NM2,
    ROW_NM,
    ROWS,
    SELENIUM,
    draw,
    grown,
    neighbours,
)

CPU = torch.device("cpu")
SEEDS = range(24)


@pytest.fixture(scope="module")
def crystals():
    draws = [draw(seed, (1.3, 0.02), 0.5) for seed in SEEDS]
    return draws, grown(SEEDS, draws, CPU)


def test_each_site_has_six_neighbours_one_lattice_constant_away(crystals):
    around, place = neighbours(CPU), crystals[1].pair_nm[3]
    inner = (torch.arange(PAIRS).view(ROWS, COLUMNS)[1:-1, 1:-1]).flatten()
    apart = (place[around[inner]] - place[inner, None]).norm(dim=-1)
    assert apart.numpy() == pytest.approx(np.full(apart.shape, LATTICE_NM))
    assert bool((around.sort(-1).values.diff(dim=-1) > 0).all())


def test_neighbours_know_each_other_and_stay_in_their_layer(crystals):
    around = neighbours(CPU)
    back = around[around]
    assert (back == torch.arange(2 * PAIRS)[:, None, None]).any(-1).all()
    assert torch.equal(around[PAIRS:], around[:PAIRS] + PAIRS)
    assert int(around[:PAIRS].max()) < PAIRS


def test_each_metal_atom_has_three_pairs_of_sulfur_and_six_metal_atoms_around_it(crystals):
    atoms = crystals[1]
    pairs, metals = atoms.pair_nm[5], atoms.pair_nm[5] + atoms.metal_nm[5]
    middle = metals[PAIRS // 2 + COLUMNS // 2]
    to_pairs, to_metals = ((each - middle).norm(dim=-1).sort().values for each in (pairs, metals))
    assert to_pairs[:4].tolist() == pytest.approx([METAL_NM] * 3 + [2 * METAL_NM], rel=1e-9)
    assert to_metals[1:7].tolist() == pytest.approx([LATTICE_NM] * 6)
    assert pytest.approx(math.sqrt(3) / 2 * 0.316**2) == LATTICE_NM * ROW_NM


def test_the_crystal_reaches_beyond_the_extent_however_it_is_turned(crystals):
    for place in crystals[1].pair_nm:
        for corner in ((-16.0, -16.0), (16.0, -16.0), (16.0, 16.0), (-16.0, 16.0)):
            near = (place - torch.tensor(corner, dtype=torch.float64)).norm(dim=-1) < 1.2
            assert int(near.sum()) > 45


@pytest.mark.parametrize("box", [(-3.0, 1.0, 2.0, 4.0), (-40.0, 40.0, -1.0, 1.0), (14.0, 60.0, 14.0, 60.0)])
def test_a_box_finds_every_pair_in_it(crystals, box):
    x0, x1, y0, y1 = box
    corners = np.array([[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]] * 4)
    found = crystals[1].under(corners, range(4))
    for world, pairs in enumerate(found):
        x, y = crystals[1].pair_nm[world].unbind(-1)
        inside = ((x >= x0) & (x < x1) & (y >= y0) & (y < y1)).nonzero()[:, 0]
        assert set(inside.tolist()) <= set(pairs.tolist())
        assert len(set(pairs.tolist())) == len(pairs)


def test_densities_are_those_drawn(crystals):
    draws, atoms = crystals
    area_nm2 = PAIRS * LATTICE_NM * ROW_NM
    for kind in (NOTHING, SELENIUM, OXYGEN):
        counted = (atoms.occupant == kind).sum(1).numpy() / area_nm2
        asked = np.array([each.per_nm2[kind] for each in draws])
        ratio = counted / asked
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(len(ratio))
        assert np.median(asked) == pytest.approx(PER_NM2[kind], rel=0.3)


def test_defects_come_in_patches(crystals):
    # Counts in squares of 4 nm scatter more than those of Poisson.
    selenium = (crystals[1].occupant == SELENIUM).view(len(SEEDS), 2, ROWS, COLUMNS).sum(1)
    squares = selenium[:, :, : 11 * 13].reshape(len(SEEDS), 12, 14, 11, 13).sum((2, 4)).double().flatten(1)
    assert (squares.var(1) / squares.mean(1)).mean() > 1.5


def test_crystals_are_keyed_by_their_seed():
    draws = [draw(seed, (1.3, 0.02), 0.5) for seed in (7, 3)]
    both, alone = grown((7, 3), draws, CPU), grown((3,), draws[1:], CPU)
    assert torch.equal(both.occupant[1], alone.occupant[0])
    assert torch.equal(both.pair_nm[1], alone.pair_nm[0])
    assert not torch.equal(both.occupant[0], both.occupant[1])
