"""What stands between electrons and numbers: gain, offset and noise of a detector's electronics.

    counts = offset + gain x electrons + dark current x time + Gaussian read noise, rounded, cut off at the type's ends

The photon transfer of it is var = gain x mean + read noise^2 (Janesick, Photon Transfer, SPIE 2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digital_twin.optics import Array
from hardware_bridge.words import NotNegative, Positive, Word


class Readout(Word, frozen=True, kw_only=True):
    """The electronics of all detectors; the default counts single electrons, without offset and noise.

    A CCD that does not has 15 counts an electron, 3 counts of read noise and 0.11 of dark current (an UltraScan 1000
    behind a filter at 200 kV: ``detectorType.m`` of InSilicoTEM, M. Vulovic, 2013).
    """

    gain_counts_per_electron: Positive = 1.0
    offset_counts: NotNegative = 0.0
    dark_counts_per_s: NotNegative = 0.0
    read_noise_counts: NotNegative = 0.0

    def read(
        self,
        electrons: NDArray[np.int64] | Array,
        dwell_s: float,
        dtype: type[np.unsignedinteger],
        random: np.random.Generator,
    ) -> NDArray[np.unsignedinteger]:
        """Numbers for detected electrons, or a camera's charge; draws from ``random`` only where there is noise."""
        level = self.offset_counts + self.dark_counts_per_s * dwell_s
        counts: Array = np.multiply(electrons, self.gain_counts_per_electron, dtype=np.float64)
        counts += level
        if self.read_noise_counts:
            counts += self.read_noise_counts * random.standard_normal(electrons.shape)
        np.rint(counts, out=counts)
        return np.clip(counts, 0.0, np.iinfo(dtype).max, out=counts).astype(dtype)


IDEAL = Readout()
