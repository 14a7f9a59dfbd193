"""What looking spoils: the beam drives the specimen away from the one that is asked about."""

from __future__ import annotations

import numpy as np

from policies.bayes.kernel import Array
from policies.bayes.now import Cells, Now
from policies.bayes.worth import SQRT_PI


def harm(now: Now, cells: Cells, added_s: Array) -> Array:
    """What exposing cells (c, k) for so much longer, (c, k) s, costs later, (c,), in units of the score.

    Truth is the specimen that no beam has touched. The exposure makes a cell older by coupling * exposure; as far as
    the coupling will not be known, that is an error of pace * sd(coupling) * exposure in all that is asked of the cell
    later. An upper bound: what was seen of the cell before stays true.
    """
    belief = now.belief
    coupling_sd = float(now.constant_sds[1])
    total = np.zeros(len(cells))
    for field in belief.fields.values():
        values = field.process.var.reshape(-1, len(belief.grid.centres))
        for var, t_s in zip(values, belief.setup.card.times_s, strict=True):
            if t_s > now.t_s:
                error = field.pace(np.full(var.shape, t_s))[cells] * coupling_sd * added_s
                rise = (np.sqrt(var[cells] + error**2) - np.sqrt(var)[cells]).sum(axis=1)
                total += field.target.weight * rise / (SQRT_PI * field.target.crps_scale)
    return total
