"""What looking spoils: the beam drives the specimen away from the one that is asked about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s
from hardware_bridge.messages import Command
from policies.bayes.grid import Box
from policies.bayes.kernel import Array
from policies.bayes.looks import Now
from policies.bayes.worth import SQRT_PI


def harm(now: Now, cells: NDArray[np.intp], command: Command) -> Array:
    """What exposing squares of cells (c, k) costs later, (c,), in units of the score: an upper bound.

    Truth is the specimen that no beam has touched. The exposure makes a cell older by coupling * exposure; as far as
    the coupling is not known, that is an error of pace * sd(coupling) * exposure in all that is asked of the cell
    later.
    """
    belief = now.belief
    acquire = command.acquire
    assert acquire is not None
    on_s = acquire.max_frames * frame_s(acquire, belief.setup.capabilities)
    electrons = (command.set.optics.beam_current_pA or 0.0) * on_s * ELECTRONS_PER_PA_S
    added_s = float(np.max(belief.exposure.of(Box(0.0, 0.0, acquire.fov_nm, acquire.fov_nm), electrons)))
    coupling_sd = float(belief.kinetics.sds(belief.last_looks())[1]) if belief.kinetics.asked else 0.0
    total = np.zeros(len(cells))
    for field in belief.fields.values():
        values = field.process.var.reshape(-1, len(belief.grid.centres))
        for var, t_s in zip(values, belief.setup.card.times_s, strict=True):
            if t_s > now.t_s:
                error = field.pace(np.full(var.shape, t_s)) * coupling_sd * added_s
                rise = (np.sqrt(var + error**2) - np.sqrt(var))[cells].sum(axis=1)
                total += field.target.weight * rise / (SQRT_PI * field.target.crps_scale)
    return total
