"""Tilt: the height it adds over a field, and what of a tilted field is in focus."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin.apparatus import Apparatus
from digital_twin.conditions import STILL
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.optics import Aberrations
from digital_twin.signals import Look, Signals
from digital_twin.tilted import Tilted, slopes_of
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Go, Optics
from hardware_bridge.microscope import execute

STEADY = Apparatus(conditions=STILL, hidden=Misalignment(backlash_nm=(0.0, 0.0)))
ROUND = Optics(C10_nm=0.0, C12_nm=0.0, C21_nm=0.0, C23_nm=0.0, C30_um=0.0, beam_current_pA=500.0)


def test_alpha_turns_about_x_and_beta_about_y():
    assert slopes_of(30.0, 0.0) == pytest.approx((0.0, math.tan(math.pi / 6)))
    assert slopes_of(0.0, -45.0) == pytest.approx((-1.0, 0.0))


def test_a_tilt_adds_height_about_its_axis_and_leaves_the_rest(make_balls, square_grid):
    balls = make_balls([(10.0, 20.0)], 5.0, slope=0.1)
    tilted = Tilted(balls, torch.tensor([[50.0, -10.0, 0.2, 0.5]], dtype=torch.float64))
    x, y = torch.tensor([[[50.0, 60.0]], [[-10.0, 10.0]]], dtype=torch.float64)
    assert tilted.height_nm(x, y)[0].tolist() == pytest.approx([5.0, 6.0 + 2.0 + 10.0])
    grid = square_grid(16, 2.0)
    assert torch.equal(tilted.project([grid]), balls.project([grid]))
    assert torch.equal(tilted.potential_V_nm([grid]), balls.potential_V_nm([grid]))
    assert (tilted.extent_nm, tilted.device, tilted.materials) == (balls.extent_nm, balls.device, balls.materials)


def peaks(instrument: Twin, command, go: Go, C10_nm: float) -> list[float]:
    """How far balls at y of -150, 0 and 150 nm stand out."""
    optics = Optics(**{**{n: getattr(ROUND, n) for n in ROUND.__struct_fields__}, "C10_nm": C10_nm})
    seen = execute(instrument, command(go=go, optics=optics, fov_nm=360.0, pixels=360, dwell_s=2e-5), 5.0)
    assert seen.data is not None
    rows = seen.data - np.median(seen.data)
    return [float(rows[180 + y - 10 : 180 + y + 10, 170:190].max()) for y in (-150, 0, 150)]


def test_one_side_of_a_tilted_field_is_in_focus(make_balls, command):
    def looked(go: Go, C10_nm: float) -> list[float]:
        return peaks(
            Twin(make_balls([(0.0, y) for y in (-150.0, 0.0, 150.0)], 1.5), 3, apparatus=STEADY), command, go, C10_nm
        )

    high_nm = 150.0 * math.tan(math.radians(40.0))
    tilted = Go(tilt_alpha_deg=40.0)
    low, middle, high = looked(tilted, 0.0)
    assert middle > 1.2 * max(low, high)
    low, middle, high = looked(tilted, -high_nm)
    assert high > 1.2 * middle > 1.2 * low
    level = looked(Go(tilt_alpha_deg=0.0), 0.0)
    # About y the balls lie on the axis.
    about_y = looked(Go(tilt_beta_deg=40.0), 0.0)
    assert min(level) > 0.85 * max(level)
    assert min(about_y) > 0.85 * max(about_y)


def test_the_beam_shift_goes_uphill_and_the_stage_does_not(make_balls):
    instrument = Twin(make_balls([(0.0, 0.0)], 5.0), 3, apparatus=STEADY)
    for go, expected in ((Go(stage_x_nm=80.0, beam_shift_x_nm=20.0), 20.0), (Go(beam_shift_x_nm=-50.0), -50.0)):
        instrument._go = Go(
            **{
                n: getattr(go, n) if getattr(go, n) is not None else getattr(instrument._go, n)
                for n in ("stage_x_nm", "stage_y_nm", "stage_z_nm", "beam_shift_x_nm", "beam_shift_y_nm")
            },
            tilt_alpha_deg=0.0,
            tilt_beta_deg=45.0,
        )
        slopes = instrument._slopes()
        assert slopes is not None
        at = torch.tensor([[(instrument._go.stage_x_nm or 0.0) + (instrument._go.beam_shift_x_nm or 0.0)]]).double()
        height = Tilted(instrument.specimen, slopes).height_nm(at, torch.zeros_like(at))
        assert height.item() == pytest.approx(expected)


def test_scans_of_a_batch_have_tilts_of_their_own(make_balls, square_grid):
    balls, grid = make_balls([(16.0, 16.0)], 3.0), square_grid(32, 1.0)
    column = STEADY.column
    slopes = torch.tensor([[0.0, 0.0, 0.0, 3.0]], dtype=torch.float64)
    signals, lens = Signals(balls, column), [Aberrations()]
    level = signals.expected("HAADF", Look([grid], lens))
    same = signals.expected("HAADF", Look([grid], lens, slopes=torch.zeros_like(slopes)))
    tilted = signals.expected("HAADF", Look([grid], lens, slopes=slopes))
    assert torch.equal(level, same)
    assert (level - tilted).abs().max() > 0.01 * level.max()
    bright = signals.expected("BF", Look([grid], [replace(lens[0], C10_nm=-48.0)], slopes=slopes))
    assert np.isfinite(bright.numpy()).all()


def test_a_stage_does_not_tilt_farther_than_it_can(make_balls, command):
    instrument = Twin(make_balls([(0.0, 0.0)], 5.0), 3)
    with pytest.raises(Rejected, match=r"go\.tilt_beta_deg = -41 .*-40\.\.40"):
        instrument.submit(command(go=Go(tilt_beta_deg=-41.0)))
