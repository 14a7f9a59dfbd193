"""The one reporter: from all percepts of a run to the Report on the world's targets, hindsight allowed.

Fields come from a census of every cell (``census``), corrected to the beam being off, and are then put together with
the card's prior by a Gaussian process over cells and times, so that cells never seen keep the prior but for what their
neighbours tell. Globals come from how tracked particles grow (``kinetics``).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from agent.perception.census import FIELDS, Census, take_census
from agent.perception.chronicle import Chronicle
from agent.perception.kinetics import DEFAULT_COUPLING, DEFAULT_RATE, Growth, Moments, grow
from agent.perception.scan import Array
from hardware_bridge.report import Card, Percept, Report, Target, TargetReport, prior_report

RATE, COUPLING = "growth_rate", "beam_coupling"
# Kernel entries that a card leaves out: share common to all cells, correlation time and length.
DEFAULT_SHARED_SHARE = 0.2
DEFAULT_TIME_SHARE, DEFAULT_LENGTH_CELLS = 1.0, 1.0
# The same particles are counted at all asked times, so errors of a cell go together over time.
ERROR_CORRELATION = 0.7
LEAST_SEEN = 0.2
LEAST_SD_SHARE = 1e-3


class Reporter:
    """Collects percepts; ``report()`` says at any time what they tell about the card's targets."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self._chronicle = Chronicle(card)
        self._targets = {t.name: t for t in card.targets}

    def add(self, percept: Percept) -> None:
        """Take in one percept; in order of time."""
        self._chronicle.add(percept)

    def report(self) -> Report:
        """Claim mean and standard deviation of every value of every target; those not understood keep the prior."""
        report = prior_report(self.card)
        if not self._chronicle.images:
            return report
        targets = dict(report.targets)
        growth = self._growth()
        for name, moments in ((RATE, growth.diffusive()), (COUPLING, growth.coupling)):
            if name in self._targets:
                targets[name] = TargetReport(mean=(moments[0],), sd=(moments[1],))
        fields = [name for name in FIELDS if name in self._targets and self._targets[name].kind == "field"]
        if fields and self.card.cells > 0:
            census = take_census(self._chronicle, self.card, growth)
            for name in fields:
                targets[name] = self._fused(self._targets[name], census)
        return Report(world=self.card.world, targets=targets)

    def _growth(self) -> Growth:
        """Growth constants from the tracks that are probably particles; none where the card asks for none."""
        if RATE not in self._targets:
            return Growth((1e-6, 1e-6), (0.0, 0.0))
        sure = [t for t in self._chronicle.tracks.values() if t.real > 0.6 and len(t.sightings) >= 2]
        return grow(
            [t.history() for t in sure],
            self._prior(RATE, DEFAULT_RATE),
            self._prior(COUPLING, DEFAULT_COUPLING),
        )

    def _prior(self, name: str, default: Moments) -> Moments:
        target = self._targets.get(name)
        return (target.prior_mean[0], target.prior_sd[0]) if target else default

    def _fused(self, target: Target, census: Census) -> TargetReport:
        """Posterior of a field given its census: exact Gaussian conditioning in units of the prior's sd."""
        shape = (len(self.card.times_s), self.card.cells**2)
        prior_mean = np.reshape(target.prior_mean, shape)
        prior_sd = np.reshape(target.prior_sd, shape)
        prior_sd = np.maximum(prior_sd, LEAST_SD_SHARE * float(prior_sd.max()) or 1e-12)
        cells = np.flatnonzero(census.seen >= LEAST_SEEN)
        if not cells.size:
            return TargetReport(mean=target.prior_mean, sd=target.prior_sd)
        seen = np.zeros(shape, dtype=bool)
        seen[:, cells] = True
        index = np.flatnonzero(seen.ravel())
        value = ((census.mean[target.name] - prior_mean) / prior_sd).ravel()[index]
        noise_sd = (np.sqrt(census.var[target.name]) / prior_sd).ravel()[index]
        covariance = self._kernel(target)
        place, time = index % shape[1], index // shape[1]
        together = ERROR_CORRELATION ** np.abs(time[:, None] - time[None, :]) * (place[:, None] == place[None, :])
        noise = noise_sd[:, None] * noise_sd[None, :] * together
        factor = cho_factor(covariance[np.ix_(index, index)] + noise + 1e-9 * np.eye(index.size))
        cross = covariance[:, index]
        mean = prior_mean.ravel() + prior_sd.ravel() * (cross @ cho_solve(factor, value))
        var = np.diag(covariance) - np.einsum("ij,ji->i", cross, cho_solve(factor, cross.T))
        sd = prior_sd.ravel() * np.sqrt(np.clip(var, LEAST_SD_SHARE**2, 1.0))
        return TargetReport(mean=tuple(np.maximum(mean, 0.0).tolist()), sd=tuple(sd.tolist()))

    def _kernel(self, target: Target) -> Array:
        """Prior correlation of all values of a field, (values, values), of the form that the card's numbers are for."""
        card = self.card
        shared = card.kernel.get(f"{target.name}.shared_share", DEFAULT_SHARED_SHARE)
        time_s = card.kernel.get(f"{target.name}.time_s", DEFAULT_TIME_SHARE * card.duration_s)
        cell_nm = card.extent_nm / card.cells
        length_nm = card.kernel.get(f"{target.name}.length_nm", DEFAULT_LENGTH_CELLS * cell_nm)
        row, column = np.divmod(np.arange(card.cells**2), card.cells)
        apart = cell_nm * np.hypot(row[:, None] - row[None, :], column[:, None] - column[None, :])
        times = np.array(card.times_s)
        in_space = shared + (1.0 - shared) * np.exp(-apart / length_nm)
        in_time = np.exp(-np.abs(times[:, None] - times[None, :]) / time_s)
        return np.asarray(np.kron(in_time, in_space))
