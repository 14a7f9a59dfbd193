"""Hidden errors of the twin: each shows in the data as it is meant to, and nowhere in what the instrument says."""

import math

import numpy as np
import pytest

from agent.perception.eels import SpectrumReader
from digital_twin.apparatus import Apparatus
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.standard import Standard
from hardware_bridge.messages import Go, Optics
from hardware_bridge.microscope import execute

TURNED = Misalignment(
    stage_to_specimen=(0.0, -1.1, 1.0, 0.0),
    beam_shift_to_specimen=(2.0, 0.0, 0.0, -1.0),
    scan_rotation_deg=90.0,
    pixel_size=1.5,
    defocus_gain=-2.0,
    zero_loss_eV=3.25,
)


def scan_of(twin, command):
    """Origin and directions of the scan that a command lays over the specimen, drift and creep taken off."""
    execute(twin, command, 5.0)
    twin._drift.rows_nm = lambda start_s, step_s, rows: np.zeros((rows, 2))
    twin._stage.error_nm = lambda time_s: np.zeros((np.size(time_s), 2))
    grid = twin._scan(command.acquire, np.zeros(command.acquire.pixels_y), 0.0).grid
    middle = grid.corners().mean(axis=0)
    return middle, grid.across_nm, grid.down_nm


def test_stage_beam_and_scan_go_where_the_hidden_maps_say(command):
    go = Go(stage_x_nm=100.0, stage_y_nm=20.0, beam_shift_x_nm=5.0, beam_shift_y_nm=7.0)
    middle, across, down = scan_of(
        Twin(Standard(1), 1, apparatus=Apparatus(hidden=TURNED)), command(go=go, fov_nm=128.0, pixels=64)
    )
    assert middle == pytest.approx([-1.1 * 20.0 + 2.0 * 5.0, 100.0 - 7.0])
    assert across == pytest.approx([0.0, 3.0])
    assert down == pytest.approx([-3.0, 0.0])


def test_backlash_is_the_hidden_one(command):
    twin = Twin(Standard(1), 1, apparatus=Apparatus(hidden=Misalignment(backlash_nm=(30.0, 50.0))))
    execute(twin, command(go=Go(stage_x_nm=-10.0, stage_y_nm=10.0), mode=None), 5.0)
    assert twin._stage.error_nm(np.array([1e6])) == pytest.approx(np.array([[30.0, 0.0]]))


def test_a_lens_that_turns_the_other_way(command):
    looked = {}
    for name, C10_nm, hidden in (
        ("set", 400.0, TURNED),
        ("true", -800.0, Misalignment(**{**vars(TURNED), "defocus_gain": 1.0})),
    ):
        twin = Twin(Standard(1), 1, apparatus=Apparatus(hidden=hidden))
        looked[name] = execute(twin, command(optics=Optics(C10_nm=C10_nm), pixels=64), 5.0).data
    assert np.array_equal(looked["set"], looked["true"])


def test_zero_loss_lies_where_it_is_hidden(command):
    twin = Twin(Standard(1), 1, apparatus=Apparatus(hidden=TURNED))
    seen = execute(twin, command(mode="EELS", pixels=4, fov_nm=100.0, dwell_s=1e-3), 5.0)
    energy = seen.axes[2]
    assert energy.offset == -20.0
    axis_eV = energy.offset + energy.scale * np.arange(energy.size)
    found = SpectrumReader(twin.describe(), axis_eV).read(seen.data.sum(axis=(0, 1)).astype(float)).zero_loss_eV
    assert found is not None
    assert found.value == pytest.approx(3.25, abs=4 * found.sd)


def test_nothing_of_it_is_told(command):
    plain, hidden = Twin(Standard(1), 1), Twin(Standard(1), 1, apparatus=Apparatus(hidden=TURNED))
    assert plain.describe() == hidden.describe()
    program = command(go=Go(stage_x_nm=100.0, scan_rotation_deg=3.0), optics=Optics(C10_nm=50.0))
    one, other = execute(plain, program, 5.0), execute(hidden, program, 5.0)
    assert one.state == other.state
    assert one.axes == other.axes
    assert not np.array_equal(one.data, other.data)


def test_draws_are_keyed_by_the_seed_and_of_either_sign():
    drawn = [Misalignment.drawn(seed) for seed in range(40)]
    assert drawn[3] == Misalignment.drawn(3)
    assert {math.copysign(1.0, each.defocus_gain) for each in drawn} == {1.0, -1.0}
    stages = np.array([each.stage_to_specimen for each in drawn])
    assert np.degrees(np.arctan2(stages[:, 2], stages[:, 0])).std() == pytest.approx(4.0, rel=0.4)
    assert all(0.8 < np.linalg.det(stage.reshape(2, 2)) < 1.25 for stage in stages)
