"""The crystal beside abTEM: the twin's image is the one of the validation table, and the words say what came out."""

import sys

import numpy as np
import pytest

from experiments.benchmarks import beside_abtem
from experiments.benchmarks.beside_abtem import Beside, apart, image, python_with_abtem
from experiments.validation import diffraction


def test_the_image_timed_is_the_one_of_the_validation_table():
    ours, (checked, _) = image().double().numpy(), diffraction.lookup()
    # Four places of 64 across four cells to each three of twelve across one; there the crystal repeats after four.
    assert ours[:16:4, :16:4] == pytest.approx(checked[::3, ::3], abs=1e-2 * checked.max())
    assert np.allclose(ours[:16, :16], ours[16:32, 48:], atol=1e-5)


def test_scale_and_residual_are_told_apart():
    wave = np.cos(np.arange(100) / 5)
    scale, residual = apart(2 * wave, wave)
    assert (scale, residual) == pytest.approx((2.0, 0.0))
    scale, residual = apart(wave, wave + np.where(np.arange(100) % 2, 0.1, -0.1))
    assert scale == pytest.approx(1.0, abs=0.01)
    assert residual == pytest.approx(0.1 / np.sqrt((wave**2).mean()), rel=0.05)


@pytest.mark.parametrize(("twin_s", "met"), [(1e-3, "met"), (1e-2, "not met")])
def test_the_paragraph_says_whether_it_is_fast_enough(twin_s, met):
    told = Beside("abTEM 1", 2.0, twin_s, (0.9, 0.1), (0.5, 0.2)).paragraph()
    assert f"500 asked: {met})" in told
    assert "scale 0.90, residual 0.10" in told


def test_a_python_that_is_given_is_taken(monkeypatch):
    assert python_with_abtem("/some/python") == "/some/python"
    monkeypatch.setattr(beside_abtem.importlib.util, "find_spec", lambda name: None)
    assert python_with_abtem(None) is None
    monkeypatch.setattr(beside_abtem.importlib.util, "find_spec", lambda name: object())
    assert python_with_abtem(None) == sys.executable
