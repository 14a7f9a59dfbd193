"""Time and electrons of a command, by hand."""

import math

import pytest
from bench import CAPABILITIES, scan
from msgspec.structs import replace

from experiments.small_column import STATE
from hardware_bridge.cost import fluence_e_per_A2, frame_s, move_s, predict
from hardware_bridge.messages import Acquire, Command, Go, Optics, Settings

E_PER_PA_S = 6.241509074e6


def test_a_move_takes_its_length_over_the_speed_and_settles() -> None:
    assert move_s(Command(id="a", go=Go(stage_x_nm=300.0, stage_y_nm=400.0)), STATE, CAPABILITIES) == 0.5 + 0.1
    assert move_s(Command(id="a", go=Go(beam_shift_x_nm=100.0)), STATE, CAPABILITIES) == 0.0


def test_a_raster_takes_its_pixels_and_a_flyback_a_row() -> None:
    command = scan("a", rows=10, frames=3, dwell_s=1e-5)
    cost = predict(command, STATE, CAPABILITIES)
    on_s = 3 * 10 * (32 * 1e-5 + 1e-4)
    assert cost.beam_on_s == pytest.approx(on_s)
    assert cost.time_s == pytest.approx(on_s + 3 * 0.01)
    assert cost.electrons == pytest.approx(50.0 * E_PER_PA_S * on_s)


def test_the_commanded_current_counts() -> None:
    brighter = replace(scan("a"), set=Settings(optics=Optics(beam_current_pA=100.0)))
    ratio = predict(brighter, STATE, CAPABILITIES).electrons / predict(scan("a"), STATE, CAPABILITIES).electrons
    assert ratio == pytest.approx(2.0)


@pytest.mark.parametrize("disc_nm", [50.0, 400.0], ids=["within the field", "beyond the field"])
def test_a_broad_beam_exposes_all_at_once_over_the_lit_disc(disc_nm: float) -> None:
    acquire = Acquire(mode="HRTEM", fov_nm=100.0, pixels_x=64, pixels_y=64, dwell_s=0.5)
    broad = replace(CAPABILITIES, probe_diameter_nm=disc_nm)
    assert frame_s(acquire, broad) == 0.5
    electrons = 50.0 * E_PER_PA_S * 0.5
    fluence = fluence_e_per_A2(Command(id="a", acquire=acquire), STATE, broad)
    assert fluence == pytest.approx(electrons / (math.pi * (5.0 * disc_nm) ** 2))


def test_a_column_that_can_do_both_lights_a_disc_only_where_it_does_not_scan() -> None:
    both = replace(CAPABILITIES, lit_diameter_nm=400.0)
    broad = Command(id="a", acquire=Acquire(mode="HRTEM", fov_nm=100.0, pixels_x=64, pixels_y=64, dwell_s=0.5))
    assert fluence_e_per_A2(broad, STATE, both) == pytest.approx(25.0 * E_PER_PA_S / (math.pi * 2000.0**2))
    assert fluence_e_per_A2(scan("a"), STATE, both) == fluence_e_per_A2(scan("a"), STATE, CAPABILITIES)


def test_a_move_alone_costs_no_electrons() -> None:
    cost = predict(Command(id="a", go=Go(stage_x_nm=100.0)), STATE, CAPABILITIES)
    assert (cost.electrons, cost.beam_on_s) == (0.0, 0.0)
    assert fluence_e_per_A2(Command(id="a"), STATE, CAPABILITIES) == 0.0
