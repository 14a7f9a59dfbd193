"""Greedy: most information for what is left of time and electrons, and alternatives that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hardware_bridge.geometry import Point, field_centre_nm, merged
from hardware_bridge.messages import Capabilities
from policies.interface import Proposal, Situation


def share_of_rest(time_s: float, electrons: float, situation: Situation, electron_weight: float) -> float:
    """What a command uses up of what is left: the share of the time plus the weighted share of the electrons."""
    of_time = time_s / max(situation.time_left_s, 1e-9)
    return of_time + electron_weight * electrons / max(situation.electrons_left, 1.0)


class GreedyChooser:
    """Ranks by information per share of the rest that a command uses up.

    After the best come distinct ones: by another proposer, or with a field whose centre lies outside the middle half of
    every field before.
    """

    def __init__(self, capabilities: Capabilities, electron_weight: float) -> None:
        self.capabilities = capabilities
        self.electron_weight = electron_weight

    def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
        """Return the distinct proposals, best first; equal ones in the order given."""
        ordered = sorted(proposals, key=lambda p: -self.score(p, situation))
        chosen: list[Proposal] = []
        for proposal in ordered:
            if all(self._distinct(proposal, other, situation) for other in chosen):
                chosen.append(proposal)
        return chosen

    def score(self, proposal: Proposal, situation: Situation) -> float:
        """Information per share of what is left of time and electrons."""
        share = share_of_rest(proposal.time_s, proposal.electrons, situation, self.electron_weight)
        return proposal.information / max(share, 1e-12)

    def _distinct(self, a: Proposal, b: Proposal, situation: Situation) -> bool:
        if a.proposer != b.proposer:
            return True
        if a.command.acquire is None or b.command.acquire is None:
            return a.command != b.command
        reach_nm = max(a.command.acquire.fov_nm, b.command.acquire.fov_nm) / 2
        return math.dist(self._centre(a, situation), self._centre(b, situation)) >= reach_nm

    def _centre(self, proposal: Proposal, situation: Situation) -> Point:
        return field_centre_nm(merged(situation.state.go, proposal.command.go), self.capabilities)
