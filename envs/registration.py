"""Registers the environments with Gymnasium, by name only: nothing of the twin is loaded before one is made."""

from __future__ import annotations

import gymnasium

ENTRY_POINT = "agent.assemble:make_env"
VECTOR_ENTRY_POINT = "agent.assemble:make_vector_env"
AUTOTUNE, AUTOTUNE_ENTRY_POINT = "adaptem/Autotune-v0", "agent.assemble:make_autotune"
IDS = {
    "adaptem/Growth-v0": "growth",
    "adaptem/Transformation-v0": "transformation",
    "adaptem/Interface-v0": "interface",
    "adaptem/Valence-v0": "valence",
    "adaptem/BeamSensitive-v0": "beam_sensitive",
    "adaptem/Defects-v0": "defects",
}


def register() -> None:
    """Make the ids of all worlds and of tuning known; a second call changes nothing."""
    if AUTOTUNE not in gymnasium.registry:
        gymnasium.register(id=AUTOTUNE, entry_point=AUTOTUNE_ENTRY_POINT)
    for name, world in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name, entry_point=ENTRY_POINT, vector_entry_point=VECTOR_ENTRY_POINT, kwargs={"world": world}
            )
