"""Standard deviations that hold what they promise: perception against the twin's truth, over many seeds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest

from experiments.calibration.scenes import ESTIMATES, calibrate

FEW, MANY = 40, 200


@dataclass(frozen=True)
class Bounds:
    """What a sample of z must keep to: its sd, how far its middle lies from 0, and the share beyond 4.

    ``robust`` measures sd and middle by the bulk (median absolute deviation, median), which a few mix-ups do not move;
    the share beyond 4 bounds those.
    """

    least: float = 0.8
    most: float = 1.2
    middle: float = 0.3
    beyond: float = 0.02
    robust: bool = True

    def check(self, name: str, z: np.ndarray, slack: float = 0.0) -> None:
        """Assert that a sample keeps to the bounds; ``slack`` widens them for a small one."""
        sd = 1.4826 * float(np.median(np.abs(z - np.median(z)))) if self.robust else float(z.std())
        middle = float(np.median(z) if self.robust else z.mean())
        beyond = float(np.mean(np.abs(z) > 4.0))
        said = f"{name}: {z.size} z of mean {middle:.2f}, sd {sd:.2f}, share beyond 4 {beyond:.3f}"
        assert self.least / (1.0 + slack) <= sd <= self.most * (1.0 + slack), said
        assert abs(middle) <= self.middle + slack, said
        assert beyond <= self.beyond + 0.2 * slack, said


# Places are off by the stage's backlash, there after a move to one side and not after one to the other: two-valued, so
# that no robust sd fits, and not 0 on average.
STAGE = Bounds(middle=0.8, robust=False)
BOUNDS = defaultdict(
    Bounds,
    {
        **dict.fromkeys(("drift_x_nm", "drift_y_nm", "particle x_nm", "particle y_nm"), STAGE),
        # Pairs of few particles are told by their blur, with caution; now and then a pair settles on a wrong side.
        "defocus_error_nm": Bounds(least=0.5, beyond=0.04),
        # Neighbours and a blur that differs over the field move centres by a little more than noise does.
        "particle x in its field": Bounds(most=1.4),
        # Theory has copper brighter than the twin has it by 18 %: three images do not teach all of that.
        "particle radius_nm": Bounds(least=0.7, middle=0.45),
        # A bulging window has no one blur: the middle of the field is compared with the mean over particles.
        "blur_nm": Bounds(most=1.4, middle=0.7, beyond=0.06),
        # Oxygen reads a quarter of its sd low (400 scenes: -0.26 +- 0.05), for a reason that is not known.
        "oxygen_per_nm2": Bounds(middle=0.45),
        # The twin's losses begin in whole channels, which moves the peak by some 1e-3 of one. Nothing is mixed up here.
        "zero_loss_eV": Bounds(least=0.6, middle=0.6, robust=False),
    },
)


def test_a_few_scenes_are_calibrated_within_wide_bounds() -> None:
    z = calibrate(range(FEW))
    for name in ESTIMATES:
        assert z[name].size > FEW / 2, name
        BOUNDS[name].check(name, z[name], slack=0.8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_scenes_are_calibrated() -> None:
    z = calibrate(range(100, 100 + MANY))
    for name in ESTIMATES:
        assert z[name].size > MANY / 2, name
        BOUNDS[name].check(name, z[name])
