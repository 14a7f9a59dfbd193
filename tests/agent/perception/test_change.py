"""The change statistic is a standard normal deviate, in its far tail too, so that its false alarms can be foretold."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest, norm

from agent.perception.change import BLOCK, Reference, bin_edges, binned, limit_of

BINS = 256
Make = Callable[[np.random.Generator, int], NDArray[np.floating]]

UNEVEN = np.exp(np.random.default_rng(3).normal(3.0, 1.5, BINS))
QUIET: dict[str, tuple[bool, Make]] = {
    "many counts": (True, lambda random, n: random.poisson(1000.0, (n, BINS))),
    "30 counts": (True, lambda random, n: random.poisson(30.0, (n, BINS))),
    "of unequal bins": (True, lambda random, n: random.poisson(UNEVEN, (n, BINS))),
    "with a gain": (True, lambda random, n: 7.3 * random.poisson(30.0, (n, BINS))),
    "normal noise": (False, lambda random, n: random.normal(-1.0, 3.0, (n, BINS))),
}
SPARSE: dict[str, tuple[bool, Make]] = {
    "3 counts": (True, lambda random, n: random.poisson(3.0, (n, BINS))),
    "hardly any counts": (True, lambda random, n: random.poisson(0.02, (n, BINS))),
}


def deviates(make: Make, counts: bool, frames: int, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """z of all bins and whole frames of a quiet stream, once the reference is there."""
    random, reference = np.random.default_rng(seed), Reference(64, 512, counts)
    each, whole = [], []
    for _ in range(frames // BLOCK):
        bins = make(random, reference.room).astype(np.float32)
        scores = reference.scores(bins)
        each.append(scores[:, :-1])
        whole.append(scores[:, -1])
        reference.learn(bins)
    return np.concatenate(each[1:]), np.concatenate(whole[1:])


@pytest.mark.parametrize(("counts", "make"), QUIET.values(), ids=QUIET)
def test_quiet_frames_pass_the_limit_as_often_as_was_said(counts: bool, make: Make) -> None:
    largest = np.abs(deviates(make, counts, 12_000)[0]).max(axis=1)
    for rate in (0.1, 0.02, 0.005):
        passed, expected = int((largest > limit_of(rate, BINS)).sum()), rate * len(largest)
        # Poisson noise of the number itself, and a tenth: bins share a frame, and the limit is an upper bound.
        assert passed < 1.1 * expected + 4.0 * expected**0.5
        assert passed > 0.6 * expected - 4.0 * expected**0.5


@pytest.mark.parametrize(("counts", "make"), SPARSE.values(), ids=SPARSE)
def test_where_counts_are_few_false_alarms_are_rarer_than_was_said(counts: bool, make: Make) -> None:
    largest = np.abs(deviates(make, counts, 12_000)[0]).max(axis=1)
    for rate in (0.1, 0.02, 0.005):
        assert (largest > limit_of(rate, BINS)).mean() <= rate


def test_a_plain_z_of_counts_would_raise_too_many() -> None:
    # What the deviance is for: the upper tail of Poisson counts is longer than the normal one.
    counts = np.random.default_rng(1).poisson(30.0, (12_000, BINS))
    rate = 0.005
    plain = np.abs((counts - 30.0) / 30.0**0.5).max(axis=1)
    assert (plain > limit_of(rate, BINS)).mean() > 2.0 * rate


@pytest.mark.parametrize(("counts", "make"), [QUIET["30 counts"], QUIET["normal noise"]], ids=["counts", "normal"])
def test_the_sum_of_a_frame_is_a_standard_normal_deviate(counts: bool, make: Make) -> None:
    whole = deviates(make, counts, 3_000)[1]
    assert kstest(whole, norm.cdf).pvalue > 1e-3


def test_a_bin_that_shakes_keeps_its_own_noise() -> None:
    def shaking(random: np.random.Generator, n: int) -> NDArray[np.floating]:
        bins = random.poisson(100.0, (n, BINS)).astype(float)
        bins[:, 7] *= random.uniform(0.3, 1.7, n)
        return bins

    z = deviates(shaking, True, 3_000)[0]
    assert np.abs(z[:, 7]).max() < 4.0
    assert z[:, :7].std() == pytest.approx(1.0, abs=0.05)


def test_the_reference_follows_what_changes_slowly() -> None:
    random, reference = np.random.default_rng(2), Reference(64, 128, counts=True)
    largest = []
    for start in range(0, 4000, BLOCK):
        level = 1000.0 * (1.0 + 0.2 * start / 4000)
        bins = random.poisson(level, (reference.room, BINS)).astype(np.float32)
        largest.append(np.abs(reference.scores(bins)).max())
        reference.learn(bins)
    assert np.nanmax(largest) < 6.0
    assert reference.total == pytest.approx(1.2 * 1000.0 * BINS, rel=0.01)


def test_the_limit_is_the_inverse_of_its_rate() -> None:
    for rate in (1e-1, 1e-4, 1e-9):
        assert 2.0 * 1024 * norm.sf(limit_of(rate, 1024)) == pytest.approx(rate, rel=1e-6)
    assert limit_of(5.0, 1024) == limit_of(0.1, 1024)


@pytest.mark.parametrize("shape", [(256, 256), (100, 70), (1, 2048), (33, 5), (64, 64)])
def test_bins_hold_all_that_is_in_the_frame(shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).poisson(5.0, shape).astype(np.float32)
    down, across = (bin_edges(size) for size in shape)
    sums = binned(frame)
    assert sums.shape == (len(down) - 1, len(across) - 1)
    assert max(sums.shape) <= 32
    expected = [[frame[a:b, c:d].sum() for c, d in pairwise(across)] for a, b in pairwise(down)]
    np.testing.assert_array_equal(sums, expected)
