"""The whole instrument: where its electrons go in every mode, and what drift and heat do to a raster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import torch
from torch import Tensor

from digital_twin import instrument
from digital_twin.apparatus import Apparatus
from digital_twin.conditions import ROOM_K, STILL
from digital_twin.drift import Drift
from digital_twin.instrument import Twin
from digital_twin.materials import COPPER, WATER
from digital_twin.misalignment import Misalignment
from digital_twin.specimen import Grid, Still, draw_spheres
from experiments.validation.check import Check, Mutation
from hardware_bridge.messages import SCANNED_MODES, Acquire, Command, Holder, Mode, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Observation

ELEMENTARY_CHARGE_C = 1.602176634e-19
MODES: tuple[Mode, ...] = ("HAADF", "ABF", "BF", "HRTEM", "EELS", "EDS", "CBED", "4DSTEM")
PIXELS, BAR_PIXELS, DWELL_S, CURRENT_pA, DRIFT_NM = 4, 64, 2e-4, 200.0, 40.0
HEAT_NM_PER_K, HEAT_S, STEP_K = 0.5, 60.0, 60.0
FLYBACK_S = 50e-6
"""What the twin's microscope states."""

ENDLESS = np.array([1e3])


class Bar(Still):
    """Balls of copper that overlap to a bar along y, in water."""

    extent_nm = 400.0
    materials = (COPPER, WATER)
    device = torch.device("cpu")

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """The bar, in 100 nm of water."""
        places = torch.stack([torch.zeros(81), torch.arange(-80.0, 81.0, 2.0)], dim=1).double()
        none = torch.zeros(len(places), dtype=torch.long)
        copper = draw_spheres(grids, none, places, torch.full((len(places),), 5.0, dtype=torch.float64))
        return torch.stack([copper, 100.0 - copper], dim=1)


def taken(mode: Mode, pixels: int, **on: float) -> tuple[Twin, Observation]:
    """A look at the bar with a steady instrument but for what is on."""
    conditions = msgspec.structs.replace(STILL, **on)
    apparatus = replace(Apparatus(conditions=conditions), hidden=Misalignment(backlash_nm=(0.0, 0.0)))
    twin = Twin(Bar(), 3, apparatus=apparatus)
    optics = Optics(C10_nm=0.0, C12_nm=0.0, C21_nm=0.0, C23_nm=0.0, C30_um=0.0, beam_current_pA=CURRENT_pA)
    acquire = Acquire(mode=mode, fov_nm=64.0, pixels_x=pixels, pixels_y=pixels, dwell_s=DWELL_S)
    return twin, execute(twin, Command(id=mode, set=Settings(optics=optics), acquire=acquire), 60.0)


def accounted() -> float:
    """Largest relative deviation of electrons, stated and on the dose map, from current x time / e, in all modes.

    A scan's beam is on while rows fly back, a broad one's for the exposure.
    """
    worst = 0.0
    for mode in MODES:
        twin, seen = taken(mode, PIXELS)
        on_s = PIXELS * (PIXELS * DWELL_S + FLYBACK_S) if mode in SCANNED_MODES else DWELL_S
        expected = CURRENT_pA * 1e-12 * on_s / ELEMENTARY_CHARGE_C
        mapped = float(twin.dose.electrons.sum()) + twin.dose.outside
        worst = max(worst, abs(seen.electrons / expected - 1), abs(mapped / expected - 1))
    return worst


def skew() -> float:
    """Deviation of the slope of a bar in a raster from (speed of the drift) x (time a row), relative.

    The drift's decay after the start is exp(-t / tau): over a frame much shorter than tau it is steady.
    """
    _, seen = taken("HAADF", BAR_PIXELS, decay_nm=DRIFT_NM, decay_s=10.0)
    assert seen.data is not None
    counts = seen.data.astype(np.float64)
    bright = np.clip(counts - np.median(counts, axis=1, keepdims=True), 0.0, None)
    middles = bright @ np.arange(BAR_PIXELS) / bright.sum(axis=1)
    slope = float(np.polyfit(np.arange(BAR_PIXELS), middles, 1)[0])
    # The drift of seed 3 is to go this far along x in all; the frame begins after decision, settling and overhead.
    start_s, row_s = float(seen.row_start_s[0]), BAR_PIXELS * DWELL_S + FLYBACK_S
    middle_s = start_s + row_s * BAR_PIXELS / 2
    whole_nm = float(
        Drift(3, msgspec.structs.replace(STILL, decay_nm=DRIFT_NM, decay_s=1.0)).specimen_nm(ENDLESS)[0, 0]
    )
    return abs(slope / (whole_nm * math.exp(-middle_s / 10.0) / 10.0 * row_s) - 1)


def heated() -> float:
    """Largest deviation of the way of a bar after a heating step from 1 - exp(-t / tau), of the whole way.

    Rasters are taken right after the step, 40 and 80 s later, and when all is warm.
    """
    conditions = msgspec.structs.replace(STILL, heat_nm_per_K=HEAT_NM_PER_K, heat_s=HEAT_S)
    apparatus = replace(Apparatus(conditions=conditions), hidden=Misalignment(backlash_nm=(0.0, 0.0)))
    twin, middles_nm, times_s = Twin(Bar(), 3, apparatus=apparatus), [], []
    optics = Optics(C10_nm=0.0, C12_nm=0.0, C21_nm=0.0, C23_nm=0.0, C30_um=0.0, beam_current_pA=CURRENT_pA)
    acquire = Acquire(mode="HAADF", fov_nm=128.0, pixels_x=BAR_PIXELS, pixels_y=BAR_PIXELS, dwell_s=1e-5)
    look = Command(id="look", set=Settings(optics=optics), acquire=acquire)
    execute(twin, Command(id="heat", set=Settings(holder=Holder(temperature_K=ROOM_K + STEP_K))), 60.0)
    heated_s = twin.state().clock_s
    for wait_s in (0.0, 40.0, 80.0, 3000.0):
        while twin.state().clock_s < heated_s + wait_s:
            execute(twin, Command(id="wait"), 60.0)
        seen = execute(twin, look, 60.0)
        assert seen.data is not None
        counts = seen.data.astype(np.float64)
        bright = np.clip(counts - np.median(counts, axis=1, keepdims=True), 0.0, None).sum(axis=0)
        middles_nm.append(float(bright @ (2.0 * np.arange(BAR_PIXELS)) / bright.sum()) - BAR_PIXELS + 1.0)
        times_s.append(float(seen.row_start_s.mean()) - heated_s)
    way = np.array(middles_nm) / middles_nm[-1]
    return float(np.abs(way - (1 - np.exp(-np.array(times_s) / HEAT_S))).max())


CHECKS = (
    Check(
        name="incident electrons in every mode: stated, and on the dose map, relative",
        reference="closed form: current x time / e",
        achieved=accounted,
        tolerance=1e-9,
        mutation=Mutation("electrons counted in pairs", instrument, "ELECTRONS_PER_PA_S", lambda it: it / 2),
        slow=True,
    ),
    Check(
        name="drift skews a raster: slope of a bar, relative",
        reference="closed form: speed of an exponential decay x time a row",
        achieved=skew,
        tolerance=0.03,
        mutation=Mutation(
            "rows all at the time of the first",
            Drift,
            "rows_nm",
            lambda it: lambda drift, start_s, step_s, rows: np.repeat(it(drift, start_s, step_s, 1), rows, axis=0),
        ),
    ),
    Check(
        name="drift after a heating step, share of the whole way",
        reference="closed form: 1 - exp(-t / tau), first order",
        achieved=heated,
        tolerance=0.03,
        mutation=Mutation("at once", Drift, "_holder_K", lambda it: lambda drift, time_s: it(drift, 1e9)),
    ),
)
