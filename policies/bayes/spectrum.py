"""Spectrum: of a feature of which it is not known whether it is a particle or debris."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hardware_bridge.report import Particle
from policies.bayes.now import Now
from policies.bayes.worth import SQRT_PI
from policies.interface import Proposal

WEIGHED = 4


class Spectrum:
    """Offers spectra of doubtful features; what is known of one stays true at all times."""

    name = "spectrum"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return spectra of the features whose nature matters most."""
        settings = belief.belief.settings.spectrum
        if settings.view.mode not in belief.belief.setup.capabilities.modes:
            return []
        labels = belief.belief.labels
        doubtful = [t for t in labels.features if labels.attempts.get(t, 0) < settings.attempts]
        # Weighing all would take long where there are many; large and doubtful ones matter.
        doubtful.sort(key=lambda t: (-labels.variance("covered_fraction", labels.features[t]), t))
        open_cases = [
            (self._gain(belief, labels.features[track]), track, labels.features[track])
            for track in doubtful[: WEIGHED * settings.offered]
        ]
        proposals: list[Proposal] = []
        for gain, _, particle in sorted(open_cases, key=lambda case: (-case[0], case[1])):
            if len(proposals) == settings.offered:
                break
            command = belief.command((particle.x_nm, particle.y_nm), settings.view)
            priced = belief.priced(command, 1.0)
            if priced is None or gain <= 0.0:
                continue
            proposals.append(
                Proposal(
                    command=priced[0],
                    information=settings.power * gain,
                    information_sd=math.sqrt(settings.power * (1.0 - settings.power)) * gain,
                    electrons=priced[1].electrons,
                    time_s=priced[1].time_s,
                    reason=f"A feature of {particle.radius_nm:.0f} nm radius is a particle with {particle.real:.0%}: "
                    "a spectrum tells",
                    proposer=self.name,
                )
            )
        return proposals

    def _gain(self, now: Now, particle: Particle) -> float:
        """Weighted drop of sd, over all asked times of its cell, if the feature's nature were known."""
        belief = now.belief
        cell = belief.grid.cell_of((particle.x_nm, particle.y_nm))
        if cell is None:
            return 0.0
        total = 0.0
        for name, field in belief.fields.items():
            own = belief.labels.variance(name, particle)
            doubt = now.doubt[name][cell]
            var = field.process.var.reshape(-1, len(belief.grid.centres))[:, cell]
            drop = float(np.sum(np.sqrt(var + doubt) - np.sqrt(np.maximum(var + doubt - own, 0.0))))
            total += field.target.weight * drop / (SQRT_PI * field.target.crps_scale)
        return total
