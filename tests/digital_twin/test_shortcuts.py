"""What is left out is a whole number of pixels or patches."""

import pytest

from digital_twin.shortcuts import NONE, Shortcuts


@pytest.mark.parametrize(("name", "value"), [("largest_patch", 0), ("sharp_patch", -1), ("matter_px", 1.5)])
def test_numbers_that_are_no_counts_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} = "):
        Shortcuts(**{name: value})


def test_nothing_is_left_out_unless_it_is_asked_for():
    assert NONE.matter_px == 1
    assert Shortcuts() == NONE
