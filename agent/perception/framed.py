"""When and where an observation was taken: what every percept begins with."""

from __future__ import annotations

from hardware_bridge.geometry import Point
from hardware_bridge.observation import Observation
from hardware_bridge.report import Percept


def framed(observation: Observation, centre_nm: Point) -> Percept:
    """A percept that says nothing yet but which command it answers, when, and which field about ``centre_nm`` (x, y).

    Where nothing was acquired the field has no size, and the percept no mode.
    """
    acquire = observation.command.acquire
    return Percept(
        command_id=observation.command.id,
        mode=acquire.mode if acquire else None,
        start_s=observation.start_s,
        end_s=observation.end_s,
        x_nm=centre_nm[0],
        y_nm=centre_nm[1],
        width_nm=acquire.fov_nm if acquire else 0.0,
        height_nm=acquire.fov_nm * acquire.pixels_y / acquire.pixels_x if acquire else 0.0,
    )
