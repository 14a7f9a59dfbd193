"""Core edges as a measured spectrum shows them: cross-sections convolved with its own low loss.

So they are as broad, as much scattered again and as far off as the spectrum is (Egerton, Electron Energy-Loss
Spectroscopy in the Electron Microscope, chapter 4.5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from digital_twin.spectra import Edge, edge_nm2_per_eV

Array = NDArray[np.float64]


class Smeared:
    """Cross-sections of edges on an energy axis, (E,) eV, computed once; the low loss ends at ``low_loss_eV``."""

    def __init__(
        self,
        axis_eV: Array,
        edges: Sequence[Edge],
        beam_energy_keV: float,
        collection_mrad: float,
        low_loss_eV: float,
    ) -> None:
        step_eV, self._is_low = float(axis_eV[1] - axis_eV[0]), axis_eV < low_loss_eV
        # Losses are counted from where zero loss lies on the axis, so that convolving with them moves nothing.
        self._origin = int(np.argmin(np.abs(axis_eV)))
        self._size = fft.next_fast_len(2 * axis_eV.size, real=True)
        shapes = [edge_nm2_per_eV(edge, axis_eV, beam_energy_keV, collection_mrad) for edge in edges]
        self._shapes = fft.rfft(step_eV * np.reshape(shapes, (len(edges), axis_eV.size)), self._size)

    def __call__(self, counts: Array) -> Array:
        """Expected counts (edges, E) of a spectrum (E,) per atom and nm^2 of each edge."""
        low = fft.rfft(np.where(self._is_low, counts, 0.0), self._size)
        smeared = fft.irfft(low * self._shapes, self._size)
        return np.asarray(smeared[:, self._origin : self._origin + counts.size])
