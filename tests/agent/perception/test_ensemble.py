from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from agent.perception.ensemble import Kept, Prior
from hardware_bridge.report import Card, Estimate, Target

CELLS, TIMES_S, SEEDS = 4, (100.0, 200.0), 4000


def card(**rows: bool) -> Card:
    size = len(TIMES_S) * CELLS**2
    mean = tuple(np.repeat([2.0, 4.0], CELLS**2).tolist())
    field = Target(
        name="height", kind="field", unit="nm", weight=0.5, prior_mean=mean, prior_sd=(2.0,) * size, crps_scale=1.0
    )
    speed = Target(
        name="speed", kind="global", unit="nm/s", weight=0.5, prior_mean=(0.02,), prior_sd=(0.01,), crps_scale=1.0
    )
    return Card(
        world="made",
        version=1,
        extent_nm=400.0,
        cells=CELLS,
        times_s=TIMES_S,
        duration_s=200.0,
        budget_electrons=1e6,
        max_fluence_e_per_A2=10.0,
        targets=(field, speed),
    )


def ensemble(seed: int = 0) -> dict[str, np.ndarray]:
    """Heights that grow with the speed of their world, and a part of their own that falls off over two cells."""
    random = np.random.default_rng(seed)
    speed = 0.02 + 0.01 * random.standard_normal(SEEDS)
    row, column = np.divmod(np.arange(CELLS**2), CELLS)
    apart = np.hypot(row[:, None] - row, column[:, None] - column)
    own = random.standard_normal((SEEDS, CELLS**2)) @ np.linalg.cholesky(np.exp(-apart / 2)).T
    times = np.array((0.0, *TIMES_S))
    return {"height": times[:, None] * speed[:, None, None] + math.sqrt(3) * own[:, None, :], "speed": speed}


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.of(card(), ensemble(), {"height": Kept(cell=0.6, world=0.2)})


def test_its_moments_are_those_of_the_card(prior: Prior) -> None:
    block = CELLS**2
    np.testing.assert_allclose(prior.mean[block : 3 * block], card().targets[0].prior_mean)
    np.testing.assert_allclose(prior.sd[block : 3 * block], 2.0)
    assert (prior.mean[3 * block], prior.sd[3 * block]) == (0.02, 0.01)
    assert prior.sd[:block] == pytest.approx(math.sqrt(3), rel=0.03)


def test_its_correlations_are_those_that_the_worlds_were_made_with(prior: Prior) -> None:
    # At the last time a height has variance 3 of its own and 4 from the speed: standardised by the card, 7/4.
    last, beside, far = (prior.place(0, 2, cell) for cell in (0, 1, 15))
    corner = math.sqrt(18)
    for place, apart in ((beside, 1.0), (far, corner)):
        assert prior.correlation[last, place] == pytest.approx((4 + 3 * math.exp(-apart / 2)) / 7, abs=0.03)
    speed = prior.place(0, 3, 0)
    assert prior.correlation[last, speed] == pytest.approx(2 / math.sqrt(7), abs=0.03)
    assert prior.correlation[prior.place(0, 0, 3), speed] == pytest.approx(0.0, abs=0.03)


def test_errors_hang_together_as_they_were_said_to(prior: Prior) -> None:
    errors = prior.correlation[prior.size :, prior.size :]
    assert np.diag(errors) == pytest.approx(0.6)
    assert errors[0, 1] == pytest.approx(0.2)
    assert not prior.correlation[: prior.size, prior.size :].any()


def test_no_combination_of_values_has_a_negative_variance() -> None:
    few = {name: values[:12] for name, values in ensemble().items()}
    made = Prior.of(card(), few, {})
    assert np.linalg.eigvalsh(made.correlation[: made.size, : made.size].astype(np.float64)).min() > 0


def test_what_few_worlds_cannot_tell_of_globals_is_left_out() -> None:
    values = ensemble()
    lost = dict(values, speed=np.random.default_rng(5).permutation(values["speed"]))
    few = Prior.of(card(), {name: each[:50] for name, each in lost.items()}, {})
    assert np.abs(few.correlation[few.place(0, 3, 0), : few.place(0, 3, 0)]).max() < 0.2


def test_rows_that_are_not_alike_stay_apart() -> None:
    values = ensemble()
    lower = np.arange(CELLS**2) // CELLS > 1
    mean = np.array(card().targets[0].prior_mean).reshape(2, -1) + lower
    noise = 2.0 * np.random.default_rng(1).standard_normal(values["height"].shape)
    values["height"] = np.where(lower, values["height"] + 1.0, np.concatenate([mean[:1], mean]) + noise)
    target = replace(card().targets[0], prior_mean=tuple(mean.ravel().tolist()))
    made = Prior.of(replace(card(), targets=(target, card().targets[1])), values, {})
    assert made.correlation[made.place(0, 2, 0), made.place(0, 2, 1)] == pytest.approx(0.0, abs=0.05)
    assert made.correlation[made.place(0, 2, 14), made.place(0, 2, 15)] > 0.6


@pytest.mark.parametrize(("time_s", "first", "weights"), [(50.0, 0, (0.5, 0.5)), (175.0, 1, (0.25, 0.75))])
def test_between_two_times_a_reading_is_of_both(prior: Prior, time_s: float, first: int, weights: tuple[float]) -> None:
    row = prior.row(0, 5, time_s, Estimate(value=3.0, sd=0.5))
    assert row.places.tolist() == [prior.place(0, first, 5), prior.place(0, first + 1, 5), prior.size + 5]
    unit = max(0.5, prior.sd[row.places[:2]].max())
    np.testing.assert_allclose(row.weights[:2], np.array(weights) * prior.sd[row.places[:2]] / unit)
    assert row.value == pytest.approx((3.0 - np.dot(weights, prior.mean[row.places[:2]])) / unit)
    # Heights are straight in time: what is new in the error is what is not kept.
    assert row.weights[2] == pytest.approx(0.5 / unit)
    assert row.var == pytest.approx(0.4 * 0.25 / unit**2)


def test_where_all_is_known_a_reading_has_finite_numbers() -> None:
    values = ensemble()
    values["height"][:, 0] = 0.0
    target = replace(card().targets[0], prior_sd=(0.0,) * 16 + (2.0,) * 16)
    known = Prior.of(replace(card(), targets=(target, card().targets[1])), values, {})
    row = known.row(0, 0, 50.0, Estimate(value=3.0, sd=0.5))
    assert np.abs([*row.weights, row.var, row.value]).max() < 10.0


def test_a_field_that_bends_is_read_less_well_half_way() -> None:
    values = ensemble()
    values["height"] = values["height"] ** 2
    bent = Prior.of(card(), values, {})
    at = {time_s: bent.row(0, 0, time_s, Estimate(value=1.0, sd=0.1)).var for time_s in (100.0, 150.0)}
    assert at[150.0] > 2 * at[100.0]


def test_a_global_that_is_read_has_errors_that_its_readings_share() -> None:
    made = Prior.of(card(), ensemble(), {"height": Kept(cell=0.6, world=0.2), "speed": Kept(cell=0.5, world=0.1)})
    speed = made.place(0, 3, 0)
    assert (made.compared, made.size) == (("speed",), speed + 1)
    row = made.row_of_global("speed", 5, Estimate(value=0.03, sd=0.02))
    assert row.places.tolist() == [speed, speed, made.size + CELLS**2 + 5]
    # In units of the larger sd, which is the reading's: the prior's is 0.01, its mean 0.02.
    np.testing.assert_allclose(row.weights, (0.5, 0.0, 1.0))
    assert (row.var, row.value) == (pytest.approx(0.5), pytest.approx(0.5))
    errors = made.correlation[made.size + CELLS**2 :, made.size + CELLS**2 :]
    assert np.diag(errors) == pytest.approx(0.5)
    assert errors[0, 1] == pytest.approx(0.1)
    assert not made.correlation[made.size : made.size + CELLS**2, made.size + CELLS**2 :].any()
