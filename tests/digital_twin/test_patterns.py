"""What patterns cost less by leaving something out, and how far off they are then, beside the whole computation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from digital_twin.beam_sensitive import BeamSensitive
from digital_twin.detectors import Column
from digital_twin.optics import Aberrations
from digital_twin.patterns import Camera, binned, patterns
from digital_twin.shortcuts import NONE, Shortcuts
from digital_twin.specimen import Grid
from digital_twin.world import LEARNING, LEARNING_CRYSTALS, LEARNING_SMOOTH

COLUMN, SIZE = Column(), 128


def taken(balls, x_nm: float, C10_nm: float, shortcuts: Shortcuts) -> torch.Tensor:
    grid = Grid(np.array([[x_nm, 30.0]]), np.array([32.0, 0.0]), np.array([0.0, 32.0]), 1)
    seen = Aberrations(C10_nm=C10_nm, C12_nm=4.0, C30_um=1200.0)
    return patterns(balls, [grid], [seen], Camera(COLUMN, SIZE, shortcuts))[0, 0, 0].double()


def away(balls, x_nm: float, C10_nm: float, shortcuts: Shortcuts) -> float:
    """Share of the electrons that shortcuts put elsewhere."""
    whole, quick = (taken(balls, x_nm, C10_nm, each) for each in (NONE, shortcuts))
    return float((quick - whole).abs().sum() / whole.sum()) / 2


@pytest.mark.parametrize("C10_nm", [0.0, -90.0, 250.0])
@pytest.mark.parametrize(("beside_nm", "most"), [(0.0, 1e-3), (10.0, 5e-3), (19.0, 0.01), (20.0, 0.03)])
def test_few_electrons_go_elsewhere_near_focus(make_balls, C10_nm, beside_nm, most):
    # The worst is a probe on the very rim of a particle, whose projection has no slope that is finite there.
    balls = make_balls([(30.0, 30.0)], 20.0)
    assert away(balls, 30.0 + beside_nm, C10_nm, LEARNING_SMOOTH) < most


@pytest.mark.parametrize("C10_nm", [0.0, -90.0, 250.0])
def test_where_all_is_even_nothing_is_left_out(make_balls, C10_nm):
    balls = make_balls([(30.0, 30.0)], 20.0)
    whole, quick = (taken(balls, 90.0, C10_nm, each) for each in (NONE, LEARNING_SMOOTH))
    assert torch.allclose(quick, whole, rtol=0.0, atol=1e-5 * float(whole.max()))


def test_crystals_are_seen_though_little_around_the_probe_is_followed():
    worlds = BeamSensitive(1)
    grid = Grid(np.array([[200.0, 100.0]]), np.array([16.0, 0.0]), np.array([0.0, 16.0]), 1)
    more, less, least = (
        patterns(worlds, [grid], [Aberrations(C30_um=1200.0)], Camera(worlds.facts.column, SIZE, each)).double()
        for each in (LEARNING, LEARNING_CRYSTALS, replace(LEARNING, largest_patch=1))
    )
    assert more.sum() == pytest.approx(float(less.sum()), rel=1e-3)
    # Half as wide a patch puts less than a tenth of the electrons elsewhere, half of that again no longer does.
    away, farther = (float((each - more).abs().sum() / more.sum()) / 2 for each in (less, least))
    assert away < 0.1 < farther


def test_what_is_drawn_in_bands_is_what_is_drawn_at_once(monkeypatch):
    worlds = BeamSensitive(1)
    grid = Grid(np.array([[200.0, 100.0]]), np.array([16.0, 0.0]), np.array([0.0, 16.0]), 1)
    camera = Camera(worlds.facts.column, SIZE, Shortcuts(largest_patch=2))
    seen = []
    for rows in (1000, 100):
        monkeypatch.setattr("digital_twin.patterns.BAND", rows)
        seen.append(patterns(worlds, [grid], [Aberrations()], camera))
    whole, parts = seen
    assert torch.allclose(parts, whole, rtol=0.0, atol=1e-6 * float(whole.max()))


def test_matter_is_interpolated_where_it_lies(make_balls):
    # A tilted phase deflects: squares that were drawn half a square off would move the rim and what it deflects.
    balls = make_balls([(30.0, 30.0)], 20.0)
    fine, coarse = (taken(balls, 49.9, 0.0, Shortcuts(matter_px=cell)) for cell in (1, 8))
    off = taken(balls, 49.9 + 3.5 * Camera(COLUMN, SIZE, NONE).pixel_nm, 0.0, NONE)
    assert (coarse - fine).abs().sum() < 0.5 * (off - fine).abs().sum()


def test_each_scan_has_a_patch_of_its_own_width():
    camera = Camera(COLUMN, SIZE, NONE)
    near, far = (camera.patch(Aberrations(C10_nm=nm)) for nm in (0.0, 1500.0))
    assert SIZE == near < far == 8 * SIZE
    assert Camera(COLUMN, SIZE, Shortcuts(largest_patch=4)).patch(Aberrations(C10_nm=1500.0)) == 4 * SIZE


def test_a_smaller_camera_keeps_the_sum_and_the_middle():
    fine = torch.zeros(1, 16, 16)
    fine[0, 8, 8] = 1.0
    coarse = binned(fine, 4)
    assert coarse[0, 2, 2] == coarse.sum() == 1.0
