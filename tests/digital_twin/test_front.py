"""The growing electrode against closed forms; what it consists of; pairing of beam on and off."""

import math

import numpy as np
import pytest
import torch

from digital_twin import front
from digital_twin.front import COLUMN_NM, COLUMNS, ELECTRODE_NM, Front, draw, places, velocity_nm_per_s

FIELD = (-256.0, 256.0, -1000.0, -700.0)


@pytest.fixture
def even(monkeypatch):
    """Make fronts on electrodes that are alike everywhere and at all times, without noise unless asked for."""
    monkeypatch.setattr(front, "SUPPLY_SD", 0.0)

    def make(*seeds, active=1.0, grain_nm2=0.0):
        monkeypatch.setattr(front, "GRAIN_NM2", grain_nm2)
        made = Front(seeds)
        made._exchange[:] = made._exchange.new_tensor([[draw(seed).exchange_nm_per_s] for seed in seeds])
        made.activity[:] = active
        made.height_nm += 100.0
        made.set_point_V = front.REFERENCE_V
        made.bias_V[:] = front.REFERENCE_V
        return made

    return make


def test_butler_volmer_at_small_and_at_large_overpotential():
    exchange = torch.tensor(1e-6, dtype=torch.float64)
    f = 96485.0 / (8.314 * 298.0)
    small = velocity_nm_per_s(exchange, torch.tensor(-1e-5, dtype=torch.float64))
    assert float(small) == pytest.approx(1e-6 * 2 * f * 1e-5, rel=1e-3)
    large = velocity_nm_per_s(exchange, torch.tensor([-0.10, -0.15], dtype=torch.float64))
    assert float(large[1] / large[0]) == pytest.approx(math.exp(0.4 * f * 0.05), rel=1e-3)
    assert float(velocity_nm_per_s(exchange, torch.tensor(0.05, dtype=torch.float64))) < 0


def test_diffusion_limits_the_current():
    rush = velocity_nm_per_s(torch.tensor(1.5), torch.tensor(-1.0))
    assert float(rush) == pytest.approx(front.LIMIT_NM_PER_S, rel=1e-4)


def test_a_flat_front_moves_at_its_velocity(even):
    moved = even(3, 4)
    moved.advance_to(100.0)
    for world, seed in enumerate((3, 4)):
        drive = math.exp(0.4 * front.F_PER_RT * 0.07) - math.exp(-1.6 * front.F_PER_RT * 0.07)
        kinetic = draw(seed).exchange_nm_per_s * drive
        expected = 100.0 / (1 / kinetic + 1 / front.LIMIT_NM_PER_S)
        assert moved.height_nm[world].numpy() == pytest.approx(ELECTRODE_NM + 100.0 + expected)


def test_bias_lags():
    lagging = Front([0])
    lagging.set_point_V = -0.05
    lagging.advance_to(front.LAG_S)
    assert float(lagging.bias_V[0, 0]) == pytest.approx(-0.05 * (1 - math.exp(-1)))


def test_activity_spreads_at_the_speed_of_fisher_and_kpp(even):
    spreading = even(1, active=0.0)
    spreading.activity[:, :2] = 1.0
    reached = []
    for clock_s in (150.0, 250.0):
        spreading.advance_to(clock_s)
        right = spreading.activity[0, : COLUMNS // 2].numpy()
        reached.append(COLUMN_NM * np.interp(-0.5, -right, np.arange(len(right))))
    drive = float(velocity_nm_per_s(spreading._exchange[0, 0], spreading.bias_V[0, 0])) / spreading._reference
    # Bramson's delay of 3/2 widths per e-fold of time.
    expected = draw(1).spreading_nm_per_s * drive * 100.0 - 1.5 * front.SPREAD_NM * math.log(250.0 / 150.0)
    assert reached[1] - reached[0] == pytest.approx(expected, rel=0.03)


def test_a_ripple_smooths_out(even):
    rippled = even(2, active=0.0)
    k = 2 * math.pi * 5 / (COLUMNS * COLUMN_NM)
    ripple = torch.cos(k * rippled.x_nm)
    rippled.height_nm += 50.0 * ripple
    rippled.advance_to(100.0)
    left = 2 * float((rippled.height_nm[0] * ripple).mean())
    assert left == pytest.approx(50.0 * math.exp(-front.SMOOTHING_NM2_PER_S * k**2 * 100.0), rel=0.01)


def test_a_front_roughens_as_edwards_and_wilkinson_say(even):
    rough = even(*range(60), grain_nm2=64.0)
    rough._exchange[:] = front.EXCHANGE_NM_PER_S
    speed = float(velocity_nm_per_s(rough._exchange[0, 0], rough.bias_V[0, 0]))
    widths = []
    for clock_s in (40.0, 320.0):
        rough.advance_to(clock_s)
        widths.append(float(rough.height_nm.var(dim=1).mean()))
        expected = 64.0 * speed / 2 * math.sqrt(2 * clock_s / (math.pi * front.SMOOTHING_NM2_PER_S))
        assert widths[-1] == pytest.approx(expected, rel=0.15)
    # The width grows with the power 1/4 of time.
    assert math.log(widths[1] / widths[0]) / (2 * math.log(8.0)) == pytest.approx(0.25, abs=0.03)


def test_zinc_grows_with_current_and_stays_where_it_was_laid(even):
    layered = even(5)
    layered.advance_to(150.0)
    first, top = layered.zinc.clone(), int((float(layered.height_nm[0, 0]) - front.ORIGIN_NM) / COLUMN_NM)
    bottom = int((ELECTRODE_NM + 100.0 - front.ORIGIN_NM) / COLUMN_NM) + 1
    speed = float(velocity_nm_per_s(layered._exchange[0, 0], layered.bias_V[0, 0]))
    expected = draw(5).zinc + draw(5).zinc_slope * math.log(speed / front.ZINC_NM_PER_S)
    assert layered.zinc[0, bottom:top].numpy() == pytest.approx(expected)
    layered.set_point_V = -0.2
    layered.advance_to(250.0)
    assert torch.equal(layered.zinc[:, :top], first[:, :top])
    assert (layered.zinc[0, top + 5] > expected + 0.03).all()


def test_positive_bias_dissolves_down_to_the_electrode():
    grown = Front([6])
    grown.set_point_V = front.REFERENCE_V
    grown.advance_to(200.0)
    highest = float(grown.height_nm.max())
    grown.set_point_V = 0.05
    grown.advance_to(300.0)
    assert float(grown.height_nm.max()) < highest - 20.0
    grown.advance_to(900.0)
    assert float(grown.height_nm.min()) == ELECTRODE_NM


def test_the_strongest_bias_keeps_everything_finite():
    for bias_V in (-1.0, 1.0):
        driven = Front([7, 8])
        driven.set_point_V = bias_V
        driven.advance_to(400.0)
        assert torch.isfinite(driven.height_nm).all()
        assert ((driven.activity >= 0) & (driven.activity <= 1)).all()
        assert ((driven.zinc >= 0) & (driven.zinc <= front.MOST_ZINC)).all()
        assert float(driven.height_nm.max()) <= front.HIGHEST_NM


def lit_and_dark(seed: int, electrons_per_s: float) -> tuple[Front, Front]:
    lit, dark = Front([seed]), Front([seed])
    for each in (lit, dark):
        each.set_point_V = front.REFERENCE_V
    while lit.clock_s < 100.0:
        lit.expose(0, FIELD, electrons_per_s)
        lit.advance_to(lit.clock_s + front.TICK_S)
    dark.advance_to(100.0)
    return lit, dark


def test_the_beam_deposits_copper_where_it_falls_and_leaves_what_is_far():
    lit, dark = lit_and_dark(9, 1e7)
    ahead = (lit.height_nm - dark.height_nm)[0]
    near, far = lit.x_nm.abs() < 200.0, lit.x_nm.abs() > 1200.0
    assert float(ahead[near].min()) > 20.0
    assert float(ahead[far].abs().max()) < 0.1
    assert torch.equal(lit.activity, dark.activity)
    row = int((ELECTRODE_NM + 30.0 - front.ORIGIN_NM) / COLUMN_NM)
    assert float(lit.zinc[0, row, near].mean()) < 0.7 * float(dark.zinc[0, row, near].mean())


def test_what_the_beam_did_stays():
    lit, dark = lit_and_dark(10, 1e7)
    gained = float((lit.height_nm - dark.height_nm).sum())
    for each in (lit, dark):
        each.set_point_V = 0.0
        each.bias_V[:] = 0.0
        each.advance_to(300.0)
    assert float((lit.height_nm - dark.height_nm).sum()) > 0.9 * gained


def test_a_dark_front_repeats_itself_however_it_is_stepped():
    once, often = Front([4]), Front([4])
    for each in (once, often):
        each.set_point_V = front.REFERENCE_V
    once.advance_to(150.0)
    for clock_s in np.arange(0.0, 150.01, 0.7):
        often.advance_to(float(clock_s))
    often.advance_to(150.0)
    assert torch.equal(once.height_nm, often.height_nm)
    assert torch.equal(once.zinc, often.zinc)


def test_electrodes_differ_along_themselves_and_from_seed_to_seed():
    relative = np.array([places(seed)[0] for seed in range(50)])
    assert np.log(relative).std() == pytest.approx(front.ACTIVITY_SD, rel=0.1)
    assert relative.mean() == pytest.approx(1.0, abs=0.05)
    lag = round(front.ACTIVITY_LENGTH_NM / COLUMN_NM)
    logs = np.log(relative) - np.log(relative).mean()
    correlation = (logs * np.roll(logs, lag, axis=1)).mean() / logs.var()
    assert correlation == pytest.approx(math.exp(-0.5), abs=0.1)
    assert draw(1) != draw(2)


def test_an_episode_is_worth_watching():
    grown = Front(list(range(200, 212)))
    grown.set_point_V = front.REFERENCE_V
    grown.advance_to(600.0)
    heights = grown.height_nm - ELECTRODE_NM
    assert 600.0 < float(heights.mean()) < 1500.0
    assert 100.0 < float(heights.std(dim=1).mean()) < 600.0
