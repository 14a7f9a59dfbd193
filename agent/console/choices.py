"""What a person is shown of a command: what it does, where, and what it costs."""

from __future__ import annotations

from agent.console.flags import flags
from agent.console.words import Choice
from agent.edits import sentence
from agent.review import MAX_TEXT, Walls
from hardware_bridge.cost import fluence_e_per_A2, predict
from hardware_bridge.geometry import field_centre_nm, merged
from hardware_bridge.messages import Command, InstrumentState
from policies.interface import Proposal


def chosen(command: Command, state: InstrumentState, of: Proposal | Choice, walls: Walls) -> Choice:
    """A command as it may be chosen, with the reason and the prediction of what it is of."""
    capabilities, acquire = walls.capabilities, command.acquire
    price = predict(command, state, capabilities)
    x_nm, y_nm = field_centre_nm(merged(state.go, command.go), capabilities)
    width_nm = acquire.fov_nm if acquire is not None else 0.0
    return Choice(
        command=command,
        does=sentence(command, state, capabilities)[:MAX_TEXT],
        reason=of.reason,
        proposer=of.proposer,
        information=of.information if of.information or of.information_sd else None,  # 0 with sd 0 is no prediction
        information_sd=of.information_sd,
        electrons=price.electrons,
        fluence_e_per_A2=fluence_e_per_A2(command, state, capabilities),
        time_s=price.time_s,
        x_nm=x_nm,
        y_nm=y_nm,
        width_nm=width_nm,
        height_nm=width_nm * acquire.pixels_y / acquire.pixels_x if acquire is not None else 0.0,
        flags=tuple(flags(command, state, walls.limits, capabilities)),
    )
