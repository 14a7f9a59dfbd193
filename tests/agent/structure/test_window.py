"""Counts in a window above a power law against the power law itself, and windows that hold nothing."""

import numpy as np
import pytest

from agent.structure.window import counts_in, within

AXIS = 400.0 + 2.0 * np.arange(300)


@pytest.mark.parametrize("power", [1.0, 3.0, 4.5])
def test_a_power_law_is_taken_off(power: float) -> None:
    spectra = 1e6 * (AXIS / 400.0) ** -power * np.array([[1.0], [7.0]])
    left = counts_in(spectra, AXIS, (700.0, 760.0), (600.0, 690.0))
    whole = counts_in(spectra, AXIS, (700.0, 760.0), None)
    assert whole == pytest.approx(spectra[:, (AXIS >= 700) & (AXIS <= 760)].sum(axis=1))
    assert np.abs(left / whole).max() < 2e-3


def test_what_stands_on_it_stays() -> None:
    background = 5e4 * (AXIS / 400.0) ** -2.7
    peak = np.where((AXIS >= 710) & (AXIS <= 730), 300.0, 0.0)
    found = counts_in((background + peak)[None], AXIS, (700.0, 760.0), (600.0, 690.0))
    assert found == pytest.approx([peak.sum()], rel=0.03)


def test_noise_of_few_counts_moves_it_little() -> None:
    expected = 20.0 * (AXIS / 400.0) ** -3
    drawn = np.random.default_rng(0).poisson(expected, (4000, AXIS.size)).astype(np.uint16)
    found = counts_in(drawn, AXIS, (700.0, 760.0), (600.0, 690.0))
    counted = expected[(AXIS >= 700) & (AXIS <= 760)].sum()
    assert abs(found.mean()) < 0.03 * counted
    assert np.isfinite(found).all()


def test_few_bits_of_storage_do_not_overflow() -> None:
    assert counts_in(np.full((2, 300), 250, np.uint8), AXIS, (500.0, 598.0), None).tolist() == [12500.0] * 2


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ((10.0, 20.0), r"--window 10 20: holds 0 of the channels 400\.\.998"),
        ((500.0, 450.0), "--window 500 450: holds 0"),
        ((float("nan"), 500.0), "--window nan 500: holds 0"),
    ],
)
def test_windows_without_channels_are_told(window: tuple[float, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        within(AXIS, window, "--window")


@pytest.mark.parametrize(
    ("background", "told"),
    [
        ((690.0, 720.0), "--background 690 720: must lie above 0 and not beyond --window's 700"),
        ((600.0, 604.0), "--background 600 604: holds 3 of the channels .*, at least 4"),
    ],
)
def test_backgrounds_that_are_none_are_told(background: tuple[float, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        counts_in(np.ones((1, 300)), AXIS, (700.0, 760.0), background)


def test_a_background_about_zero_loss_is_told() -> None:
    with pytest.raises(ValueError, match="--background -20 -5: must lie above 0"):
        counts_in(np.ones((1, 300)), AXIS - 450.0, (0.0, 60.0), (-20.0, -5.0))
