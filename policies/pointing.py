"""Where to send the stage so that the field lies where it is wanted: drift allowed for, always on the dose map."""

from __future__ import annotations

from hardware_bridge.dose import POSITION_SIGMAS
from hardware_bridge.geometry import Point, field_centre_nm
from hardware_bridge.messages import Go, InstrumentState
from policies.commands import aim
from policies.interface import Setup, Turn


class Pointing:
    """Remembers how far the last field lay from where it was sent, which is how far the specimen has drifted."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.offset_nm: Point = (0.0, 0.0)

    def ingest(self, turn: Turn) -> None:
        """Learn from where the registered field of a turn came out."""
        command, percept = turn.command, turn.percept
        if command is None or command.go.stage_x_nm is None or command.go.stage_y_nm is None:
            return
        if percept is None or percept.mode is None or percept.width_nm == 0.0:
            return
        sent = field_centre_nm(command.go, self.setup.capabilities)
        self.offset_nm = (percept.x_nm - sent[0], percept.y_nm - sent[1])

    def go(self, point_nm: Point, fov_nm: float, state: InstrumentState) -> Go:
        """The move that centres a field of this width on a specimen-frame point, or as near as the dose map allows."""
        wanted = (point_nm[0] - self.offset_nm[0], point_nm[1] - self.offset_nm[1])
        box = self.setup.limits.dose_map
        margin_nm = (
            fov_nm / 2 + POSITION_SIGMAS * state.position_sd_nm + self.setup.capabilities.probe_diameter_nm / 2 + 1e-6
        )
        x = min(max(wanted[0], box.x.low + margin_nm), box.x.high - margin_nm)
        y = min(max(wanted[1], box.y.low + margin_nm), box.y.high - margin_nm)
        return aim((x, y), state, self.setup.capabilities, self.setup.limits)
