"""What readings have told of many values at once: a matrix that grows by one outer product a reading.

Added to the whole matrix, an outer product costs a pass over all of it: 134 MB for 4,096 values. Here the vectors wait
in a short queue; with each new one a single slab of columns is brought up to date, in turn, and a column that is asked
for is completed from the queue. All cost the same at any length of the run, and nothing is left out.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas

from policies.bayes.kernel import Array

SLABS = 64


class Known:
    """D = sum_i f_i^2 v_i v_i^T of vectors v_i (size,), f_i being all that was faded since it came.

    Slab b is brought up to date with vector number b, b + slabs, b + 2 slabs, ...: what it lacks is at most as long as
    the queue.
    """

    def __init__(self, size: int) -> None:
        self.slabs = min(SLABS, size)
        self._matrix = np.zeros((size, size), order="F")
        self._queue = np.zeros((size, self.slabs), order="F")
        # How much vectors in the queue have faded since they came, and slabs since they were up to date.
        self._vector_faded = np.ones(self.slabs)
        self._slab_faded = np.ones(self.slabs)
        self._edges = np.linspace(0, size, self.slabs + 1).astype(int)
        self._slab_of = np.repeat(np.arange(self.slabs), np.diff(self._edges))
        self._newest = self.slabs - 1

    def fade(self, factor: float) -> None:
        """Multiply all vectors so far by a factor, D by its square."""
        self._vector_faded *= factor
        self._slab_faded *= factor

    def add(self, vector: Array) -> None:
        """Add the outer product of a vector (size,) with itself."""
        turn = self._newest = (self._newest + 1) % self.slabs
        self._queue[:, turn], self._vector_faded[turn] = vector, 1.0
        low, high = self._edges[turn], self._edges[turn + 1]
        # In place: BLAS writes into the columns themselves, which are contiguous.
        blas.dgemm(
            1.0,
            self._queue,
            self._queue[low:high] * self._vector_faded**2,
            beta=self._slab_faded[turn] ** 2,
            c=self._matrix[:, low:high],
            trans_b=1,
            overwrite_c=1,
        )
        self._slab_faded[turn] = 1.0

    def column(self, i: int) -> Array:
        """Column i of D, (size,)."""
        slab = int(self._slab_of[i])
        lacking = (slab + 1 + np.arange((self._newest - slab) % self.slabs)) % self.slabs
        share = np.zeros(self.slabs)
        share[lacking] = self._vector_faded[lacking] ** 2 * self._queue[i, lacking]
        return np.asarray(self._slab_faded[slab] ** 2 * self._matrix[:, i] + self._queue @ share)
