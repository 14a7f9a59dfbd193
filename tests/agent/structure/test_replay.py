"""A replayed file gives what the search of the policies gives, and options that do not fit it are told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.structure.files import SpectrumImage, read_spectrum_image
from agent.structure.replay import COMPONENTS, Asked, replay
from policies.bayes.scene import Scene
from policies.bayes.structure_search import Plan, search

ASKED = Asked(window=(138.0, 152.0), background=(100.0, 130.0), share=0.12, top=0.02)


@pytest.fixture
def spectra(stored: Callable[..., Path]) -> SpectrumImage:
    return read_spectrum_image(stored(image=True))


def test_it_is_the_search_of_the_policies(spectra: SpectrumImage) -> None:
    heard: list[str] = []
    done = replay(spectra, ASKED, heard.append)
    assert spectra.image is not None
    scene = Scene.of(spectra.image, (20, 24), 5, COMPONENTS)
    plan = Plan(points=58, first=12, top=0.02)
    assert np.array_equal(done.rows, search(scene, lambda rows: done.values.ravel()[rows], plan, 0).rows)
    assert heard[0].startswith("12 of 58 spectra: ")
    assert heard[-1] == f"58 of 58 spectra: {done.found()[-1]} of the best 10 found"
    assert done.best.sum() == 10
    assert done.values[done.best].min() >= done.values[~done.best].max()
    assert done.image_told == "image haadf"


def test_it_finds_more_than_chance_would(spectra: SpectrumImage) -> None:
    assert np.mean([replay(spectra, replace(ASKED, seed=seed)).found()[-1] for seed in range(3)]) > 4 * 0.12 * 10


def test_without_an_image_it_is_what_lies_below_the_windows(spectra: SpectrumImage) -> None:
    bare = replace(spectra, image=None, image_name="")
    below = replay(bare, replace(ASKED, share=0.03))
    assert below.image_told == "counts from 90 to 100 eV"
    assert np.array_equal(below.image, spectra.counts[:, :, :5].sum(axis=2))
    asked = replay(spectra, replace(ASKED, share=0.03, image_window=(90.0, 93.0)))
    assert asked.image_told == "counts from 90 to 93 eV"
    assert np.array_equal(asked.image, spectra.counts[:, :, :2].sum(axis=2))
    with pytest.raises(ValueError, match="--window 90: nothing lies below it"):
        replay(bare, Asked(window=(90.0, 100.0)))


def test_it_says_how_much_is_noise_of_counting() -> None:
    random = np.random.default_rng(1)
    field = np.where(np.arange(400).reshape(20, 20) % 2, 50.0, 150.0)
    even = random.poisson(100.0 / 8, (20, 20, 8)).astype(np.uint8)
    structured = random.poisson(field[..., None] / 8, (20, 20, 8)).astype(np.uint8)
    axis = np.arange(8.0)
    asked = Asked(window=(0.0, 7.0), image_window=(0.0, 7.0))
    shares = [
        replay(SpectrumImage("a", counts, axis, "eV", None, ""), asked).noise_share for counts in (even, structured)
    ]
    assert shares[0] > 0.85
    assert shares[1] == pytest.approx(100.0 / (100.0 + 50.0**2), rel=0.15)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"share": 0.0}, "--share 0: above 0 and below 1"),
        ({"top": float("nan")}, "--top nan: above 0 and below 1"),
        ({"seed": -1}, "--seed -1: at least 0"),
        ({"window": (500.0, 600.0)}, r"--window 500 600: holds 0 of the channels 90\.\.188"),
        ({"image_window": (500.0, 600.0)}, "--image-window 500 600: holds 0"),
    ],
)
def test_options_that_do_not_fit_are_told(spectra: SpectrumImage, changed: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replay(spectra, replace(ASKED, **changed))


def test_a_window_in_which_all_is_alike_is_told(spectra: SpectrumImage) -> None:
    flat = replace(spectra, counts=np.ones_like(spectra.counts))
    with pytest.raises(ValueError, match="--window 138 152: all spectra have 8 counts in it"):
        replay(flat, Asked(window=(138.0, 152.0)))


def test_what_would_not_fit_in_memory_is_told() -> None:
    large = SpectrumImage("a", np.zeros((600, 600, 4), np.uint8), np.arange(4.0), "eV", None, "")
    large.counts[5, 5] = 1
    with pytest.raises(ValueError, match=r"--share 0\.05: at most 0\.001 of 360000 points"):
        replay(large, Asked(window=(1.0, 3.0)))
