"""Ripening against its rate law, and the volume that it keeps."""

import numpy as np
import pytest
import torch

from digital_twin.ripening import ripened


def radii(worlds: int = 3, number: int = 400) -> torch.Tensor:
    random = np.random.default_rng(2)
    drawn = torch.from_numpy(random.uniform(2.0, 20.0, (worlds, number)))
    drawn[:, ::5] = 0.0
    return drawn


def way(nm3: float, worlds: int = 3) -> torch.Tensor:
    return torch.full((worlds, 1), nm3, dtype=torch.float64)


@pytest.mark.parametrize("a_nm", [0.0, 5.0, 1e6])
def test_each_particle_follows_the_rate_law(a_nm):
    # r_c is the mean radius where diffusion limits, and that of squares over that of radii where attachment does.
    before, k = radii(), 1e-3 * (1 + a_nm)
    after = ripened(before, way(a_nm), way(k))
    alive = before > 0
    for world in range(3):
        r = before[world, alive[world]]
        critical = {0.0: r.mean(), 1e6: (r**2).mean() / r.mean()}.get(
            a_nm, (r**2 / (r + a_nm)).sum() / (r / (r + a_nm)).sum()
        )
        expected = k / (r + a_nm) * (1 / critical - 1 / r)
        assert (after[world, alive[world]] - r).numpy() == pytest.approx(expected.numpy(), rel=1e-3, abs=2e-8)


def test_volume_is_kept_while_most_dissolve():
    before = radii()
    after = before
    for _ in range(1000):
        after = ripened(after, way(3.0), way(8.0))
    assert int((after > 0).sum()) < 0.4 * int((before > 0).sum())
    assert (after**3).sum(1).numpy() == pytest.approx((before**3).sum(1).numpy(), rel=1e-12)
    assert float(after.max()) > float(before.max())


def test_nothing_comes_of_nothing():
    after = ripened(radii(), way(0.0), way(5.0))
    assert not after[radii() == 0].any()
    empty = torch.zeros(3, 400, dtype=torch.float64)
    assert not ripened(empty, way(0.0), way(5.0)).any()


def test_a_last_particle_stays_as_it_is():
    alone = torch.zeros(1, 400, dtype=torch.float64)
    alone[0, 3] = 7.0
    assert ripened(alone, way(2.0, 1), way(1e3, 1))[0, 3].item() == pytest.approx(7.0)


def test_a_world_ripens_as_it_does_alone():
    together = ripened(radii(16), way(4.0, 16), way(2.0, 16))
    for world in range(16):
        assert torch.equal(together[world], ripened(radii(16)[world : world + 1], way(4.0, 1), way(2.0, 1))[0])
