"""The tuner: which settings of the lenses to take the next image at, until the probe is free of aberrations.

Each image is one more piece of evidence about what is hidden (``agent.perception.aberrations``). The next one is taken
where the hidden aberrations would be undone if the likeliest explanation were true. Where that has been tried and is
not certain enough, it is taken at the offset, of focus or astigmatism, after which most would be known. Where no
specimen and no aberrations explain the images, sharpness is optimised instead (``policies.bayes.sharpest``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from agent.perception.aberrations import Evidence, Mode, Shot, check, settled
from agent.perception.probe_transfer import COMPONENTS, Array, Transfers

if TYPE_CHECKING:
    from policies.bayes.sharpest import Sharpest

MOST_SHOTS = 9
"""Images that count as evidence, the last ones: what is older has drifted, and was blurred most."""

OFFSETS_NM = (4.0, 8.0, 16.0)
CERTAIN = 0.08
"""Expected -ln of the Strehl ratio at which the tuner says that it is done."""

SAME = 0.05
"""Settings are tried again only if the probe differs by this much, as -ln of the Strehl ratio."""

CLEARLY_WORSE = 12.0
MOST_UNEXPLAINED = 0.2
"""Share of the images' power above which no specimen explains them."""


@dataclass(frozen=True)
class Belief:
    """What is believed after an image: hidden components (P,), covariance, and the Strehl ratio expected if undone.

    Where ``doubt`` says why, the numbers are not to be trusted.
    """

    hidden_nm: Array
    covariance: Array
    strehl: float
    doubt: str = ""


class Tuner:
    """Finds the settings of the first P components, each within +-``range_nm`` (P,), that undo what is hidden."""

    def __init__(self, transfers: Transfers, range_nm: Array, seed: int = 0) -> None:
        self.range_nm, self._transfers, self._seed = np.asarray(range_nm, dtype=np.float64), transfers, seed
        self._spread = transfers.phase_covariance(len(self.range_nm))
        self._target = np.zeros(len(self.range_nm))
        self._target[0] = transfers.best_C10_nm
        self._shots: list[Shot] = []
        self._modes: list[Mode] = []
        self._evidence: Evidence | None = None
        self._sharpest: Sharpest | None = None
        self.belief: Belief | None = None

    @property
    def done(self) -> bool:
        """Whether the last image was taken with a probe that is surely free of aberrations."""
        if self.belief is None or self.belief.doubt:
            return False
        off = self._set(self._shots[-1]) + self.belief.hidden_nm - self._target
        return bool(off @ self._spread @ off - math.log(self.belief.strehl) < 2 * CERTAIN)

    def ingest(self, counts: Array, settings_nm: Array) -> Belief:
        """Take in an image (H, W) in electrons that was taken at settings (P,).

        One that tells nothing (blank, saturated, not finite, of another shape) is left out, and the belief says why.
        """
        whole = np.zeros(COMPONENTS)
        whole[: len(self.range_nm)] = settings_nm
        shot = Shot(np.asarray(counts, dtype=np.float64), whole)
        try:
            check([shot], self._transfers.frequencies.shape)
        except ValueError as useless:
            return self._doubted(str(useless))
        self._shots.append(shot)
        self.belief = self._weighed()
        return self.belief

    def _weighed(self) -> Belief:
        """What all good images together say."""
        self._evidence = Evidence(self._shots[-MOST_SHOTS:], self._transfers, self.range_nm)
        sure = len(self._shots) > 2 and not self._torn() and self.belief is not None and not self.belief.doubt
        self._modes = self._evidence.modes([each.hidden_nm for each in self._modes], search=not sure)
        found = settled(self._modes)
        loss = float(np.trace(self._spread @ found.covariance))
        doubt = ""
        if found.unexplained > MOST_UNEXPLAINED:
            doubt = f"no specimen explains {found.unexplained:.0%} of what the images show"
        return Belief(found.hidden_nm, found.covariance, math.exp(-loss), doubt)

    def _doubted(self, why: str) -> Belief:
        """What is believed after an image that tells nothing; what was known before stays known."""
        if self.belief is None:
            return Belief(self._target, np.diag(self.range_nm**2), 0.0, why)
        return replace(self.belief, strehl=0.0, doubt=why)

    def suggest(self) -> Array:
        """The settings (P,) in nm at which to take the next image."""
        if self.belief is None:
            return np.zeros(len(self.range_nm))
        if self.belief.doubt:
            return self._sharper()
        aim = self._clipped(self._target - self.belief.hidden_nm)
        tried = min(self._apart(aim, self._set(shot)) for shot in self._shots)
        return aim if tried > SAME else self._most_telling(aim)

    def _most_telling(self, aim: Array) -> Array:
        """Of the aim and offsets from it, the settings after which the Strehl ratio would be known best."""
        assert self._evidence is not None
        tries = [aim]
        for component in range(3):
            step = np.zeros(len(aim))
            step[component] = 1.0
            tries += [self._clipped(aim + sign * size * step) for size in OFFSETS_NM for sign in (1.0, -1.0)]
        left = []
        for each in tries:
            whole = np.zeros(COMPONENTS)
            whole[: len(each)] = each
            known = self._evidence.information(self._modes[0], whole)
            left.append(float(np.trace(self._spread @ np.linalg.inv(known))))
        return tries[int(np.argmin(left))]

    def _sharper(self) -> Array:
        """Settings that Bayesian optimisation of sharpness asks for."""
        from policies.bayes.sharpest import Sharpest, normalised_variance

        known = 0 if self._sharpest is None else len(self._sharpest)
        if self._sharpest is None:
            self._sharpest = Sharpest(self.range_nm, self._seed)
        for shot in self._shots[known:]:
            self._sharpest.tell(self._set(shot), normalised_variance(shot.counts))
        return self._sharpest.suggest()

    def _torn(self) -> bool:
        return len(self._modes) > 1 and self._modes[1].misfit - self._modes[0].misfit < CLEARLY_WORSE

    def _set(self, shot: Shot) -> Array:
        return shot.set_nm[: len(self.range_nm)]

    def _apart(self, one: Array, other: Array) -> float:
        return float((one - other) @ self._spread @ (one - other))

    def _clipped(self, settings_nm: Array) -> Array:
        return np.clip(settings_nm, -self.range_nm, self.range_nm)
