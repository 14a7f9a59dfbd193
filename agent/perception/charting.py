"""Maps of a run: which places were looked at when, and how long the beam's radicals have acted where."""

from __future__ import annotations

import numpy as np
from scipy import fft

from agent.perception.kinetics import driver
from agent.perception.scan import Array
from hardware_bridge.report import Card, Percept

# Radicals: seconds at unit level for a fluence of 1 e/A^2, and how far they diffuse (see ``kinetics``).
LEVEL_S_PER_E_PER_A2 = 20.0
RADICAL_LENGTH_NM = 120.0
RADICAL_LIFE_S = 4.0
BLOCKS_PER_CELL = 4
MARGIN_BLOCKS = 8
NM2_IN_A2 = 100.0


class Chart:
    """Square blocks over the specimen, BLOCKS_PER_CELL to a cell along each axis, and a margin around; row is y."""

    def __init__(self, card: Card) -> None:
        self.cells = card.cells
        self.extent_nm = card.extent_nm
        self.block_nm = card.extent_nm / card.cells / BLOCKS_PER_CELL
        self.size = card.cells * BLOCKS_PER_CELL + 2 * MARGIN_BLOCKS
        self._edges = self.block_nm * np.arange(self.size + 1) - card.extent_nm / 2 - MARGIN_BLOCKS * self.block_nm
        self.radical_s: Array = np.zeros((self.size, self.size))
        k = 2.0 * np.pi * fft.fftfreq(self.size, self.block_nm)
        half = 2.0 * np.pi * fft.rfftfreq(self.size, self.block_nm)
        # Radicals decay and diffuse: each wave at its own rate, (1 + L^2 k^2) / life.
        self._hasten = 1.0 + RADICAL_LENGTH_NM**2 * (k[:, None] ** 2 + half[None, :] ** 2)
        self._waiting = np.zeros(self._hasten.shape, dtype=np.complex128)
        self._clock_s = 0.0

    def covered(self, percept: Percept) -> Array:
        """Share of every block that a percept's field covers, (size, size)."""
        shares = []
        for centre, width in ((percept.y_nm, percept.height_nm), (percept.x_nm, percept.width_nm)):
            low = np.maximum(self._edges[:-1], centre - width / 2)
            high = np.minimum(self._edges[1:], centre + width / 2)
            shares.append(np.maximum(high - low, 0.0) / self.block_nm)
        return np.asarray(shares[0][:, None] * shares[1][None, :])

    def advance(self, time_s: float) -> None:
        """Let the radicals that there are act until a time on the run's clock."""
        left = np.exp(-self._hasten * max(time_s - self._clock_s, 0.0) / RADICAL_LIFE_S)
        acted = fft.irfft2(self._waiting * (1.0 - left) / self._hasten, s=self.radical_s.shape)
        self.radical_s = self.radical_s + driver(time_s) * np.maximum(acted, 0.0)
        self._waiting *= left
        self._clock_s = max(time_s, self._clock_s)

    def expose(self, percept: Percept, electrons: float) -> None:
        """Make radicals where an acquisition sent its electrons."""
        if electrons > 0.0 and percept.width_nm > 0.0 and percept.height_nm > 0.0:
            fluence = self.covered(percept) * electrons / (percept.width_nm * percept.height_nm * NM2_IN_A2)
            self._waiting = self._waiting + fft.rfft2(LEVEL_S_PER_E_PER_A2 * fluence)

    def at(self, table: Array, x_nm: float, y_nm: float) -> float:
        """The value of a table (size, size) at a point; that of the nearest block outside."""
        column = int(np.clip((x_nm - self._edges[0]) // self.block_nm, 0, self.size - 1))
        row = int(np.clip((y_nm - self._edges[0]) // self.block_nm, 0, self.size - 1))
        return float(table[row, column])

    def by_cell(self, table: Array) -> Array:
        """The blocks of every cell, (cells * cells, blocks of a cell), in the order of the card."""
        inner = table[MARGIN_BLOCKS:-MARGIN_BLOCKS, MARGIN_BLOCKS:-MARGIN_BLOCKS]
        split = inner.reshape(self.cells, BLOCKS_PER_CELL, self.cells, BLOCKS_PER_CELL)
        return np.asarray(split.transpose(0, 2, 1, 3).reshape(self.cells**2, -1))
