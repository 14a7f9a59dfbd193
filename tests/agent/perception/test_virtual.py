"""Virtual detectors and centres of mass against closed forms and sampling."""

import numpy as np
import pytest

from agent.perception.virtual import VirtualDetectors

SIZE, STEP = 32, 0.5


def disc(x_mrad: float, y_mrad: float, radius_mrad: float = 3.0) -> np.ndarray:
    at = STEP * (np.arange(SIZE) - SIZE // 2)
    lit = np.hypot(at[None] - x_mrad, at[:, None] - y_mrad) <= radius_mrad
    return lit / lit.sum()


def test_detectors_share_out_all_counts() -> None:
    images = VirtualDetectors(SIZE, STEP, [(0.0, 3.5), (3.5, 100.0)], 100.0)(1000.0 * disc(0.0, 0.0)[None, None])
    assert images.counts[0, 0].tolist() == pytest.approx([1000.0, 0.0])
    assert images.total[0, 0] == pytest.approx(1000.0)


def test_a_disc_moved_by_pixels_has_its_centre_there() -> None:
    images = VirtualDetectors(SIZE, STEP, [], 100.0)(disc(1.5, -0.5))
    assert images.centre_mrad.tolist() == pytest.approx([1.5, -0.5])


def test_errors_of_centres_are_those_of_counting() -> None:
    counts = np.random.default_rng(0).poisson(200.0 * disc(1.0, 0.0), (4000, SIZE, SIZE))
    images = VirtualDetectors(SIZE, STEP, [(0.0, 5.0)], 100.0)(counts)
    z = (images.centre_mrad - [1.0, 0.0]) / images.centre_sd_mrad
    assert z.std(axis=0) == pytest.approx([1.0, 1.0], abs=0.05)
    assert z.mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.07)


def test_what_lies_far_out_is_left_to_other_detectors() -> None:
    pattern = 100.0 * disc(0.0, 0.0)
    pattern[2, 2] = 50.0
    near, far = (VirtualDetectors(SIZE, STEP, [], within)(pattern).centre_mrad for within in (6.0, 100.0))
    assert np.abs(near).max() < 1e-9
    assert np.abs(far).max() > 1.0


def test_rows_one_by_one_are_as_all_at_once() -> None:
    counts = np.random.default_rng(1).poisson(5.0, (6, 4, SIZE, SIZE)).astype(np.uint16)
    detectors = VirtualDetectors(SIZE, STEP, [(0.0, 2.0), (2.0, 4.0)], 5.0)
    rows = np.stack([detectors(row).counts for row in counts])
    assert np.array_equal(rows, detectors(counts).counts)


def test_an_empty_pattern_has_no_centre_and_a_wrong_size_is_refused() -> None:
    detectors = VirtualDetectors(SIZE, STEP, [], 5.0)
    assert np.isnan(detectors(np.zeros((SIZE, SIZE))).centre_mrad).all()
    with pytest.raises(ValueError, match="the last two must be 32, 32"):
        detectors(np.zeros((3, SIZE, SIZE + 1)))
    with pytest.raises(ValueError, match="rising"):
        VirtualDetectors(SIZE, STEP, [(3.0, 2.0)], 5.0)
