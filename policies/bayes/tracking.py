"""Tracking: back to what was seen, closely, to follow how it grows, by itself and under the beam."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policies.bayes.looks import Candidate, candidates
from policies.bayes.now import Now
from policies.interface import Proposal


class Tracking:
    """Offers close images of cells that were seen before."""

    name = "tracking"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return close images of known cells with what they would tell, less the harm they do."""
        known = ~np.isinf(belief.belief.visited_s)
        return [
            found.proposal(self.name, _reason(belief, found))
            for k in belief.belief.settings.imaging.tracking_cells
            for found in candidates(belief, k, known)
        ]


def _reason(now: Now, found: Candidate) -> str:
    count = float(np.sum(now.count[found.cells]))
    age_s = now.t_s - float(np.mean(now.belief.visited_s[found.cells]))
    return f"Follow the growth of about {count:.0f} particles last seen {age_s:.0f} s ago"
