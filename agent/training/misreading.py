"""How perception errs, in words: what ``agent.training.percept_errors`` fits, and what practice draws readings from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.perception.ensemble import Prior
from hardware_bridge.words import Count, Name, NotNegative, Number, Word

Array = NDArray[np.float64]

FITS = Path(__file__).parent / "percepts"
MOST_Z = 4.0
"""Errors are counted as at most so many of what they were said to be: single ones must not decide."""

CONDITIONS = ("constant", "electrons", "defocus", "fluence", "truth", "time")


class Misreading(Word, frozen=True, kw_only=True):
    """How readings of one field err, in looks of one kind. Coefficients are in the order of ``CONDITIONS``.

    ``said`` gives the logarithm of the standard deviation that a reading comes with, in units of the prior's largest,
    with ``said_sd`` of scatter. ``bias`` gives the mean of (reading - truth) / said sd and ``spread`` its scatter, of
    which readings of a cell, and of a world, have the shares ``cell`` and ``world`` in common. ``missed`` gives the
    logarithm of the odds that nothing is read.
    """

    said: tuple[Number, ...]
    said_sd: NotNegative
    bias: tuple[Number, ...]
    spread: NotNegative
    cell: NotNegative
    world: NotNegative
    missed: tuple[Number, ...]
    readings: Count


class PerceptErrors(Word, frozen=True, kw_only=True):
    """How the reader of a world errs: by kind of look and field."""

    world: Name
    seeds: tuple[Count, Count]
    kinds: dict[Name, dict[Name, Misreading]]


def conditions(electrons: Array, defocus_nm: Array, fluence: Array, truth_z: Array, time: Array) -> Array:
    """What errors follow from, (..., 6), each about 1: see ``CONDITIONS``.

    Of a cell: electrons of the look on it, defocus from where focus is expected, fluence before as a share of what is
    allowed, truth in standard deviations of the prior, and time as a share of the run.
    """
    return np.stack(
        np.broadcast_arrays(
            1.0,
            np.log(np.maximum(electrons, 1.0) / 1e6) / 5,
            np.minimum(np.abs(defocus_nm), 2000.0) / 1000,
            np.minimum(fluence, 2.0),
            np.clip(truth_z, -MOST_Z, MOST_Z) / 2,
            time,
        ),
        axis=-1,
    )


def units(prior: Prior) -> Array:
    """The unit of each field (fields,): the largest standard deviation that its prior has."""
    block = len(prior.times_s) * prior.card.cells**2
    return np.array([prior.sd[n * block : (n + 1) * block].max() for n in range(len(prior.fields))])


def expected(prior: Prior, field: int, cell: int, time_s: float) -> tuple[float, float]:
    """What the prior expects of a field in a cell at a time, and its standard deviation there."""
    places = [prior.place(field, n, cell) for n in range(len(prior.times_s))]
    mean, sd = (float(np.interp(time_s, prior.times_s, values[places])) for values in (prior.mean, prior.sd))
    return mean, max(sd, 0.05 * float(prior.sd[places].max()))


def load_errors(world: str) -> PerceptErrors:
    """Read how the reader of a world errs.

    Raises:
        ValueError: nobody has fitted that.
    """
    path = FITS / f"{world}.json"
    if not path.is_file():
        raise ValueError(
            f"world = {world!r}: how its reader errs is unknown: python -m agent.training.percept_errors {world} tells"
        )
    return msgspec.json.decode(path.read_bytes(), type=PerceptErrors)
