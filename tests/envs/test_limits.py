"""The walls of an episode hold every action and nothing beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from digital_twin.column import capabilities
from digital_twin.instrument import Twin
from digital_twin.world import apparatus_of
from digital_twin.worlds import WORLDS, world_type
from envs.coding import MODES, Coding
from envs.limits import world_limits
from envs.prior import load_card
from hardware_bridge.dose import DoseLedger
from hardware_bridge.errors import Rejected
from hardware_bridge.safety import check


@pytest.mark.parametrize("world", WORLDS)
def test_every_corner_of_the_actions_lies_within_the_ranges(world: str) -> None:
    facts, card = world_type(world).facts, load_card(world)
    able = capabilities(facts.column)
    coding, limits = Coding.of(card, able), world_limits(card, able)
    state = Twin(world_type(world)(3), 3, apparatus=apparatus_of(facts)).state()
    refused = set()
    for n, corner in enumerate(np.stack(np.meshgrid(*[[-1.0, 1.0]] * 4), axis=-1).reshape(-1, 4)):
        for mode in range(len(MODES)):
            try:
                check(coding.command(f"c{n}-{mode}", corner, mode), limits, state, able, DoseLedger(limits))
            except Rejected as refusal:
                refused.add(refusal.code)
    # Dose is a wall of its own: at the most current a small field takes more than it bears.
    assert refused <= {"fluence"}


def test_the_budget_is_the_last_wall() -> None:
    card = load_card("growth")
    assert world_limits(card, capabilities(world_type("growth").facts.column)).max_electrons == card.budget_electrons
