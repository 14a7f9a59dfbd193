"""Puts the parts of a stream together into whole frames, one or many at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.messages import Start
from hardware_bridge.observation import Chunk

ROW = np.dtype(
    [
        ("epoch", "<u4"),
        ("frame", "<u4"),
        ("start_s", "<f8"),
        ("end_s", "<f8"),
        ("mean", "<f4"),
        ("sd", "<f4"),
        ("x_px", "<f4"),
        ("y_px", "<f4"),
        ("change", "<f4"),
        ("saturated_share", "<f4"),
        ("missing_share", "<f4"),
    ]
)
"""A line of the per-frame table; what it holds is told in ``agent.perception.watcher``."""


@dataclass(frozen=True)
class Frames:
    """Frames that follow each other: data (n, H, W), or (n, H, W, E), or (n, H, W, ky, kx), and when each was taken.

    ``first`` is the number of the first one. ``row_seen`` (H,) tells which rows arrived where a single frame is not
    whole; None where all are.
    """

    first: int
    data: NDArray[np.generic]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    row_seen: NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        """How many frames these are."""
        return len(self.data)


class Assembler:
    """Takes the chunks of one acquisition in their order; gives each frame once the last of its rows is there.

    Frames that came whole are passed on as they lie; rows of a raster are copied into a new array.
    """

    def __init__(self, start: Start) -> None:
        self._shape = tuple(axis.size for axis in start.axes)
        self._dtype = np.dtype(start.dtype)
        self._frame = -1
        self._rows: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._data: NDArray[np.generic]
        self._start_s = self._end_s = 0.0

    def add(self, chunk: Chunk) -> list[Frames]:
        """Take a chunk that fits its frame; returns what is complete now, and a frame that never will be."""
        header, done = chunk.header, []
        if header.frame != self._frame:
            done = self.rest()
        if header.rows == self._shape[0]:
            times_s = np.array([chunk.frame_start_s(index) for index in range(header.frames + 1)])
            return [*done, Frames(header.frame, chunk.stack, times_s[:-1], times_s[1:])]
        if not self._rows.any():
            self._frame, self._start_s = header.frame, header.start_s
            self._data = np.zeros((1, *self._shape), dtype=self._dtype)
            self._rows = np.zeros(self._shape[0], dtype=bool)
        rows = slice(header.row_start, header.row_start + header.rows)
        self._data[0, rows] = chunk.data
        self._rows[rows] = True
        self._end_s = header.end_s
        return done + self.rest() if self._rows.all() else done

    def rest(self) -> list[Frames]:
        """The frame that is being put together, as far as it came; nothing where there is none."""
        if not self._rows.any():
            return []
        seen = None if self._rows.all() else self._rows
        self._rows = np.zeros(0, dtype=bool)
        return [Frames(self._frame, self._data, np.array([self._start_s]), np.array([self._end_s]), seen)]
