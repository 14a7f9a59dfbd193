"""Survey: wide fields, wherever most is to be learned about the specimen as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policies.bayes.looks import Candidate, candidates
from policies.bayes.now import Now
from policies.interface import Proposal


class Survey:
    """Offers images of several cells at once."""

    name = "survey"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return wide images with what they would tell, less the harm they do."""
        everywhere = np.ones(len(belief.belief.grid.centres), dtype=bool)
        return [
            found.proposal(self.name, _reason(belief, found))
            for k in belief.belief.settings.imaging.survey_cells
            for found in candidates(belief, k, everywhere)
        ]


def _reason(now: Now, found: Candidate) -> str:
    unseen = int(np.sum(np.isinf(now.belief.visited_s[found.cells])))
    if unseen:
        return f"A wide field with {unseen} of {len(found.cells)} cells that were never seen"
    age_s = now.t_s - float(np.mean(now.belief.visited_s[found.cells]))
    exposed_s = float(np.mean(now.belief.exposure.seconds[found.cells]))
    return f"A wide field last seen {age_s:.0f} s ago; the beam has acted on it for {exposed_s:.0f} s at unit level"
