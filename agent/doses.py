"""What the specimen was charged, cell by cell, from the turns of a record: of the report and of the console."""

from __future__ import annotations

from agent.record import Record
from hardware_bridge.dose import DoseLedger, predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Capabilities


def charge_turn(ledger: DoseLedger, record: Record, capabilities: Capabilities) -> None:
    """Charge what ran in a turn to the ledger."""
    if record.decision.command is None or record.electrons_charged <= 0.0:
        return
    charge = predict_charge(record.decision.command, ledger.limits, record.state, capabilities)
    if charge.electrons <= 0.0:
        return
    try:
        ledger.add(charge)
    except Rejected:  # the position read back is not known as well as the one the guard had
        return
    ledger.refund(charge, min(1.0, record.electrons_charged / charge.electrons))
