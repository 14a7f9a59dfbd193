"""Review without a person: the walls that no proposal passes, and the envelope that one may pass unasked.

The walls ask the functions that the instrument's own safety asks, of ledgers of dose and slew kept alike, so nobody is
asked about an impossible command. What runs is still decided beside the instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from agent.record import Decision, Record
from hardware_bridge import safety
from hardware_bridge.dose import Charge, DoseLedger, predict_charge
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits, Range
from hardware_bridge.slew import SlewLedger
from hardware_bridge.words import validated
from policies.interface import ENVELOPE, Proposal, Situation

MAX_TEXT = 2000


class Walls:
    """What safety will say to a command: by the limits (``impossible``) and by the narrower envelope (``outside``).

    Call ``settle`` at each decision, before asking, and ``chosen`` with the command that was decided on.
    """

    def __init__(self, limits: Limits, capabilities: Capabilities, envelope: Mapping[str, Range] | None = None) -> None:
        self.capabilities = capabilities
        self.limits = limits
        self.narrow(envelope or {})
        self._ledger = DoseLedger(limits)
        self._slew = SlewLedger(limits)
        self._pending: tuple[Charge, Command, InstrumentState] | None = None

    def narrow(self, envelope: Mapping[str, Range]) -> None:
        """Use another envelope from now on; an empty one is none."""
        self.envelope = dict(envelope)
        self.has_envelope = bool(envelope)
        self._narrow = replace(self.limits, ranges={**self.limits.ranges, **envelope})

    def settle(self, situation: Situation) -> None:
        """Bring the ledgers to what was charged and changed since the last decision.

        What was decided then is taken to have changed what it sets; where it did not run after all, a change that
        cannot be may be found possible, and is refused beside the instrument.
        """
        charged = situation.state.electrons_charged
        if self._pending is not None:
            charge, command, before = self._pending
            if charge.electrons > 0.0:
                self._charge(charge, charged - self._ledger.electrons)
            self._change(command, before)
        self._pending = None
        self._ledger.electrons = charged

    def impossible(self, command: Command, situation: Situation) -> str:
        """Say why a command cannot run at all; empty where it can."""
        return self._refusal(command, situation, self.limits)

    def outside(self, command: Command, situation: Situation) -> str:
        """Say why a command is not inside the envelope; empty where it is."""
        return self._refusal(command, situation, self._narrow)

    def charge(self, command: Command, situation: Situation) -> Charge:
        """Predict what a command will be charged, as safety does."""
        return predict_charge(command, self.limits, situation.state, self.capabilities)

    def chosen(self, command: Command, situation: Situation) -> None:
        """Take note of the command that goes to the instrument."""
        self._pending = (self.charge(command, situation), command, situation.state)

    def resume(self, records: Sequence[Record]) -> None:
        """Bring the ledgers to where a recorded run stopped."""
        if not records:
            return
        self._slew.begin(records[0].start_s)
        before = records[0].state
        for record in records:
            if record.decision.command is not None:
                self._change(record.decision.command, replace(before, clock_s=record.start_s))
            before = record.state
            if record.decision.command is not None and record.electrons_charged > 0.0:
                # The state after a command holds the position and current that it ran with.
                charge = predict_charge(record.decision.command, self.limits, record.state, self.capabilities)
                self._charge(charge, record.electrons_charged)

    def _charge(self, charge: Charge, electrons: float) -> None:
        share = min(max(electrons / charge.electrons, 0.0), 1.0) if charge.electrons else 0.0
        try:
            self._ledger.add(charge)
            self._ledger.refund(charge, share)
        except Rejected:
            return  # it lay off the chart of doses, so it never ran

    def _change(self, command: Command, before: InstrumentState) -> None:
        with suppress(Rejected):  # a setting that did not read back, so it was not set
            self._slew.add(command, before)

    def _refusal(self, command: Command, situation: Situation, limits: Limits) -> str:
        try:
            charge = safety.check(validated(command), limits, situation.state, self.capabilities, self._ledger)
            self._slew.check(command, situation.state)
        except (Rejected, Malformed) as refusal:
            return str(refusal)
        if charge.electrons > situation.electrons_left:
            left = max(situation.electrons_left, 0.0)
            return f"electrons = {charge.electrons:.6g} refused (budget): limit {left:.6g} electrons left"
        return ""


class Autonomous:
    """A Review that takes the best proposal inside the envelope, and refuses where there is none."""

    def __init__(self, walls: Walls) -> None:
        self._walls = walls

    def __call__(self, proposals: Sequence[Proposal], situation: Situation) -> Decision:
        """Decide over ranked proposals, without asking anybody."""
        self._walls.settle(situation)
        decision = inside(self._walls, proposals, situation)
        if decision.command is not None:
            self._walls.chosen(decision.command, situation)
        return decision


def inside(walls: Walls, proposals: Sequence[Proposal], situation: Situation) -> Decision:
    """The decision for the best proposal inside the envelope; a refusal where there is none."""
    refusals: list[str] = []
    for proposal in proposals:
        refusal = walls.outside(proposal.command, situation)
        if not refusal:
            passed_over = f" (choice {len(refusals) + 1}; the first: {refusals[0]})" if refusals else ""
            return unasked(proposals, proposal.command, proposal.reason + passed_over)
        refusals.append(refusal)
    return unasked(proposals, None, "; ".join(dict.fromkeys(refusals)) or "nothing was proposed")


def unasked(proposals: Sequence[Proposal], command: Command | None, reason: str) -> Decision:
    """The decision of the envelope: approved with a command, refused without."""
    return Decision(
        proposals=tuple(proposals),
        verdict="refused" if command is None else "approved",
        by=ENVELOPE,
        reason=reason[:MAX_TEXT],
        waited_s=0.0,
        command=command,
    )
