"""What the driver asks of a detector: one run of a fixed number of frames, numbered by the detector itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Burst = tuple[int, NDArray[np.generic]]

STACK_S = 0.01
LARGEST_STACK = 16


class Source(Protocol):
    """A detector that is set up in its own software: frames of a run, exposure of a frame, (H, W) and type."""

    name: str
    frames: int
    dwell_s: float
    shape: tuple[int, int]
    dtype: np.dtype[np.generic]

    def run(self) -> Iterator[Burst]:
        """Start a run and yield what comes: the detector's number of the first frame, from 0, and (n, H, W).

        Frames that the detector left out are missing from the numbers. Arrays stay as they are.

        Raises:
            Unreachable: the detector or its receiver gave up; how many frames are missing shows from the numbers.
        """
        ...

    def cancel(self) -> None:
        """Ask the detector to end its run; frames under way may still come."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


def stack_frames(dwell_s: float) -> int:
    """How many frames a receiver may collect before it hands them over: 10 ms of them."""
    return min(LARGEST_STACK, max(1, round(STACK_S / dwell_s)))
