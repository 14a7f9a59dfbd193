"""The scattering factors against what theory says of their ends; against abTEM they are checked in elastic."""

import math

import numpy as np
import pytest

from digital_twin.lobato import FACTORS, factor_nm

BOHR_nm = 0.0529177210903


@pytest.mark.parametrize("z", FACTORS)
def test_far_out_only_the_bare_nucleus_scatters(z):
    # Mott and Bethe: f = (Z - f_x) / (2 pi^2 a0 g^2), and the X-ray factor f_x is gone at high g.
    g_per_nm = 1e5
    assert factor_nm(z, np.array(g_per_nm)) * 2 * math.pi**2 * BOHR_nm * g_per_nm**2 == pytest.approx(z, rel=1e-3)


@pytest.mark.parametrize("z", FACTORS)
def test_factors_are_positive_and_fall(z):
    factor = factor_nm(z, np.linspace(0.0, 100.0, 500))
    assert (factor > 0).all()
    assert (np.diff(factor[5:]) < 0).all()


def test_an_element_that_is_not_there_is_an_error():
    with pytest.raises(KeyError):
        factor_nm(118, np.zeros(1))
