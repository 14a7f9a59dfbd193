"""The microscopes that are tuned: as the tuner takes them to be, and otherwise on purpose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from agent.perception.probe_transfer import balanced_C10_nm
from agent.twins import tuning_apparatus
from digital_twin.apparatus import Apparatus
from digital_twin.gold_on_carbon import FILM_NM, GoldOnCarbon
from digital_twin.instrument import Twin
from digital_twin.materials import CARBON, GOLD
from digital_twin.optics import aberrations_of, strehl, summed
from digital_twin.specimen import Grid, Still, draw_spheres
from envs.autotune import DWELL_S, FOV_NM, PIXELS, RANGES_NM, SILENCE_S, optics_of, tuning_limits
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Acquire, Command, Optics, Settings
from hardware_bridge.microscope import execute

NAMES = {3: ("C10", "C12"), 7: tuple(RANGES_NM)}
CONDITIONS = ("as assumed", "unseen specimen", "Cs 20 % off", "drift", "a tenth of the dose")
CS_UM, CS_WRONG = 10.0, 0.2
"""Spherical aberration that the instrument states where it is wrong, a residue such as correctors leave."""

BALLS_PER_NM2, BALL_RADII_NM = 0.06, (0.4, 1.4)


class Balls(Still):
    """Smooth balls of gold, (N, 2) and (N,) nm, on a carbon film: nothing of it is an atom. A batch of one."""

    extent_nm = 64.0
    materials = (GOLD, CARBON)

    def __init__(self, seed: int) -> None:
        self.device = torch.device("cpu")
        random = np.random.default_rng([seed, 16])
        count = random.poisson(BALLS_PER_NM2 * self.extent_nm**2)
        half = self.extent_nm / 2
        self.position_nm = torch.from_numpy(random.uniform(-half, half, (count, 2)))
        self.radius_nm = torch.from_numpy(random.uniform(*BALL_RADII_NM, count))

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected gold and carbon, (1, 2, H, W) nm."""
        scan = torch.zeros(len(self.radius_nm), dtype=torch.long)
        gold = draw_spheres(grids, scan, self.position_nm, self.radius_nm)
        return torch.stack([gold, torch.full_like(gold, FILM_NM)], dim=1)


class Bench:
    """One microscope to tune: ``look`` takes an image, and only the study reads ``strehl``."""

    def __init__(self, seed: int, parameters: int, condition: str) -> None:
        self.names = NAMES[parameters]
        self.ranges_nm = np.array([RANGES_NM[n] for n in self.names for _ in range(1 if n == "C10" else 2)])
        self._apparatus = _changed(tuning_apparatus(seed, self.names), condition)
        specimen = Balls(seed) if condition == "unseen specimen" else GoldOnCarbon(seed)
        self._twin = Twin(specimen, seed, apparatus=self._apparatus)
        self._guarded = Guard(self._twin, tuning_limits(self.names, specimen.extent_nm))
        self._images, self.electrons = 0, 0.0

    @property
    def stated_C30_um(self) -> float:
        """The spherical aberration that the instrument states."""
        return self._apparatus.optics.C30_um or 0.0

    def look(self, settings_nm: np.ndarray) -> np.ndarray:
        """An image (H, W) in electrons at settings (P,) in nm."""
        acquire = Acquire(mode="HAADF", fov_nm=FOV_NM, pixels_x=PIXELS, pixels_y=PIXELS, dwell_s=DWELL_S)
        optics = optics_of(self.names, [float(each) for each in settings_nm])
        command = Command(id=f"image-{self._images}", set=Settings(optics=optics), acquire=acquire)
        seen = execute(self._guarded, command, SILENCE_S)
        assert seen.data is not None  # an image was asked for
        self._images += 1
        self.electrons += seen.electrons
        return np.asarray(seen.data, dtype=np.float64)

    def strehl(self) -> float:
        """The Strehl ratio of the last image's probe, over the best that its C30 leaves."""
        column, hidden = self._apparatus.column.probe(), self._apparatus.hidden.residual
        state = self._twin.state()
        total = summed(aberrations_of(state.optics), hidden)
        wander = self._twin._drift.C10_nm(state.clock_s)
        found = strehl(dataclasses.replace(total, C10_nm=float(total.C10_nm) + wander), column)
        C30_um = float(total.C30_um)
        best_C10_nm = balanced_C10_nm(C30_um, column.semi_angle_mrad)
        alone = dataclasses.replace(aberrations_of(Optics()), C30_um=C30_um, C10_nm=best_C10_nm)
        return found / strehl(alone, column)


def _changed(apparatus: Apparatus, condition: str) -> Apparatus:
    """The apparatus under a condition.

    Raises:
        ValueError: there is no such condition.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition = {condition!r}: choose one of {', '.join(CONDITIONS)}")
    optics, hidden, conditions = apparatus.optics, apparatus.hidden, apparatus.conditions
    if condition == "Cs 20 % off":
        optics = replace(optics, C30_um=CS_UM)
        residual = dataclasses.replace(hidden.residual, C30_um=CS_WRONG * CS_UM)
        hidden = dataclasses.replace(hidden, residual=residual)
    elif condition == "drift":
        conditions = replace(conditions, decay_nm=25.0, wander_nm=6.0, jitter_nm=0.02, C10_wander_nm=3.0)
    elif condition == "a tenth of the dose":
        assert optics.beam_current_pA is not None
        optics = replace(optics, beam_current_pA=optics.beam_current_pA / 10)
    return dataclasses.replace(apparatus, optics=optics, hidden=hidden, conditions=conditions)
