"""Knock-on damage against published values, exact kinematics and the exact theory of scattering by a point charge."""

import math

import numpy as np
import pytest
import scipy.optimize
from scipy.constants import physical_constants

from digital_twin.knock_on import (
    cross_section_barn,
    largest_transfer_eV,
    sideways_cross_section_barn,
    thermal_cross_section_barn,
    threshold_keV,
    velocity2_m2_per_s2,
)

ELECTRON_eV, DALTON_eV = 510998.95, 931494102.42
LIGHT_m_per_s = 299792458.0
SULFUR = (16, 32.06)


def thrown_back_eV(beam_keV: float, mass_u: float, velocity_m_per_s: float) -> float:
    """Energy of an atom after an electron has bounced off it: conservation laws alone, solved by bisection."""
    m, mass, total_eV = ELECTRON_eV, mass_u * DALTON_eV, 1e3 * beam_keV
    momentum_eV = math.sqrt(total_eV * (total_eV + 2 * m)) + mass * velocity_m_per_s / LIGHT_m_per_s
    moving_eV = mass * (velocity_m_per_s / LIGHT_m_per_s) ** 2 / 2

    def excess(electron_eV: float) -> float:
        recoil = momentum_eV + math.sqrt(electron_eV * (electron_eV + 2 * m))
        return electron_eV + recoil**2 / (2 * mass) - total_eV - moving_eV

    left = scipy.optimize.brentq(excess, 0.0, total_eV, xtol=1e-9)
    return total_eV + moving_eV - left


@pytest.mark.parametrize("velocity", [-900.0, 0.0, 400.0, 1200.0])
def test_a_head_on_collision_conserves_energy_and_momentum(velocity):
    ours = float(largest_transfer_eV(80.0, 32.06, velocity))
    assert ours == pytest.approx(thrown_back_eV(80.0, 32.06, velocity), rel=1e-6)


def test_an_atom_at_rest_takes_what_the_closed_form_says():
    closed = 2 * 80e3 * (80e3 + 2 * ELECTRON_eV) / (12.0 * DALTON_eV)
    assert float(largest_transfer_eV(80.0, 12.0)) == pytest.approx(closed, rel=2e-4)
    assert float(cross_section_barn(6, threshold_keV(21.0, 12.0), largest_transfer_eV(109.0, 12.0), 21.0)) >= 0.0
    assert float(largest_transfer_eV(threshold_keV(21.0, 12.0), 12.0)) == pytest.approx(21.0, rel=2e-4)


def test_carbon_at_200_kev_is_as_on_the_website_of_egertons_book():
    # R. F. Egerton, program SIGDIS for Z = 6, A = 12, 10 eV, 200 keV: 43.7334 eV, 54.101 barn, 52.006 keV.
    transfer = largest_transfer_eV(200.0, 12.0)
    assert float(transfer) == pytest.approx(43.7334, rel=5e-4)
    assert float(cross_section_barn(6, 200.0, transfer, 10.0)) == pytest.approx(54.101, rel=1e-3)
    assert threshold_keV(10.0, 12.0) == pytest.approx(52.006, rel=1e-3)


def test_no_electron_below_the_threshold_displaces_an_atom_at_rest():
    section = cross_section_barn(16, 80.0, largest_transfer_eV(80.0, 32.06), 6.9)
    assert float(section) == 0.0
    assert threshold_keV(6.9, 32.06) == pytest.approx(92.4, abs=0.1)


def test_vibration_displaces_below_the_threshold_and_ever_more_of_them_when_hot():
    cold, warm, hot = (
        thermal_cross_section_barn(*SULFUR, 80.0, 6.9, velocity2_m2_per_s2(32.06, 600.0, kelvin))
        for kelvin in (100.0, 300.0, 600.0)
    )
    assert 0.0 < cold < warm < hot


@pytest.mark.parametrize("beam_keV", [70.0, 80.0, 95.0, 120.0])
def test_vibration_is_averaged_over_as_by_brute_force(beam_keV):
    velocity2 = velocity2_m2_per_s2(32.06, 600.0, 400.0)
    velocity = np.linspace(-8, 8, 200_001) * math.sqrt(velocity2)
    weight = np.exp(-(velocity**2) / (2 * velocity2))
    sections = cross_section_barn(16, beam_keV, largest_transfer_eV(beam_keV, 32.06, velocity), 6.9)
    brute = float((weight * sections).sum() / weight.sum())
    assert thermal_cross_section_barn(*SULFUR, beam_keV, 6.9, velocity2) == pytest.approx(brute, rel=1e-4)


def test_an_atom_that_does_not_move_needs_no_average():
    still = thermal_cross_section_barn(*SULFUR, 120.0, 6.9, 0.0)
    slow = thermal_cross_section_barn(*SULFUR, 120.0, 6.9, 1.0)
    assert still == pytest.approx(slow, rel=1e-4)


def test_isotopes_of_graphene_differ_as_measured():
    # Susi et al. 2016 tell 12C from 13C by how often they are displaced just below the threshold.
    light = thermal_cross_section_barn(6, 12.0, 95.0, 21.14, 3.17e5)
    heavy = thermal_cross_section_barn(6, 13.003, 95.0, 21.14, 3.17e5 * 12.0 / 13.003)
    assert light > 10 * heavy


def test_debye_velocities_have_both_limits():
    boltzmann, dalton = physical_constants["Boltzmann constant"][0], physical_constants["atomic mass constant"][0]
    hot = velocity2_m2_per_s2(32.06, 600.0, 1e5)
    assert hot == pytest.approx(boltzmann * 1e5 / (32.06 * dalton), rel=1e-4)
    cold = velocity2_m2_per_s2(32.06, 600.0, 0.0)
    assert cold == pytest.approx(3 / 8 * boltzmann * 600.0 / (32.06 * dalton))


def test_sideways_needs_four_times_the_barrier():
    assert float(sideways_cross_section_barn(16, 80.0, 5.9, 1.6)) == 0.0
    low, high = (1 - math.sqrt(1 - 2 / 5.9)) * 2.95, (1 + math.sqrt(1 - 2 / 5.9)) * 2.95
    whole = cross_section_barn(16, 80.0, 5.9, low) - cross_section_barn(16, 80.0, 5.9, high)
    assert sideways_cross_section_barn(16, 80.0, 5.9, 0.5) == pytest.approx(float(whole))


def test_what_is_not_physical_is_refused():
    with pytest.raises(ValueError, match="displacement_eV = 0 must be above 0"):
        cross_section_barn(16, 80.0, 5.0, 0.0)
    with pytest.raises(ValueError, match="temperature_K = -1 not below 0"):
        velocity2_m2_per_s2(32.06, 600.0, -1.0)
