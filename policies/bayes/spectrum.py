"""Spectrum: of a feature of which it is not known whether it is a particle or debris."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from policies.bayes.now import Now
from policies.bayes.worth import SQRT_PI
from policies.interface import Proposal


class Spectrum:
    """Offers spectra of doubtful features; what is known of one stays true at all times."""

    name = "spectrum"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return spectra of the features whose nature matters most."""
        settings = belief.belief.settings.spectrum
        if settings.view.mode not in belief.belief.setup.capabilities.modes:
            return []
        labels = belief.belief.labels
        added = {name: labels.of_each(name) for name in belief.belief.fields}
        doubtful = [t for t in labels.features if labels.attempts.get(t, 0) < settings.attempts]
        gains = {t: self._gain(belief, labels.cells[t], {n: own[t] for n, own in added.items()}) for t in doubtful}
        proposals: list[Proposal] = []
        for track in sorted(doubtful, key=lambda t: (-gains[t], t)):
            gain, particle = gains[track], labels.features[track]
            if len(proposals) == settings.offered:
                break
            command = belief.command((particle.x_nm, particle.y_nm), settings.view)
            priced = belief.priced(command, 1.0)
            if priced is None:
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

    def _gain(self, now: Now, cell: int, own: Mapping[str, float]) -> float:
        """Weighted drop of sd, over all asked times of its cell, without the variance that a feature's nature adds."""
        total = 0.0
        for name, field in now.belief.fields.items():
            var = field.process.var.reshape(-1, len(now.belief.grid.centres))[:, cell] + now.doubt[name][cell]
            drop = float(np.sum(np.sqrt(var) - np.sqrt(np.maximum(var - own[name], 0.0))))
            total += field.target.weight * drop / (SQRT_PI * field.target.crps_scale)
        return total
