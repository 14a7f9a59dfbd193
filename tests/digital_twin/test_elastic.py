"""Cross-sections into annular detectors against abTEM and against what is known of their dependence on Z."""

import numpy as np
import pytest

from digital_twin.elastic import annular_nm2, beyond_first_order_nm, projected_V_nm
from digital_twin.lobato import FACTORS, factor_nm
from digital_twin.materials import POTENTIAL_V_nm2
from digital_twin.optics import wavelength_nm


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


@pytest.mark.parametrize("all_orders", [False, True])
def test_annuli_add_up(all_orders):
    inner, outer, whole = (annular_nm2(29, 200.0, *pair, all_orders) for pair in ((40, 90), (90, 180), (40, 180)))
    assert inner + outer == pytest.approx(whole, rel=1e-9)


def test_all_orders_are_those_of_a_plane_wave_through_an_atom(golden_haadf):
    for energy_keV, table in zip(golden_haadf["energy_keV"], golden_haadf["all_orders_nm2"], strict=True):
        for row, z in zip(table, golden_haadf["lone"], strict=True):
            ours = [annular_nm2(int(z), float(energy_keV), *pair, True) for pair in golden_haadf["annulus_mrad"]]
            assert ours == pytest.approx(row, rel=0.01)


def test_light_atoms_scatter_in_first_order_and_heavy_ones_less():
    shares = [annular_nm2(z, 80.0, 60.0, 200.0, True) / annular_nm2(z, 80.0, 60.0, 200.0) for z in (1, 8, 16, 42, 74)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(1.0, abs=0.002)
    assert shares[-1] < 0.65


@pytest.mark.parametrize("z", [1, 8, 24, 47, 83])
def test_an_atom_scatters_what_it_takes_from_the_beam(z):
    # Nothing else of an amplitude is known without another code: 2 lambda Im f(0), nothing of which is first order.
    forward = beyond_first_order_nm(z, 200.0, np.zeros(1))[0]
    assert annular_nm2(z, 200.0, 0.0, 1000.0, True) == pytest.approx(2 * wavelength_nm(200.0) * forward.imag, rel=3e-3)


@pytest.mark.parametrize("z", [1, 8, 24, 83])
def test_a_projected_potential_holds_what_the_scattering_factor_says(z):
    radius = np.linspace(0.0, 3.0, 300_001)[1:]
    held = np.sum(2 * np.pi * radius * projected_V_nm(z, radius)) * 1e-5
    assert held == pytest.approx(POTENTIAL_V_nm2 * float(factor_nm(z, np.zeros(()))), rel=1e-4)


def test_an_element_without_a_factor_is_an_error():
    with pytest.raises(KeyError):
        annular_nm2(118, 200.0, 40.0, 180.0)
