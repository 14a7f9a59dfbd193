"""What every world must be, whichever it is."""

import pytest

from digital_twin.worlds import WORLDS, world_type


def test_an_unknown_world_is_told_with_those_there_are():
    with pytest.raises(ValueError, match="'mars' is unknown: choose one of growth"):
        world_type("mars")


@pytest.mark.parametrize("name", WORLDS)
def test_facts_are_those_of_a_world_that_can_be_scored(name):
    facts = world_type(name).facts
    assert facts.name == name
    assert 3 <= len(facts.fields) + len(facts.globals) <= 8
    assert list(facts.times_s) == sorted(facts.times_s)
    assert facts.sources
