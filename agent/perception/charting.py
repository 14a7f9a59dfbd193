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
        # Steady diffusion with decay spreads a deposit by 1 / (1 + L^2 k^2).
        self._spread = 1.0 / (1.0 + RADICAL_LENGTH_NM**2 * (k[:, None] ** 2 + half[None, :] ** 2))

    def covered(self, percept: Percept) -> Array:
        """Share of every block that a percept's field covers, (size, size)."""
        shares = []
        for centre, width in ((percept.y_nm, percept.height_nm), (percept.x_nm, percept.width_nm)):
            low = np.maximum(self._edges[:-1], centre - width / 2)
            high = np.minimum(self._edges[1:], centre + width / 2)
            shares.append(np.maximum(high - low, 0.0) / self.block_nm)
        return np.asarray(shares[0][:, None] * shares[1][None, :])

    def expose(self, percept: Percept, electrons: float, time_s: float) -> None:
        """Count the electrons of an acquisition towards the time that radicals have acted."""
        if electrons <= 0.0 or percept.width_nm <= 0.0 or percept.height_nm <= 0.0:
            return
        fluence = self.covered(percept) * electrons / (percept.width_nm * percept.height_nm * NM2_IN_A2)
        spread = fft.irfft2(fft.rfft2(fluence) * self._spread, s=fluence.shape)
        self.radical_s = self.radical_s + LEVEL_S_PER_E_PER_A2 * driver(time_s) * np.maximum(spread, 0.0)

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
