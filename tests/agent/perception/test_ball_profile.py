"""The blurred ball against a direct convolution, and its slopes against differences."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from agent.perception.ball_profile import MARGIN, profile


@pytest.mark.parametrize("radius", [0.4, 1.0, 3.3, 11.0, 25.0])
def test_height_is_that_of_a_convolution(radius) -> None:
    half = radius + 6.0
    at = np.linspace(-half, half, 801)
    step = at[1] - at[0]
    chord = 2.0 * np.sqrt(np.maximum(radius**2 - at[:, None] ** 2 - at[None, :] ** 2, 0.0))
    chord /= chord.sum() * step**2
    direct = gaussian_filter(chord, 1.0 / step, truncate=6.0)[400, 400::20]
    height, _, _ = profile(at[400::20][None, :], np.array([radius]))
    assert np.abs(height[0] - direct).max() < 0.005 * direct.max()


def test_volume_is_one() -> None:
    for radius in (0.3, 2.0, 9.0):
        at = np.linspace(0.0, radius + MARGIN, 4000)
        height, _, _ = profile(at[None, :], np.array([radius]))
        assert np.trapezoid(2.0 * np.pi * at * height[0], at) == pytest.approx(1.0, rel=3e-3)


def test_slopes_are_those_of_the_height() -> None:
    at = np.linspace(0.1, 7.0, 30)[None, :]
    radius, step = np.array([3.0]), 0.02
    _, along, to_radius = profile(at, radius)
    rise = (profile(at + step, radius)[0] - profile(at - step, radius)[0]) / (2 * step)
    grow = (profile(at, radius * np.exp(0.05))[0] - profile(at, radius * np.exp(-0.05))[0]) / 0.1
    assert np.abs(along - rise).max() < 0.03 * np.abs(rise).max()
    assert np.abs(to_radius - grow).max() < 0.05 * np.abs(grow).max()


def test_nothing_far_outside() -> None:
    assert not np.any(profile(np.array([[20.0, 50.0]]), np.array([4.0]))[0])
