"""Widening of the beam against the formula for one element, and how layers add up."""

import math

import pytest

from digital_twin.broadening import broadening_fwhm_nm
from digital_twin.detectors import Column
from digital_twin.materials import COPPER, NITRIDE, WATER


def test_one_element_follows_the_formula():
    diameter_nm = 6.25e5 * (29 / 300e3) * math.sqrt(8.96 / 63.546) * 50e-7**1.5 * 1e7
    gaussian = math.sqrt(math.log(2) / math.log(10))
    assert broadening_fwhm_nm([(COPPER, 50.0)], 300.0) == pytest.approx(gaussian * diameter_nm, rel=1e-3)


def test_a_layer_cut_in_two_is_the_layer():
    whole, halves = [(WATER, 200.0)], [(WATER, 50.0), (WATER, 150.0)]
    assert broadening_fwhm_nm(halves, 200.0) == pytest.approx(broadening_fwhm_nm(whole, 200.0))


def test_what_lies_far_above_counts_more():
    near = broadening_fwhm_nm([(WATER, 150.0), (NITRIDE, 30.0)], 200.0)
    far = broadening_fwhm_nm([(NITRIDE, 30.0), (WATER, 150.0)], 200.0)
    assert far > near > broadening_fwhm_nm([(WATER, 150.0)], 200.0)


def test_nothing_above_widens_nothing():
    assert broadening_fwhm_nm([], 200.0) == 0.0
    assert Column().probe().source_fwhm_nm == Column().source_fwhm_nm


def test_the_probe_is_widened_in_quadrature():
    above = ((NITRIDE, 30.0), (WATER, 150.0))
    wide = Column(above=above, source_fwhm_nm=3.0).probe().source_fwhm_nm
    assert wide == pytest.approx(math.hypot(3.0, broadening_fwhm_nm(above, 200.0)))


@pytest.mark.parametrize("thickness_nm", [-1.0, math.nan, math.inf])
def test_impossible_layers_are_refused(thickness_nm):
    with pytest.raises(ValueError, match=r"above: .* nm of water: at least 0 and finite"):
        Column(above=((WATER, thickness_nm),))
