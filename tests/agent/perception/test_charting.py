"""Maps of looks and radicals: shares of blocks, and diffusion and decay against their closed forms."""

import numpy as np
import pytest

from agent.perception.charting import LEVEL_S_PER_E_PER_A2, MARGIN_BLOCKS, RADICAL_LENGTH_NM, Chart
from hardware_bridge.report import Card, Percept

CARD = Card(
    world="growth",
    version=1,
    extent_nm=2048.0,
    cells=8,
    times_s=(300.0, 600.0),
    duration_s=600.0,
    budget_electrons=4e8,
    max_fluence_e_per_A2=20.0,
    targets=(),
)


def look(x=0.0, y=0.0, width=512.0, height=512.0):
    return Percept(
        command_id="c", mode="HAADF", start_s=0.0, end_s=1.0, x_nm=x, y_nm=y, width_nm=width, height_nm=height
    )


def test_shares_add_up_to_the_field() -> None:
    chart = Chart(CARD)
    covered = chart.covered(look(37.0, -81.0, 300.0, 200.0))
    assert covered.sum() * chart.block_nm**2 == pytest.approx(300.0 * 200.0)
    assert covered.max() <= 1.0
    row, column = np.unravel_index(covered.argmax(), covered.shape)
    assert chart.at(covered, 37.0, -81.0) == covered[row, column]


def test_cells_come_in_the_order_of_the_card() -> None:
    chart = Chart(CARD)
    table = np.zeros((chart.size, chart.size))
    table[MARGIN_BLOCKS : MARGIN_BLOCKS + 4, MARGIN_BLOCKS + 4 : MARGIN_BLOCKS + 8] = 1.0
    by_cell = chart.by_cell(table)
    assert by_cell.shape == (64, 16)
    # First row (lowest y), second column.
    assert np.flatnonzero(by_cell.any(axis=1)).tolist() == [1]


def test_radicals_act_in_proportion_to_the_fluence() -> None:
    chart = Chart(CARD)
    chart.advance(300.0)
    chart.expose(look(), 5e7)
    chart.advance(400.0)
    fluence = 5e7 / 5120.0**2
    # All that was made has acted in the end, some of it outside.
    total = chart.radical_s.sum() * chart.block_nm**2 / 512.0**2
    assert total == pytest.approx(LEVEL_S_PER_E_PER_A2 * fluence, rel=0.01)
    assert 0.6 < chart.at(chart.radical_s, 0.0, 0.0) / (LEVEL_S_PER_E_PER_A2 * fluence) < 1.0


def test_the_halo_falls_off_over_the_diffusion_length() -> None:
    """In one dimension, beside a wide stripe: the steady solution of D c'' = c / tau falls as exp(-x / L)."""
    chart = Chart(CARD)
    chart.expose(look(-700.0, 0.0, 700.0, 3000.0), 1e8)
    chart.advance(1e4)
    near, far = (chart.at(chart.radical_s, x, 0.0) for x in (-350.0 + 96.0, -350.0 + 96.0 + 192.0))
    assert near / far == pytest.approx(np.exp(192.0 / RADICAL_LENGTH_NM), rel=0.25)


def test_radicals_need_time() -> None:
    chart = Chart(CARD)
    chart.advance(300.0)
    chart.expose(look(0.0, 0.0, 2000.0, 2000.0), 1e8)
    acted = []
    for time_s in (300.0, 304.0, 400.0):
        chart.advance(time_s)
        acted.append(chart.at(chart.radical_s, 0.0, 0.0))
    assert acted[0] == 0.0
    assert acted[1] / acted[2] == pytest.approx(1.0 - np.exp(-1.0), abs=0.02)


def test_no_field_no_exposure() -> None:
    chart = Chart(CARD)
    chart.expose(look(width=0.0), 1e8)
    chart.advance(100.0)
    assert not chart.radical_s.any()
