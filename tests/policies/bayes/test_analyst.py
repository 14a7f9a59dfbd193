"""Images tell more with dose and focus, less of a part, and as much of a part as sampling says."""

import numpy as np
import pytest

from policies.bayes import analyst
from policies.bayes.analyst import Image
from policies.bayes.settings import AnalystSettings

SETTINGS = AnalystSettings()


def image(dose: float = 50.0, pixel_nm: float = 2.0, blur_nm: float = 0.0) -> Image:
    return Image(np.array([dose]), pixel_nm, np.array([blur_nm]), 0.1)


def noise(count: float, radius_nm: float, share: float, of: Image) -> analyst.Noise:
    return analyst.noise(np.array([count]), np.array([radius_nm]), np.array([share]), 256.0, of, SETTINGS)


@pytest.mark.parametrize("name", ["count", "covered_fraction", "mean_radius_nm"])
def test_dose_helps_and_blur_and_parts_hurt(name: str) -> None:
    usual = noise(8.0, 5.0, 1.0, image()).of(name)[0]
    assert noise(8.0, 5.0, 1.0, image(dose=5000.0)).of(name)[0] < usual
    assert noise(8.0, 5.0, 1.0, image(blur_nm=10.0)).of(name)[0] > usual
    assert noise(8.0, 5.0, 0.4, image()).of(name)[0] > usual


def test_snr_follows_rose() -> None:
    sharp, at = image(pixel_nm=1e-6), np.array([3.0])
    assert analyst.snr(2 * at, sharp)[0] == pytest.approx(4.0 * analyst.snr(at, sharp)[0])
    assert analyst.snr(at, image(dose=200.0))[0] == pytest.approx(2.0 * analyst.snr(at, image(dose=50.0))[0])


def test_visibility_is_read_back_from_the_limit() -> None:
    of = image(dose=30.0, blur_nm=3.0)
    visibility = analyst.visibility_from(4.0, of, SETTINGS)[0]
    again = Image(of.dose_e_per_nm2, of.pixel_nm, of.focus_blur_nm, float(visibility))
    assert analyst.snr(np.array([4.0]), again)[0] == pytest.approx(SETTINGS.rose_snr)
    uniform = AnalystSettings(radius_spread=1e-9)
    assert analyst.found_share(np.array([4.0]), again, uniform)[0] == pytest.approx(0.5)


def test_a_part_of_a_cell_tells_as_sampling_says() -> None:
    """Particles thrown on a cell of which a part is seen, with nothing overlooked."""
    rng = np.random.default_rng(0)
    n, share = 40, 0.5
    estimates = rng.binomial(n, share, 100_000) / share
    predicted = noise(n, 40.0, share, image(dose=1e9)).count[0]
    # Beyond sampling there is a floor for edges and merging.
    floor = (analyst.COUNT_FLOOR * n) ** 2 + analyst.COUNT_LEAST_VAR
    assert predicted - floor == pytest.approx(float(np.var(estimates)), rel=0.02)


def test_together_is_one_after_the_other() -> None:
    a = Image(np.full((2, 4), 1.0), 2.0, np.full((2, 4), 0.5), 0.1)
    b = Image(np.full((3, 4), 2.0), 2.0, np.full((3, 4), 0.7), 0.1)
    both = analyst.together([a, b])
    np.testing.assert_array_equal(both.dose_e_per_nm2, np.repeat([[1.0], [2.0]], [2, 3], axis=0).repeat(4, axis=1))
    np.testing.assert_array_equal(both.focus_blur_nm[2:], 0.7)
