"""Conditions are words: what is impossible is refused when they are read."""

import pytest

from digital_twin.conditions import STILL, Conditions
from hardware_bridge.errors import Malformed
from hardware_bridge.words import validated


def test_impossible_conditions_are_refused_by_name():
    with pytest.raises(Malformed, match="wander_nm"):
        validated(Conditions(wander_nm=-1.0))
    with pytest.raises(Malformed, match="decay_s"):
        validated(Conditions(decay_s=0.0))


def test_still_has_nothing_left_that_moves():
    sizes = {n: getattr(STILL, n) for n in STILL.__struct_fields__ if not n.endswith("_s")}
    assert not any(sizes.values())
