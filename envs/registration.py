"""Registers the environments with Gymnasium, by name only: nothing of the twin is loaded before one is made."""

from __future__ import annotations

import gymnasium

ENTRY_POINT = "agent.assemble:make_env"
VECTOR_ENTRY_POINT = "agent.assemble:make_vector_env"
IDS = {
    "adaptem/Growth-v0": "growth",
}


def register() -> None:
    """Make the ids of all worlds known; a second call changes nothing."""
    for name, world in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name, entry_point=ENTRY_POINT, vector_entry_point=VECTOR_ENTRY_POINT, kwargs={"world": world}
            )
