"""A policy's own account of what was charged where, rebuilt from its turns, so that it proposes nothing impossible."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.dose import Charge, DoseLedger, predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.messages import Command, Go, Holder, InstrumentState, Interlocks, Mode, Optics
from hardware_bridge.safety import check
from policies.commands import clipped
from policies.interface import Setup, Situation, Turn

# Predictions are compared with walls that somebody else computes; this much is left to them.
MARGIN = 1e-6
# No look takes more than this share of what a cell may still be given: others are to follow.
FLUENCE_SHARE = 0.25


@dataclass(frozen=True)
class Price:
    """What a command costs: electrons as the bridge charges them, and time on the instrument's clock."""

    electrons: float
    time_s: float


class Book:
    """The dose ledger as it follows from the commands that ran, and what further commands would cost.

    Every charge is widened by one cell of the dose map, since the position it was charged at is not known here.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.ledger = DoseLedger(setup.limits)
        self._state = blank_state(setup)

    def ingest(self, turn: Turn) -> None:
        """Charge what ran; all of it where it is not known how much did."""
        if turn.command is None or turn.verdict == "rejected":
            return
        try:
            charge = predict_charge(turn.command, self.setup.limits, self._state, self.setup.capabilities)
            self.ledger.add(self._inside(charge))
        except Rejected:
            # An edited command that lies outside the map cannot have run there.
            return
        asked = turn.command.set.optics
        current = asked.beam_current_pA
        self._state = msgspec.structs.replace(
            self._state,
            go=merged(self._state.go, turn.command.go),
            optics=self._state.optics if current is None else Optics(beam_current_pA=current),
        )

    def price(self, command: Command, situation: Situation) -> Price | None:
        """What the command costs, or None where safety refuses it or time or electrons do not suffice."""
        self.ledger.electrons = situation.state.electrons_charged
        try:
            charge = check(command, self.setup.limits, situation.state, self.setup.capabilities, self.ledger)
        except Rejected:
            return None
        time_s = predict(command, situation.state, self.setup.capabilities).time_s
        if time_s > situation.time_left_s or charge.electrons > situation.electrons_left:
            return None
        return Price(electrons=charge.electrons, time_s=time_s)

    def even_current_pA(self, command: Command, situation: Situation, spend: float = 1.0) -> float:
        """The beam current at which electrons and time run out together; ``spend`` times that, within all walls.

        Zero where safety would let no current pass, or none of the allowed range.
        """
        limits, capabilities = self.setup.limits, self.setup.capabilities
        allowed = limits.ranges.get("beam_current_pA")
        if command.acquire is None or allowed is None or situation.time_left_s <= 0.0:
            return 0.0
        unit = with_current(command, 1.0)
        charge = predict_charge(unit, limits, situation.state, capabilities)
        time_s = predict(unit, situation.state, capabilities).time_s
        even = spend * situation.electrons_left / situation.time_left_s * time_s / charge.electrons
        current = min(clipped(even, allowed), self._most_current_pA(command.acquire.mode, charge, situation))
        return current if current >= allowed.low else 0.0

    def _most_current_pA(self, mode: Mode, unit: Charge, situation: Situation) -> float:
        """The largest current that detector, dose rate, fluence of a cell and electrons left allow.

        ``unit`` is the charge of the command at 1 pA.
        """
        limits = self.setup.limits
        try:
            exposed = float(self.ledger.window(unit).max())
        except Rejected:
            return 0.0
        share = self.setup.capabilities.detector_fraction.get(mode, 1.0)
        per_pA = limits.current_bound * ELECTRONS_PER_PA_S * share
        walls = [
            limits.max_dose_rate_e_per_A2_s / unit.dose_rate_e_per_A2_s,
            FLUENCE_SHARE * (limits.max_fluence_e_per_A2 - exposed) / unit.fluence_e_per_A2,
            (limits.max_electrons - situation.state.electrons_charged) / unit.electrons,
            situation.electrons_left / unit.electrons,
        ]
        if per_pA:
            walls.append(limits.max_detector_e_per_s.get(mode, 0.0) / per_pA)
        return min(walls) * (1.0 - MARGIN)

    def _inside(self, charge: Charge) -> Charge:
        box, cell = self.setup.limits.dose_map, self.setup.limits.dose_cell_nm
        return msgspec.structs.replace(
            charge,
            x_low_nm=max(charge.x_low_nm - cell, box.x.low),
            x_high_nm=min(charge.x_high_nm + cell, box.x.high),
            y_low_nm=max(charge.y_low_nm - cell, box.y.low),
            y_high_nm=min(charge.y_high_nm + cell, box.y.high),
        )


def with_current(command: Command, current_pA: float) -> Command:
    """The same command at another beam current."""
    optics = msgspec.structs.replace(command.set.optics, beam_current_pA=current_pA)
    return msgspec.structs.replace(command, set=msgspec.structs.replace(command.set, optics=optics))


def blank_state(setup: Setup) -> InstrumentState:
    """A state to charge commands from; every command of a policy states what it depends on."""
    return InstrumentState(
        clock_s=setup.start_s,
        go=Go(),
        optics=Optics(beam_current_pA=0.0),
        holder=Holder(),
        beam_blanked=True,
        interlocks=Interlocks(
            vacuum_ok=True,
            valves_open=True,
            high_tension_on=True,
            screen_up=True,
            aperture_inserted=True,
            detectors_inserted=setup.capabilities.modes,
        ),
    )
