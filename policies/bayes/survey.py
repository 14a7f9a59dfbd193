"""Survey: wide fields, wherever most is to be learned about the specimen as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.messages import Command
from policies.bayes.harm import harm
from policies.bayes.kernel import Array
from policies.bayes.looks import Candidate, Now, candidates
from policies.interface import Proposal


class Survey:
    """Offers images of several cells at once."""

    name = "survey"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return wide images with what they would tell."""
        imaging = belief.belief.settings.imaging
        return [
            offered(found, self.name, self._reason(belief, found))
            for k in imaging.survey_cells
            for found in candidates(belief, k, less_harm)
        ]

    def _reason(self, now: Now, found: Candidate) -> str:
        unseen = int(np.sum(np.isinf(now.belief.visited_s[found.cells])))
        if unseen:
            return f"A wide field with {unseen} of {len(found.cells)} cells that were never seen"
        age_s = now.t_s - float(np.mean(now.belief.visited_s[found.cells]))
        return f"A wide field last seen {age_s:.0f} s ago"


def less_harm(now: Now, cells: NDArray[np.intp], command: Command, information: Array) -> Array:
    """Information of squares of cells less what the beam spoils."""
    return information - harm(now, cells, command)


def offered(found: Candidate, proposer: str, reason: str) -> Proposal:
    """A candidate as a proposal."""
    return Proposal(
        command=found.command,
        information=found.information,
        information_sd=found.information_sd,
        electrons=found.price.electrons,
        time_s=found.price.time_s,
        reason=reason,
        proposer=proposer,
    )
