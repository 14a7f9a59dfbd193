"""A gallery looks at a world in all modes, at the times asked for, without spending it."""

import pytest

from agent import twins
from agent.gallery.looks import moments
from envs.prior import load_card


@pytest.fixture(scope="module")
def seen():
    card = load_card("growth")
    microscope = twins.bare("growth", 2)
    lines: list[str] = []
    return card, microscope, moments(microscope, card, [10.0, 20.0], lines.append), lines


def test_every_mode_is_there_at_every_time(seen):
    card, microscope, found, lines = seen
    assert [moment.time_s for moment in found] == [10.0, 20.0]
    for moment in found:
        assert tuple(moment.details) == microscope.describe().modes
        assert all(each.data is not None and each.data.any() for each in moment.details.values())
        assert moment.time_s <= moment.whole.start_s < moment.time_s + 30.0
        assert moment.whole.command.acquire is not None
        assert moment.whole.command.acquire.fov_nm == card.extent_nm
    assert lines == ["growth: 10 s of 20 s", "growth: 20 s of 20 s"]


def test_pictures_spend_a_small_part_of_what_the_specimen_bears(seen):
    card, microscope, _, _ = seen
    assert microscope.dose.fluence_e_per_A2().max() < card.max_fluence_e_per_A2
