"""Images of a specimen that drifts, as an instrument would give them."""

import dataclasses
from collections.abc import Callable

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy import ndimage

from hardware_bridge.messages import Command, InstrumentState
from hardware_bridge.observation import Observation

PIXELS = 64
COUNTS = 40.0


def specimen(seed: int = 1) -> NDArray[np.float64]:
    """Blobs on a dark ground, (3 PIXELS, 3 PIXELS), counts at full dose; the field is its middle."""
    rng = np.random.default_rng(seed)
    blobs = np.zeros((3 * PIXELS, 3 * PIXELS))
    blobs[tuple(rng.integers(0, 3 * PIXELS, (2, 300)))] = 1.0
    smooth = ndimage.gaussian_filter(blobs, 2.0)
    return np.asarray(5.0 + COUNTS * smooth / smooth.max())


class Drifting:
    """Gives images of a specimen that has drifted by ``drift_px`` (columns, rows) when it is looked at."""

    def __init__(
        self, make_observation: Callable[..., Observation], make_state: Callable[..., InstrumentState]
    ) -> None:
        self.make, self.make_state, self.matter = make_observation, make_state, specimen()
        self.drift_px = (0, 0)
        self.clock_s = 10.0
        self.looks = 0

    def state(self) -> InstrumentState:
        return self.make_state(self.clock_s)

    def observe(self, command: Command, dose: float = 1.0) -> Observation:
        assert command.acquire is not None
        rows = slice(PIXELS - self.drift_px[1], 2 * PIXELS - self.drift_px[1])
        columns = slice(PIXELS - self.drift_px[0], 2 * PIXELS - self.drift_px[0])
        rng = np.random.default_rng(self.looks)
        self.looks += 1
        share = command.acquire.dwell_s / 2e-6 * dose
        data = rng.poisson(self.matter[rows, columns] * share).astype(np.uint16)
        observation = self.make(1, "HAADF", PIXELS)
        state = self.state()
        return dataclasses.replace(
            observation, command=command, data=data, row_seen=np.ones(PIXELS, dtype=bool),
            row_start_s=np.full(PIXELS, self.clock_s), end_s=self.clock_s, state=replace(state, go=command.go),
        )  # fmt: skip
