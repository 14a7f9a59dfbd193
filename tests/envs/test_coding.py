from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from digital_twin.column import capabilities
from digital_twin.detectors import Column
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from envs.coding import PIXELS, SPECTRUM, Coding, centred, image_of, pattern_of, spectrum_of, widened
from envs.prior import load_card
from hardware_bridge.cost import predict
from hardware_bridge.messages import Optics
from hardware_bridge.observation import Observation

CODING = Coding.of(load_card("growth"), capabilities(Column()))


@pytest.fixture(scope="module")
def twin() -> Twin:
    return Twin(LiquidCell(3), 3)


def observed(twin: Twin, data: np.ndarray, mode: int = 0, current_pA: float = 10.0) -> Observation:
    command = CODING.command("c", np.zeros(4), mode)
    state = replace(twin.state(), optics=Optics(beam_current_pA=current_pA))
    return Observation(command=command, start_s=0.0, end_s=1.0, state=state, kind="frame", data=data)


def test_a_command_goes_where_the_numbers_say() -> None:
    command = CODING.command("c", np.array([0.5, -1.0, 0.25, 1.0]), 0)
    assert (command.go.stage_x_nm, command.go.stage_y_nm) == (512.0, -1024.0)
    assert command.set.optics.C10_nm == pytest.approx(0.25 * CODING.C10_span_nm)
    assert command.set.optics.beam_current_pA == pytest.approx(100.0, rel=0.01)
    assert command.acquire is not None
    assert command.acquire.mode == "HAADF"
    assert command.acquire.pixels_x == PIXELS


@pytest.mark.parametrize(("mode", "cells", "pixels"), [(0, 2.0, 64), (1, 1.0, 4), (2, 1.0, 2)])
def test_a_wide_look_has_as_many_electrons_on_two_cells_or_one(
    twin: Twin, mode: int, cells: float, pixels: int
) -> None:
    narrow = CODING.command("c", np.array([0.5, -0.5, 0.25, 0.5]), mode)
    wide = widened(narrow)
    assert wide.acquire is not None
    assert wide.acquire.fov_nm == pytest.approx(cells * 2048.0 / 8)
    assert (wide.acquire.pixels_x, wide.acquire.pixels_y) == (pixels, pixels)
    assert (wide.go, wide.set) == (narrow.go, narrow.set)
    costs = [predict(each, twin.state(), twin.describe()).electrons for each in (narrow, wide)]
    assert costs[1] == pytest.approx(costs[0], rel=0.01)
    blank = replace(narrow, acquire=None)
    assert widened(blank) == blank


def test_looks_at_the_middle_current_spend_a_budget_of_4e8_in_about_its_time(twin: Twin) -> None:
    cost = predict(CODING.command("c", np.zeros(4), 0), twin.state(), twin.describe())
    assert 100 < 4e8 / cost.electrons < 400


def test_the_brightest_image_is_one_and_the_scale_is_a_square_root(twin: Twin) -> None:
    # 10 pA for 5 us are 312.1 electrons, half of which one detector can receive.
    most = 0.5 * 10e-12 * 5e-6 / 1.602176634e-19
    data = np.full((PIXELS, PIXELS), round(most / 4), dtype=np.uint16)
    image = image_of(observed(twin, data), capabilities(Column()))
    assert (image.shape, image.dtype) == ((PIXELS, PIXELS, 1), np.float32)
    assert image.mean() == pytest.approx(0.5, abs=0.01)


def test_a_pattern_is_the_mean_over_its_field_on_the_scale_of_images(twin: Twin) -> None:
    able = capabilities(Column())
    most = able.detector_fraction["CBED"] * 10e-12 * 2e-2 / 1.602176634e-19
    data = np.full((2, 2, 128, 128), round(most / 4), dtype=np.uint16)
    data[:, :, :2, :2] = 0
    pattern = pattern_of(observed(twin, data, mode=2), able)
    assert (pattern.shape, pattern.dtype) == ((64, 64, 1), np.float32)
    assert pattern[0, 0, 0] == 0.0
    assert pattern[1, 1, 0] == pytest.approx(0.5, abs=0.01)


def test_a_spectrum_keeps_its_counts_and_their_order(twin: Twin) -> None:
    energy = np.zeros(500, dtype=np.uint32)
    energy[[10, 400]] = 1000, 3000
    seen = spectrum_of(observed(twin, np.broadcast_to(energy, (2, 2, 500)), mode=1))
    counts = np.expm1(seen.astype(np.float64) * math.log(1e9))
    assert seen.shape == (SPECTRUM,)
    assert counts[10 * SPECTRUM // 500] == pytest.approx(4000, rel=1e-3)
    assert counts[400 * SPECTRUM // 500] == pytest.approx(12000, rel=1e-3)
    assert np.count_nonzero(counts) == 2


def test_numbers_are_centred() -> None:
    assert [centred(v, 10.0) for v in (-10.0, 0.0, 10.0)] == [0.0, 0.5, 1.0]
