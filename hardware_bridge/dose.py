"""The dose ledger: what every cell of the specimen has been charged, an upper bound kept beside the instrument."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from hardware_bridge.cost import beam_current_pA, disc_nm, fluence_e_per_A2, frame_s, predict
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import field_centre_nm, merged, pixel_to_specimen
from hardware_bridge.messages import SCANNED_MODES, Capabilities, Command, End, InstrumentState, Limits
from hardware_bridge.words import NotNegative, Number, Word

POSITION_SIGMAS = 3.0
MAX_CELLS = 4_000_000
ROUNDING = 1e-9


class Charge(Word, frozen=True, kw_only=True):
    """What one command is charged: electrons in all, and a fluence on a box of the specimen frame (nm)."""

    electrons: NotNegative = 0.0
    fluence_e_per_A2: NotNegative = 0.0
    dose_rate_e_per_A2_s: NotNegative = 0.0
    x_low_nm: Number = 0.0
    x_high_nm: Number = 0.0
    y_low_nm: Number = 0.0
    y_high_nm: Number = 0.0


def worst_charge(command: Command, limits: Limits, state: InstrumentState, capabilities: Capabilities) -> Charge:
    """What a command is charged if nobody learns how it ended: a dark reference as if the beam had been on.

    With the largest current that may be set, where none reads back.
    """
    acquire, optics = command.acquire, command.set.optics
    if acquire is None or not acquire.blanked:
        return predict_charge(command, limits, state, capabilities)
    if optics.beam_current_pA is None and state.optics.beam_current_pA is None:
        most = limits.ranges.get("beam_current_pA")
        optics = replace(optics, beam_current_pA=most.high if most is not None else None)
    lit = replace(command, set=replace(command.set, optics=optics), acquire=replace(acquire, blanked=False))
    return predict_charge(lit, limits, state, capabilities)


def predict_charge(command: Command, limits: Limits, state: InstrumentState, capabilities: Capabilities) -> Charge:
    """Predict the upper bound that a command will be charged; zero without an acquisition.

    The field's bounding box is widened by three standard deviations of the position and by the probe's radius. A broad
    beam whose size is known lights a disc about the middle of the field, however much of it the camera sees.
    """
    acquire = command.acquire
    if acquire is None:
        return Charge()
    go = merged(state.go, command.go)
    centre = field_centre_nm(go, capabilities)
    corners = [
        pixel_to_specimen(centre, acquire, go.scan_rotation_deg or 0.0, (row, column))
        for row in (-0.5, acquire.pixels_y - 0.5)
        for column in (-0.5, acquire.pixels_x - 0.5)
    ]
    if acquire.mode not in SCANNED_MODES and capabilities.lit_diameter_nm:
        corners = [centre]
    margin_nm = POSITION_SIGMAS * state.position_sd_nm + disc_nm(acquire, capabilities) / 2
    fluence = limits.current_bound * fluence_e_per_A2(command, state, capabilities)
    on_s = acquire.max_frames * frame_s(acquire, capabilities)
    return Charge(
        electrons=limits.current_bound * predict(command, state, capabilities).electrons,
        fluence_e_per_A2=fluence,
        dose_rate_e_per_A2_s=fluence / on_s if beam_current_pA(command, state) else 0.0,
        x_low_nm=min(x for x, _ in corners) - margin_nm,
        x_high_nm=max(x for x, _ in corners) + margin_nm,
        y_low_nm=min(y for _, y in corners) - margin_nm,
        y_high_nm=max(y for _, y in corners) + margin_nm,
    )


@dataclass
class DoseLedger:
    """Fluence charged so far per cell, (ny, nx) float64 e/A^2, and electrons in all.

    Raises:
        ValueError: the limits ask for a map without extent, or of more than four million cells.
    """

    limits: Limits
    electrons: float = 0.0

    def __post_init__(self) -> None:
        box, cell = self.limits.dose_map, self.limits.dose_cell_nm
        if box.x.high <= box.x.low or box.y.high <= box.y.low:
            raise ValueError("dose_map: high must be greater than low")
        nx = math.ceil((box.x.high - box.x.low) / cell)
        ny = math.ceil((box.y.high - box.y.low) / cell)
        if nx * ny > MAX_CELLS:
            raise ValueError(f"dose_cell_nm = {cell:g}: a map of {nx * ny:.3g} cells, the limit is {MAX_CELLS}")
        self.fluence_e_per_A2: NDArray[np.float64] = np.zeros((ny, nx))

    def window(self, charge: Charge) -> NDArray[np.float64]:
        """The view of the cells that a charge touches.

        Raises:
            Rejected: part of the charged area lies outside the charted map.
        """
        box, cell = self.limits.dose_map, self.limits.dose_cell_nm
        for path, low, high, allowed in (
            ("field.x", charge.x_low_nm, charge.x_high_nm, box.x),
            ("field.y", charge.y_low_nm, charge.y_high_nm, box.y),
        ):
            if low < allowed.low or high > allowed.high:
                raise Rejected(
                    "dose_map", path, f"{low:.1f}..{high:.1f} nm", f"{allowed.low:.1f}..{allowed.high:.1f} nm"
                )
        x0, x1 = int((charge.x_low_nm - box.x.low) // cell), math.ceil((charge.x_high_nm - box.x.low) / cell)
        y0, y1 = int((charge.y_low_nm - box.y.low) // cell), math.ceil((charge.y_high_nm - box.y.low) / cell)
        return self.fluence_e_per_A2[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]

    def check(self, charge: Charge) -> None:
        """Raise Rejected if a charge would pass the total, the fluence of a cell or the dose rate."""
        if charge.electrons == 0.0:
            return
        limits = self.limits
        checks = (
            ("dose", "electrons", self.electrons + charge.electrons, limits.max_electrons, "electrons"),
            (
                "fluence",
                "fluence_e_per_A2",
                float(self.window(charge).max()) + charge.fluence_e_per_A2,
                limits.max_fluence_e_per_A2,
                "e/A^2 in a cell",
            ),
            (
                "dose_rate",
                "dose_rate_e_per_A2_s",
                charge.dose_rate_e_per_A2_s,
                limits.max_dose_rate_e_per_A2_s,
                "e/A^2/s",
            ),
        )
        for code, path, value, limit, unit in checks:
            if value > limit:
                raise Rejected(code, path, f"{value:.6g}", f"{limit:.6g} {unit}")

    def add(self, charge: Charge) -> None:
        """Charge the whole of a command, before its exposure."""
        if charge.electrons:
            window = self.window(charge)
            self.electrons += charge.electrons
            window[...] += charge.fluence_e_per_A2

    def refund(self, charge: Charge, share_used: float) -> None:
        """Give back what was not exposed: ``share_used`` of the charge stays."""
        if charge.electrons:
            unused = 1.0 - share_used
            self.electrons -= unused * charge.electrons
            self.window(charge)[...] -= unused * charge.fluence_e_per_A2

    def book(self, charge: Charge, share_used: float) -> None:
        """Charge a share of what has happened already and cannot be refused.

        What lies off the map counts towards the electrons alone.
        """
        try:
            self.add(charge)
            self.refund(charge, share_used)
        except Rejected:
            self.electrons += share_used * charge.electrons

    def share_used(self, charge: Charge, end: End) -> float:
        """The share of a charge that a command has used: of the time that the beam was to be on, or of the electrons.

        The second counts where the instrument measured more than that time says, as with a slow shutter; it can exceed
        1, and what was measured is taken times the same bound of the current.
        """
        if not charge.electrons:
            return end.beam_on_share
        measured = self.limits.current_bound * end.electrons / charge.electrons
        return measured if measured > end.beam_on_share * (1.0 + ROUNDING) else end.beam_on_share
