"""Characteristic lines against the program that the cross-sections come from, and against chemistry."""

import json

import numpy as np
import pytest

from digital_twin import xray_lines
from digital_twin.xray_lines import absorption_per_nm, element, ionisation_nm2, lines

TABLES = json.loads(xray_lines.TABLES.read_text())
NUMBERS = [int(z) for z in TABLES["elements"]]


@pytest.mark.parametrize(
    ("atomic_number", "subshell", "energy_keV", "cm2"),
    # Computed by xion.f: tests of NIST's BoteSalvatICX.jl.
    [(23, "L1", 15.3993, 2.63509e-20), (23, "L1", 2.90068e5, 5.64142e-21), (78, "M5", 2.98538, 2.02808e-20)],
)
def test_ionisation_agrees_with_the_authors_program(atomic_number, subshell, energy_keV, cm2):
    assert ionisation_nm2(atomic_number, subshell, energy_keV) == pytest.approx(1e14 * cm2, rel=2e-3)


def test_no_shell_is_ionised_below_its_edge():
    assert ionisation_nm2(29, "K", 8.9) == 0.0
    assert ionisation_nm2(29, "K", 9.0) > 0.0


@pytest.mark.parametrize("atomic_number", NUMBERS)
def test_the_two_fits_of_each_subshell_meet(atomic_number):
    # A digit that is wrong in either would show here: they meet at 16 times the edge within what rounding leaves.
    for name, shell in element(atomic_number)["subshells"].items():
        slow, fast = (
            ionisation_nm2(atomic_number, name, xray_lines.SLOW * shell["edge_eV"] * f / 1e3)
            for f in (1 - 1e-9, 1 + 1e-9)
        )
        assert slow == pytest.approx(fast, rel=0.05), name


@pytest.mark.parametrize("atomic_number", NUMBERS)
def test_lines_lie_below_their_edges_and_share_all_of_their_shell(atomic_number):
    for shell in element(atomic_number)["subshells"].values():
        shares = [share for _, _, share in shell["lines"]]
        assert not shares or sum(shares) == pytest.approx(1.0, abs=1e-3)
        assert all(energy <= 1.03 * shell["edge_eV"] for _, energy, _ in shell["lines"])
        assert 0 <= shell["yield"] < 1
        assert all(0 <= probability <= 1 for probability in shell["from"].values())


def test_line_energies_follow_moseley():
    # sqrt(E) of K alpha grows in proportion to Z - 1.
    slopes = []
    for z in NUMBERS:
        first = [line.energy_eV for line in lines(z, 200.0) if line.name.startswith("Ka")]
        if first and z >= 11:
            slopes.append(np.sqrt(first[-1]) / (z - 1))
    assert np.ptp(slopes) / np.mean(slopes) < 0.05
    assert np.mean(slopes) ** 2 == pytest.approx(0.75 * 13.6057, rel=0.05)


def test_coster_kronig_transitions_feed_l3():
    alone = ionisation_nm2(79, "L3", 200.0) * element(79)["subshells"]["L3"]["yield"]
    fed = sum(line.emission_nm2 for line in lines(79, 200.0) if line.name in ("Ll", "La1", "La2", "Lb2,15", "Lb6"))
    assert 1.1 * alone < fed < 1.6 * alone


def test_absorption_steps_up_at_an_edge():
    below, above = absorption_per_nm(((8, 1.0),), 1.0, np.array([540.0, 546.0]))
    assert above > 10 * below


def test_absorption_adds_up_by_mass():
    energy = np.array([700.0, 3000.0])
    hydrogen, oxygen = (absorption_per_nm(((z, 1.0),), 1.0, energy) for z in (1, 8))
    water = absorption_per_nm(((8, 1), (1, 2)), 1.0, energy)
    assert water == pytest.approx((2 * 1.008 * hydrogen + 15.999 * oxygen) / 18.015, rel=1e-3)


def test_an_element_without_tables_is_named():
    with pytest.raises(KeyError, match="atomic number 43"):
        lines(43, 200.0)
