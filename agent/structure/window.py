"""What a spectrum tells by one number: the counts in a window of its axis, above a background fitted before it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Window = tuple[float, float]

LEAST_BEFORE = 4
"""Channels of a background, of which two halves are compared."""


def within(axis: Array, window: Window, option: str, least: int = 1) -> NDArray[np.bool_]:
    """Which channels of an axis (E,) lie in a window, both ends included.

    Raises:
        ValueError: too few do; it names the option that the window comes from.
    """
    low, high = window
    inside: NDArray[np.bool_] = (axis >= low) & (axis <= high)
    if not low < high or inside.sum() < least:
        held = f"{int(inside.sum())} of the channels {axis[0]:g}..{axis[-1]:g}"
        raise ValueError(f"{option} {low:g} {high:g}: holds {held}, at least {least}, from low to high")
    return inside


def counts_in(spectra: NDArray[Any], axis: Array, window: Window, background: Window | None) -> Array:
    """Counts (n,) of spectra (n, E) in a window, less a power law A E^-r through a window below it if one is given.

    The exponent comes from the sums of the two halves of the background's window, which many counts and few give alike
    (the two-area method; R. F. Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, chapter 4.4).

    Raises:
        ValueError: a window holds too few channels, or the background does not lie above 0 and below the window.
    """
    inside = within(axis, window, "--window")
    found = _summed(spectra, inside)
    if background is None:
        return np.asarray(found)
    before = within(axis, background, "--background", LEAST_BEFORE)
    if not background[0] > 0.0 or background[1] > window[0]:
        limit = f"above 0 and not beyond --window's {window[0]:g}"
        raise ValueError(f"--background {background[0]:g} {background[1]:g}: must lie {limit}")
    channels = np.flatnonzero(before)
    half = len(channels) // 2
    low, high = channels[:half], channels[half : 2 * half]
    first, second = (np.maximum(_summed(spectra, some), 0.5) for some in (low, high))
    # Sums of A E^-r over the halves, by their middles: as many channels in each.
    ratio = np.log(np.sqrt(axis[high[0]] * axis[high[-1]]) / np.sqrt(axis[low[0]] * axis[low[-1]]))
    power = np.clip(np.log(first / second) / ratio, 0.0, 10.0)
    level = (axis[before][None, :] ** -power[:, None]).sum(axis=1)
    scale = _summed(spectra, before) / level
    return np.asarray(found - scale * (axis[inside][None, :] ** -power[:, None]).sum(axis=1))


def _summed(spectra: NDArray[Any], channels: NDArray[Any]) -> Array:
    """Sums (n,) over some channels, as float64 whatever the counts are stored as."""
    return np.asarray(spectra[:, channels].sum(axis=1, dtype=np.float64))
