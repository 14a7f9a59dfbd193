"""Registers the environments with Gymnasium, by name only: nothing of the twin is loaded before one is made."""

from __future__ import annotations

import gymnasium

ENTRY_POINT = "agent.assemble:make_env"


def register() -> None:
    """Make `adaptem/Growth-v0` known; a second call changes nothing."""
    if "adaptem/Growth-v0" not in gymnasium.registry:
        gymnasium.register(id="adaptem/Growth-v0", entry_point=ENTRY_POINT)
