"""The process that decisions are made with, its readings, and the fits that replace it as a whole."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import partial

import numpy as np

from policies.bayes.fit import LEAST_NOISE_VAR, better_kernel
from policies.bayes.kernel import Array, SpaceTimeKernel
from policies.bayes.refits import Refits
from policies.bayes.statespace import Reading, StateSpaceProcess

# A reading that is older than so many times of the kernel has faded to a millionth of what it took off the variance.
MEMORY_TIMES = 7.0
FIT = "process"


@dataclass(frozen=True)
class Relearned:
    """A process with fitted hyperparameters that has learned the readings before number ``next_reading``."""

    process: StateSpaceProcess
    next_reading: int


class Surrogate:
    """A state-space process that is refitted beside the run.

    A fit takes at most ``most_fitted`` of the readings that are not forgotten, and starts from the kernel that the
    surrogate was made with, so that it never drifts away from what is known beforehand. Forgotten is what is older than
    seven times the kernel's; the level, which does not fade, is learned again from what is left.
    """

    def __init__(
        self, kernel: SpaceTimeKernel, places: Array, together: Array | None = None, most_fitted: int = 150
    ) -> None:
        self.process = StateSpaceProcess(kernel, places, together)
        self.prior = kernel
        self.most_fitted = most_fitted
        self.readings: list[Reading] = []
        self._fits: Refits[Relearned] = Refits()

    @property
    def fitted(self) -> bool:
        """Whether a fit is done and can be swapped in without waiting."""
        return self._fits.done

    def append(self, reading: Reading) -> None:
        """Learn from a reading.

        Raises:
            ValueError: the process refuses it; then it is not remembered either.
        """
        self.process.append(reading)
        self.readings.append(reading)

    def start_fit(self) -> None:
        """Start a fit of the readings so far, unless one is under way."""
        if not self._fits.under_way and self.readings:
            self._fits.start({FIT: partial(self._relearned, len(self.readings))})

    def swap(self) -> bool:
        """Go over to the fitted process as a whole, waiting for it; False where no fit was started.

        Raises:
            Exception: the fit failed in a way that none should; the process is the one before.
        """
        results = self._fits.take()
        for fitted in results.values():
            for reading in self.readings[fitted.next_reading :]:
                fitted.process.append(reading)
            self.process = fitted.process
        return bool(results)

    def _relearned(self, readings: int) -> Relearned:
        """Fit to the first so many readings, and learn them and what comes meanwhile; it runs beside the run."""
        # What it sees is fixed but for the end of the list, which only grows.
        newest_s = self.readings[readings - 1].t_s
        kernel = self._kernel(self.readings[self._first(newest_s, self.prior.time_s) : readings])
        process = StateSpaceProcess(kernel, self.process.places, self.process.together)
        i = self._first(newest_s, kernel.time_s)
        while i < len(self.readings):
            process.append(self.readings[i])
            i += 1
        return Relearned(process, i)

    def _first(self, newest_s: float, time_s: float) -> int:
        """The number of the first reading that is not forgotten."""
        return bisect_left(self.readings, newest_s - MEMORY_TIMES * time_s, key=lambda reading: reading.t_s)

    def _kernel(self, readings: list[Reading]) -> SpaceTimeKernel:
        places, together = self.process.places, self.process.together
        scale2 = self.prior.variance_factor * float(np.mean(np.diag(together)))
        factors = np.linalg.cholesky(together * self.prior.variance_factor / scale2)
        rows = [(*places[r.place], r.t_s, *(np.array(r.weights) @ factors)) for r in readings]
        values = np.array([r.value for r in readings]) / math.sqrt(scale2)
        noise_var = np.maximum(np.array([r.noise_var for r in readings]) / scale2, LEAST_NOISE_VAR)
        found = better_kernel(self.prior, np.array(rows), values, noise_var, self.most_fitted)
        if found is self.prior:
            return self.prior
        return SpaceTimeKernel(
            shared_share=found.shared_share,
            time_s=found.time_s,
            length_nm=found.length_nm,
            variance_factor=found.variance_factor * self.prior.variance_factor,
        )
