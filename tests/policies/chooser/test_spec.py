"""What the chooser is told: greedy's order is in it, it stays within its ranges, and what is not there is nothing."""

import torch

from policies.chooser.spec import CANDIDATE, SITUATION, Offers, Standing, candidates, situation, worth

WORTH = list(CANDIDATE).index("worth")


def offers(information: list[float], electrons: list[float], time_s: list[float], there: list[bool]) -> Offers:
    zero = torch.zeros(len(information))
    return Offers(
        information=torch.tensor(information),
        left=zero + 0.5,
        electrons=torch.tensor(electrons),
        time_s=torch.tensor(time_s),
        exposed=zero,
        age=zero + 1.0,
        looks=zero,
        cells=zero + 1.0,
        mode=zero,
        there=torch.tensor(there),
    )


def standing(time_left_s: float = 300.0, electrons_left: float = 1e8, extreme: float = 1.0) -> Standing:
    numbers = (time_left_s, 600.0, electrons_left, 4e8, 4e8, 10.0, 0.8, extreme, extreme, 0.1)
    return Standing(*(torch.tensor(each) for each in numbers))


def test_worth_is_information_per_share_of_the_rest() -> None:
    given = offers([0.01, 0.02], [1e6, 4e6], [3.0, 3.0], [True, True])
    found = worth(given, standing(), electron_weight=2.0).exp()
    assert torch.allclose(found, torch.tensor([0.01 / (0.01 + 0.02), 0.02 / (0.01 + 0.08)]))


def test_the_best_candidate_that_is_there_counts_zero() -> None:
    given = offers([0.01, 0.02, 9.0], [1e6, 1e6, 1e6], [3.0, 3.0, 3.0], [True, True, False])
    told = candidates(given, standing(), 1.0)
    assert told[1, WORTH] == 0.0
    assert told[0, WORTH] < 0.0
    assert not told[2].any()


def test_numbers_stay_within_their_ranges() -> None:
    given = offers([0.0, 1e9], [0.0, 1e30], [0.0, 1e9], [True, True])
    told = candidates(given, standing(0.0, 0.0), 1.0)
    around = situation(standing(0.0, 0.0, extreme=1e9))
    for numbers, ranges in ((told, CANDIDATE), (around[None], SITUATION)):
        low, high = (torch.tensor(each) for each in zip(*ranges.values(), strict=True))
        assert torch.isfinite(numbers).all()
        assert ((numbers >= low) & (numbers <= high)).all()


def test_pace_compares_electrons_with_time() -> None:
    pace = list(SITUATION).index("pace")
    assert situation(standing(300.0, 2e8))[pace] == 0.0
    assert situation(standing(300.0, 1e8))[pace] < 0.0
