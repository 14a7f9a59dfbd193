"""The end of a run: the instrument is left where the lab wants it, and the record says so."""

from __future__ import annotations

from agent.config import Park
from agent.loop import Loop
from agent.record import Decision, Record
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Command


def park(loop: Loop, where: Park) -> Record:
    """Move and set what the configuration names, blanked, as the last turn of the run.

    A refusal (after a person's stop nothing more may move) is the turn's failure, and raises nothing.

    Raises:
        Unreachable: the instrument is lost.
    """
    situation = loop.look()
    command = Command(id=f"park-{loop.turn}{loop.suffix}", go=where.go, set=where.set)
    decision = Decision(
        proposals=(), verdict="approved", by="end of run", reason="Parked", waited_s=0.0, command=command
    )
    observation, failure = None, ""
    try:
        observation = loop.execute(decision)
    except (Rejected, Malformed) as refusal:
        failure = str(refusal)
    record = loop.write(situation, decision, observation, None, failure)
    loop.turn = record.turn + 1
    return record
