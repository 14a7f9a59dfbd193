"""Rows tell a network what the specification does; what comes of a world alone is taken off."""

import torch

from policies.chooser.spec import CANDIDATE, SITUATION
from policies.training.grounds import beside_others, parted


def test_rows_are_parted_as_they_were_put_together() -> None:
    count, features = 5, len(CANDIDATE)
    told, there = torch.rand(3, count, features), torch.rand(3, count) > 0.3
    around = torch.rand(3, len(SITUATION))
    rows = torch.cat([told.flatten(1), there.float(), around], dim=1)
    for found, wanted in zip(parted(rows), (told, around, there), strict=True):
        assert torch.equal(found, wanted)


def test_luck_of_a_world_is_taken_off() -> None:
    torch.manual_seed(0)
    luck, own = torch.randn(10, 4, 1), torch.randn(10, 4, 3)
    with_luck, without = (beside_others(each.reshape(10, 12), 3) for each in (luck + own, own))
    assert torch.allclose(with_luck, without, atol=1e-5)
    assert torch.allclose(without.reshape(10, 4, 3).sum(dim=-1), torch.zeros(10, 4), atol=1e-5)
    assert torch.allclose(without[0, 0], own[0, 0, 0] - own[0, 0, 1:].mean())


def test_alone_a_run_is_compared_with_none() -> None:
    gained = torch.randn(2, 4)
    assert torch.equal(beside_others(gained, 1), gained)
