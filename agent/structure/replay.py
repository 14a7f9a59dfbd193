"""A measured spectrum image searched as if it were measured now: which spectra would have been taken, what found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.structure.files import SpectrumImage
from agent.structure.window import Window, counts_in, within
from policies.bayes.scene import Scene
from policies.bayes.structure_search import Found, Plan, search

Array = NDArray[np.float64]

PATCH_SPECTRA = 5
"""Width of a patch, in spectra of the grid."""

COMPONENTS = 12
FIRST_SHARE = 0.2
"""Part of what may be measured that is taken at random, before anything is known."""

MOST_COVARIANCES = 2**27
"""Most numbers of points times places: the search holds so many, a gigabyte."""


@dataclass(frozen=True)
class Asked:
    """What is looked for in a file, in units of its axis, and how much of it may be measured.

    ``window`` is summed over, less a power law through ``background`` if there is one. ``image_window`` is summed over
    for the image where the file holds none; None is all that lies below the other two. ``share`` of the points may be
    measured, the ``top`` share of them is looked for.
    """

    window: Window
    background: Window | None = None
    image_window: Window | None = None
    share: float = 0.05
    top: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class Replayed:
    """What came of it: ``values`` (H, W) of all points, those ``best``, and the order ``rows`` (n,) of the measured.

    ``image_told`` says what the image is; ``noise_share`` is the part of the variance of the values that is noise of
    counting, where they are counts: their mean over their variance, without what a background adds.
    """

    values: Array
    image: Array
    image_told: str
    best: NDArray[np.bool_]
    rows: NDArray[np.intp]
    noise_share: float

    def found(self) -> NDArray[np.intp]:
        """How many of the best were found after each spectrum, (n,)."""
        return np.cumsum(self.best.ravel()[self.rows])


def replay(spectra: SpectrumImage, asked: Asked, say: Callable[[str], None] = lambda line: None) -> Replayed:
    """Search a spectrum image for the spectra with the largest counts in a window.

    The best are so by the same measured numbers, noise and all: a file holds no truth.

    Raises:
        ValueError: an option does not fit the file; it names the option, its value and the limit.
    """
    for name in ("share", "top"):
        if not 0.0 < getattr(asked, name) < 1.0:
            raise ValueError(f"--{name} {getattr(asked, name):g}: above 0 and below 1")
    if asked.seed < 0:
        raise ValueError(f"--seed {asked.seed}: at least 0")
    height, width, channels = spectra.counts.shape
    places = height * width
    flat = spectra.counts.reshape(places, channels)
    values = counts_in(flat, spectra.axis, asked.window, asked.background)
    if not np.ptp(values) > 0.0:
        low, high = asked.window
        raise ValueError(
            f"--window {low:g} {high:g}: all spectra have {values[0]:g} counts in it, nothing is to be found"
        )
    image, told = _image(spectra, asked)
    points = max(round(asked.share * places), 4)
    if points * places > MOST_COVARIANCES:
        limit = MOST_COVARIANCES / places**2
        raise ValueError(f"--share {asked.share:g}: at most {limit:.2g} of {places} points, for want of memory")
    best = np.zeros(places, dtype=bool)
    best[np.argsort(-values, kind="stable")[: max(round(asked.top * places), 1)]] = True

    def heard(found: Found) -> None:
        say(f"{len(found.rows)} of {points} spectra: {best[found.rows].sum()} of the best {best.sum()} found")

    # The image covers the same field, with as many or more pixels.
    patch = min(round(PATCH_SPECTRA * image.shape[0] / height), *image.shape)
    scene = Scene.of(image, (height, width), patch, COMPONENTS)
    plan = Plan(points=points, first=max(round(FIRST_SHARE * points), 2), top=asked.top)
    rows = search(scene, lambda some: values[some], plan, asked.seed, heard).rows
    noise_share = min(float(counts_in(flat, spectra.axis, asked.window, None).mean() / values.var()), 1.0)
    return Replayed(values.reshape(height, width), image, told, best.reshape(height, width), rows, noise_share)


def _image(spectra: SpectrumImage, asked: Asked) -> tuple[Array, str]:
    """The image that leads the search, and what it is."""
    if spectra.image is not None and asked.image_window is None:
        return spectra.image, f"image {spectra.image_name}"
    if asked.image_window is not None:
        inside, (low, high) = within(spectra.axis, asked.image_window, "--image-window"), asked.image_window
    else:
        high = min(each[0] for each in (asked.window, asked.background) if each is not None)
        low, inside = float(spectra.axis[0]), spectra.axis < high
        if not inside.any():
            raise ValueError(f"--window {asked.window[0]:g}: nothing lies below it to make an image of: --image-window")
    told = f"counts from {low:g} to {high:g} {spectra.unit}".rstrip()
    return spectra.counts[:, :, inside].sum(axis=2, dtype=np.float64), told
