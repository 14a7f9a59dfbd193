"""Cross-sections into annular detectors against abTEM and against what is known of their dependence on Z."""

import numpy as np
import pytest

from digital_twin.elastic import annular_nm2
from digital_twin.lobato import FACTORS


def test_cross_sections_agree_with_abtem(golden_haadf):
    for row, z in zip(golden_haadf["cross_section_nm2"], golden_haadf["atomic_number"], strict=True):
        ours = [annular_nm2(int(z), 200.0, low, high) for low, high in golden_haadf["annulus_mrad"]]
        assert ours == pytest.approx(row, rel=1e-4)


def test_high_angles_approach_rutherford():
    # Unscreened nuclei scatter as Z^2; screening lowers the exponent, the less the higher the angle.
    numbers = np.array(sorted(FACTORS)[1:], dtype=float)

    def exponent(low, high):
        sigma = [annular_nm2(int(z), 200.0, low, high) for z in numbers]
        return np.polyfit(np.log(numbers), np.log(sigma), 1)[0]

    assert 1.7 < exponent(40.0, 100.0) < exponent(80.0, 200.0) < 2.0


def test_annuli_add_up():
    whole = annular_nm2(29, 200.0, 40.0, 180.0)
    assert annular_nm2(29, 200.0, 40.0, 90.0) + annular_nm2(29, 200.0, 90.0, 180.0) == pytest.approx(whole, rel=1e-9)


def test_an_element_without_a_factor_is_an_error():
    with pytest.raises(KeyError):
        annular_nm2(118, 200.0, 40.0, 180.0)
