"""Tracking: back to what was seen, closely, to follow how it grows; what the beam does to it is counted as a cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.messages import Command
from policies.bayes.harm import harm
from policies.bayes.kernel import Array
from policies.bayes.looks import Candidate, Now, candidates
from policies.bayes.survey import offered
from policies.interface import Proposal


class Tracking:
    """Offers close images of cells that were seen before."""

    name = "tracking"

    def propose(self, belief: Now) -> Sequence[Proposal]:
        """Return close images of known cells with what they would tell, less the harm they do."""
        imaging = belief.belief.settings.imaging
        return [
            offered(found, self.name, self._reason(belief, found))
            for k in imaging.tracking_cells
            for found in candidates(belief, k, known)
        ]

    def _reason(self, now: Now, found: Candidate) -> str:
        count = float(np.sum(now.expected["count"][found.cells])) if "count" in now.expected else 0.0
        age_s = now.t_s - float(np.mean(now.belief.visited_s[found.cells]))
        return f"Follow the growth of about {count:.0f} particles last seen {age_s:.0f} s ago"


def known(now: Now, cells: NDArray[np.intp], command: Command, information: Array) -> Array:
    """Information of squares whose cells were all seen before, less what the beam spoils; others are worth nothing."""
    seen = ~np.isinf(now.belief.visited_s[cells]).any(axis=1)
    return np.where(seen, information - harm(now, cells, command), 0.0)
