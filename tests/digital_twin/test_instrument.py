"""The twin as an instrument: its clock, its electrons, its signs, and how it is interrupted."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin.apparatus import Apparatus
from digital_twin.camera import Camera
from digital_twin.conditions import Conditions
from digital_twin.detectors import haadf_fraction
from digital_twin.growth import draw
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import NITRIDE_NM, WATER_NM, LiquidCell
from digital_twin.materials import NITRIDE, WATER
from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import End, Go, Optics, Start
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Chunk, Observation


def twin(seed: int = 1, clock_s: float = 0.0, **settings: object) -> Twin:
    made = Twin(LiquidCell(seed), seed, **settings)  # type: ignore[arg-type]
    if clock_s:
        made.specimen.advance_to(clock_s)
        made._clock_s = clock_s
    return made


def run(instrument: Twin, command) -> Observation:
    return execute(instrument, command, 5.0)


def in_focus(instrument: Twin, x_nm: float = 0.0, y_nm: float = 0.0) -> float:
    x, y = torch.tensor([[[x_nm]], [[y_nm]]], dtype=torch.float64)
    return -instrument.specimen.height_nm(x, y).item() - instrument._drift.C10_nm(instrument._clock_s)


def test_it_is_a_microscope():
    assert isinstance(twin(), Microscope)


def test_same_seed_and_commands_give_the_same_bits(command):
    program = [
        command(go=Go(stage_x_nm=100.0), optics=Optics(beam_current_pA=20.0)),
        command(mode="EELS", pixels=4, fov_nm=20.0, dwell_s=1e-4),
        command(go=Go(stage_x_nm=-50.0, stage_y_nm=30.0), frames=2),
    ]
    one, other = twin(3), twin(3)
    for each in program:
        first, second = run(one, each), run(other, each)
        assert first.data is not None
        assert np.array_equal(first.data, second.data)
        assert first.state == second.state
    assert not np.array_equal(first.data, run(twin(4), program[2]).data)


def test_time_passes_as_the_bridge_predicts(command):
    instrument = twin()
    for each in (command(go=Go(stage_x_nm=300.0, stage_y_nm=-400.0), frames=3), command(), command(mode=None)):
        before = instrument.state()
        cost = predict(each, before, instrument.describe())
        seen = run(instrument, each)
        assert seen.end_s - before.clock_s == pytest.approx(cost.time_s)
        assert seen.electrons == pytest.approx(cost.electrons)


def test_electrons_on_the_dose_map_are_those_reported(command):
    instrument = twin()
    total = 0.0
    for x_nm in (0.0, 300.0, -1500.0):
        total += run(instrument, command(go=Go(stage_x_nm=x_nm), frames=2)).electrons
    assert instrument.dose.electrons.sum() + instrument.dose.outside == pytest.approx(total)


def test_counts_are_poisson_at_the_true_number_of_electrons(command):
    # There is only water, even in thickness, and nitride, so every pixel expects the same.
    instrument = Twin(LiquidCell(1, draws=[replace(draw(1), thickening=0.0)]), 1)
    instrument.specimen.debris_radius_nm[:] = 1e-3
    seen = run(instrument, command(optics=Optics(beam_current_pA=50.0), pixels=256, dwell_s=4e-6))
    assert seen.data is not None
    counts = seen.data.astype(float)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.02)
    flat = torch.tensor([WATER_NM, NITRIDE_NM], dtype=torch.float64).view(1, 2, 1, 1)
    expected = 50.0 * 4e-6 * ELECTRONS_PER_PA_S * haadf_fraction(flat, (WATER, NITRIDE), instrument.column).item()
    assert counts.mean() == pytest.approx(expected, rel=0.01)


def test_a_spectrum_holds_the_electrons_that_passed(command):
    seen = run(twin(), command(mode="EELS", pixels=4, fov_nm=16.0, dwell_s=1e-3))
    assert seen.data is not None
    assert seen.data.shape == (4, 4, 1200)
    assert [axis.unit for axis in seen.axes] == ["nm", "nm", "eV"]
    incident = 50.0 * 1e-3 * ELECTRONS_PER_PA_S * 16
    assert 0.7 * incident < seen.data.sum() < incident
    assert seen.axes[2].offset + seen.axes[2].scale * int(seen.data.sum(axis=(0, 1)).argmax()) == 0.0


def test_patterns_and_broad_beam_images_pass_its_camera(command):
    blind = Apparatus(camera=Camera(full_well_electrons=7.0))
    for mode, pixels, dwell_s in (("HRTEM", 64, 0.5), ("CBED", 1, 1e-2), ("4DSTEM", 2, 1e-2)):
        each = command(mode=mode, pixels=pixels, fov_nm=16.0, dwell_s=dwell_s)
        seen, full = run(twin(2), each), run(twin(2, apparatus=blind), each)
        assert seen.data is not None
        assert full.data is not None
        assert seen.data.max() > full.data.max() == 7
        assert seen.electrons == full.electrons


def sharpness(data: np.ndarray) -> float:
    rough = data.astype(float)
    return float(np.var(rough[:, 1:] - rough[:, :-1]) / rough.mean())


def test_the_zero_loss_of_each_row_lies_where_it_has_wandered(command):
    restless = twin(4, apparatus=Apparatus(conditions=Conditions(zero_loss_wander_eV=3.0, zero_loss_s=0.1)))
    seen = run(restless, command(mode="EELS", pixels=6, fov_nm=12.0, dwell_s=5e-3))
    assert seen.data is not None
    axis = np.arange(1200) - 20.0
    wander = restless._drift.zero_loss_eV(seen.row_start_s)
    assert np.ptp(wander) > 1.0
    for counts, at in zip(seen.data.sum(axis=1), wander, strict=True):
        near = np.abs(axis - at) < 3.0
        assert counts[near] @ axis[near] / counts[near].sum() == pytest.approx(at, abs=0.2)


def test_focus_is_where_C10_makes_up_for_height_and_drift(command):
    seen = {}
    for away_nm in (-400.0, 0.0, 400.0):
        instrument = twin(5, clock_s=400.0)
        optics = Optics(C10_nm=in_focus(instrument) + away_nm, beam_current_pA=200.0)
        seen[away_nm] = sharpness(run(instrument, command(optics=optics, fov_nm=256.0, pixels=128, dwell_s=2e-5)).data)
    assert seen[0.0] > 1.1 * max(seen[-400.0], seen[400.0])


def test_raising_the_stage_is_like_raising_C10(command):
    images = []
    for z_nm, C10_nm in ((100.0, -300.0), (0.0, -200.0)):
        instrument = twin(5, clock_s=300.0)
        # The move in z takes time, so the other one waits as long.
        wait = 0.0 if z_nm else 100.0 / instrument.describe().stage_speed_nm_per_s + instrument.describe().settle_s
        instrument._clock_s += wait
        each = command(go=Go(stage_z_nm=z_nm), optics=Optics(C10_nm=C10_nm))
        images.append(run(instrument, each).data)
    assert np.array_equal(images[0], images[1])


def test_beam_shift_and_stage_look_at_the_same_place(command):
    shifted, moved = twin(6, clock_s=500.0), twin(6, clock_s=500.0)
    bright = Optics(beam_current_pA=400.0, C10_nm=in_focus(shifted))
    a = run(shifted, command(go=Go(beam_shift_x_nm=40.0), optics=bright, fov_nm=256.0, pixels=128, dwell_s=1e-5)).data
    moved._stage.commanded_nm = np.array([40.0, 0.0])
    moved._go = Go(
        **{name: getattr(moved._go, name) for name in Go.__struct_fields__ if name != "stage_x_nm"}, stage_x_nm=40.0
    )
    b = run(moved, command(optics=bright, fov_nm=256.0, pixels=128, dwell_s=1e-5)).data
    assert np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1] > 0.98


def test_a_drifting_specimen_is_seen_to_move(command, make_balls):
    instrument = Twin(make_balls([(0.0, 0.0)], 15.0), 8)
    axis = np.arange(64) * 2.0 - 63.0
    middles, drifts = [], []
    for clock_s in (0.0, 500.0):
        instrument._clock_s = clock_s
        each = command(optics=Optics(C10_nm=0.0, C21_nm=0.0, beam_current_pA=400.0), fov_nm=128.0, dwell_s=1e-5)
        seen = run(instrument, each)
        bright = seen.data - np.median(seen.data).astype(float)
        bright[bright < 0.2 * bright.max()] = 0.0
        middles.append(np.array([bright.sum(0) @ axis, bright.sum(1) @ axis]) / bright.sum())
        drifts.append(instrument._drift.specimen_nm(np.array([seen.end_s]))[0])
    assert np.abs(drifts[1] - drifts[0]).max() > 5.0
    assert middles[1] - middles[0] == pytest.approx(drifts[1] - drifts[0], abs=0.5)


def test_blanking_ends_a_scan_between_two_chunks(command):
    instrument = twin()
    instrument.submit(command(pixels=256, frames=4))
    parts = []
    for part in instrument.watch(1.0):
        parts.append(part)
        if sum(isinstance(p, Chunk) for p in parts) == 3:
            threading.Thread(target=instrument.blank).start()
            while not instrument._abort.is_set():
                time.sleep(1e-3)
    end = parts[-1]
    assert isinstance(parts[0], Start)
    assert isinstance(end, End)
    assert end.aborted
    assert end.reason == "blanked"
    assert end.chunks == 3
    rows = sum(p.header.rows for p in parts if isinstance(p, Chunk))
    assert end.beam_on_share == pytest.approx(rows / (4 * 256))
    assert instrument.dose.electrons.sum() == pytest.approx(end.electrons)
    assert run(instrument, command()).aborted is False


def test_the_beam_is_on_only_while_it_scans(command):
    log = []
    instrument = twin(on_beam=log.append)
    assert instrument.state().beam_blanked
    seen = run(instrument, command(pixels=128))
    assert seen.state.beam_blanked
    assert log == [True, False] * (128 // 32)


def test_stop_refuses_what_comes_after(command):
    instrument = twin()
    instrument.stop()
    with pytest.raises(Rejected, match="stop"):
        instrument.submit(command())


def test_one_command_at_a_time(command):
    instrument = twin()
    instrument.submit(command())
    with pytest.raises(Rejected, match="still running"):
        instrument.submit(command())


def test_what_it_cannot_do_is_refused_and_nothing_moves(command):
    instrument = twin()
    for wrong, path in (
        (command(mode="HRTEM", fov_nm=800.0, go=Go(stage_x_nm=50.0)), "acquire.fov_nm = 1131.* the lit disc, 1000"),
        (command(mode="EDS", pixels=512, go=Go(stage_x_nm=50.0)), "acquire.pixels_x = 536870912 .*134217728"),
        (command(optics=Optics(C10_nm=2e4), go=Go(stage_x_nm=50.0)), r"C10_nm = 20000 .*-5000\.\.5000"),
        (command(go=Go(stage_z_nm=-1e6, stage_x_nm=50.0)), "stage_z_nm = -1e"),
    ):
        with pytest.raises(Rejected, match=path):
            instrument.submit(wrong)
    assert instrument.state().go.stage_x_nm == 0.0
    assert not run(instrument, command()).aborted


def test_nothing_to_watch(command):
    instrument = twin()
    with pytest.raises(Rejected, match="submitted first"):
        next(instrument.watch(1.0))
    with pytest.raises(Rejected, match="submitted first"):
        instrument.gather(1.0)


def test_a_reader_that_goes_away_leaves_a_working_instrument(command):
    instrument = twin()
    instrument.submit(command(pixels=256))
    stream = instrument.watch(1.0)
    next(stream)
    next(stream)
    stream.close()
    assert instrument.state().beam_blanked
    assert not run(instrument, command()).aborted


def test_slow_rows_come_in_chunks_of_their_own(command):
    seen = twin()
    seen.submit(command(mode="EELS", pixels=4, fov_nm=16.0, dwell_s=0.05))
    chunks = [part for part in seen.watch(1.0) if isinstance(part, Chunk)]
    assert [chunk.header.rows for chunk in chunks] == [1, 1, 1, 1]


def test_scanning_makes_particles_grow_under_the_beam(command):
    lit, dark = twin(7, clock_s=200.0), twin(7, clock_s=200.0)
    for _ in range(10):
        run(lit, command(fov_nm=256.0, pixels=128, dwell_s=1e-4, optics=Optics(beam_current_pA=100.0)))
    dark.specimen.advance_to(lit.state().clock_s)
    near = dark.specimen.world.position_nm[0].norm(dim=1) < 128.0
    volumes = [float((t.specimen.world.radius_nm[0, near] ** 3).sum()) for t in (lit, dark)]
    assert volumes[0] > 1.1 * volumes[1]


def test_real_time_is_paced_by_the_wall(command):
    instrument = twin(speed=20.0)
    each = command(pixels=64, dwell_s=1e-4)
    expected = predict(each, instrument.state(), instrument.describe()).time_s / 20
    begun = time.monotonic()
    seen = run(instrument, each)
    assert time.monotonic() - begun == pytest.approx(expected, abs=0.25)
    assert seen.data is not None
    assert instrument.describe().time == "real"
    time.sleep(0.05)
    assert instrument.state().clock_s > seen.end_s
