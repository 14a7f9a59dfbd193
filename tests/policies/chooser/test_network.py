"""The network begins with greedy's order, knows no order among candidates, and leaves out who is not there."""

import numpy as np
import pytest
import torch

from policies.chooser.network import NOWHERE, WORTH, Attending
from policies.chooser.spec import CANDIDATE, SITUATION


def asked(count: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    low, high = torch.tensor(list(CANDIDATE.values())).T
    around = torch.tensor(list(SITUATION.values())).mean(dim=1)
    return low + (high - low) * torch.rand(2, count, len(CANDIDATE)), around.repeat(2, 1), torch.ones(2, count) > 0


def learned() -> Attending:
    torch.manual_seed(1)
    network = Attending()
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.3 * torch.randn_like(each))
    return network


def test_it_begins_with_greedys_order() -> None:
    told, around, there = asked()
    scores, value = Attending()(told, around, there)
    assert torch.equal(scores.argsort(dim=1), told[..., WORTH].argsort(dim=1))
    assert not value.any()


def test_the_order_of_candidates_is_nothing_to_it() -> None:
    told, around, there = asked()
    network, order = learned(), torch.tensor([3, 0, 6, 2, 5, 1, 4])
    scores, value = network(told, around, there)
    again, same = network(told[:, order], around, there)
    assert torch.allclose(scores[:, order], again, atol=1e-5)
    assert torch.allclose(value, same, atol=1e-5)


def test_who_is_not_there_changes_nothing() -> None:
    told, around, there = asked()
    there[:, 5:] = False
    network = learned()
    scores, value = network(told, around, there)
    few, same = network(told[:, :5], around, there[:, :5])
    assert torch.allclose(scores[:, :5], few, atol=1e-5)
    assert torch.allclose(value, same, atol=1e-5)
    assert (scores[:, 5:] == NOWHERE).all()


def test_candidates_are_seen_beside_each_other() -> None:
    told, around, there = asked()
    network, other = learned(), told.clone()
    other[:, 0] = 0.5 * other[:, 0]
    assert not torch.allclose(network(told, around, there)[0][:, 1:], network(other, around, there)[0][:, 1:])


def test_what_was_learned_is_kept_in_arrays() -> None:
    told, around, there = asked()
    network = learned()
    again = Attending.of(network.arrays())
    assert torch.equal(network(told, around, there)[0], again(told, around, there)[0])


def test_arrays_of_another_network_are_refused() -> None:
    arrays = learned().arrays()
    del arrays["score.weight"]
    arrays["value.weight"] = np.zeros((1, 5), np.float32)
    with pytest.raises(ValueError, match=r"score\.weight, value\.weight"):
        Attending.of(arrays)
