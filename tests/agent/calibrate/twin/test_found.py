"""Parameters, their errors as numbers and as factors."""

import math

import pytest

from agent.calibrate.twin.found import Found, factor, known, unknown


def test_errors_are_differences_or_factors():
    assert known("a", "nm", 5.0, 0.5).z(4.0) == pytest.approx(2.0)
    wide = factor("b", "s", math.log(100.0), 0.5)
    assert wide.value == pytest.approx(100.0)
    assert wide.z(100.0 * math.e) == pytest.approx(-2.0)


def test_what_is_not_told_has_no_error():
    told = unknown("a", "nm", "too dark")
    assert not told.is_identifiable
    assert math.isnan(told.z(1.0))


def test_parameters_are_found_by_name():
    found = Found(source="x", parameters=(known("a", "nm", 1.0, 0.1),))
    assert found["a"].value == 1.0
    with pytest.raises(KeyError):
        found["b"]
