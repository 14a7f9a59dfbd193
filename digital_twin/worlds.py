"""The worlds by name."""

from __future__ import annotations

from collections.abc import Mapping

from digital_twin.beam_sensitive import BeamSensitive
from digital_twin.defects import Defects
from digital_twin.interface import Interface
from digital_twin.liquid_cell import LiquidCell
from digital_twin.transformation import Transformation
from digital_twin.valence import Valence
from digital_twin.world import World

WORLDS: Mapping[str, type[World]] = {
    "growth": LiquidCell,
    "interface": Interface,
    "valence": Valence,
    "transformation": Transformation,
    "beam_sensitive": BeamSensitive,
    "defects": Defects,
}


def world_type(name: str) -> type[World]:
    """The world of a name.

    Raises:
        ValueError: there is no such world.
    """
    try:
        return WORLDS[name]
    except KeyError:
        raise ValueError(f"world = {name!r} is unknown: choose one of {', '.join(WORLDS)}") from None
