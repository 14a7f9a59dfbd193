from __future__ import annotations

import itertools

import numpy as np
import pytest

from agent import twins
from digital_twin.world import truths
from digital_twin.worlds import world_type
from envs.examples import Example, examples
from envs.prior import load_card

SEEDS = (10_000, 10_001)


@pytest.fixture(scope="module")
def looks() -> list[Example]:
    card = load_card("interface")
    return list(examples(card, lambda seeds: twins.guarded("interface", card, seeds), SEEDS))


def test_looks_come_from_all_worlds_times_and_modes(looks: list[Example]) -> None:
    assert {each.seed for each in looks} == set(SEEDS)
    acquired = [each.observation.command.acquire for each in looks]
    assert {each.mode for each in acquired if each is not None} == {"HAADF", "EELS", "CBED"}
    for seed in SEEDS:
        times = [each.observation.start_s for each in looks if each.seed == seed]
        assert times == sorted(times)
        assert times[0] < 120.0
        assert times[-1] > 480.0


def test_each_mode_has_looks_at_wide_fields(looks: list[Example]) -> None:
    extents: dict[str, set[float]] = {}
    for each in looks:
        acquire = each.observation.command.acquire
        assert acquire is not None
        extents.setdefault(acquire.mode, set()).add(round(load_card("interface").extent_nm / acquire.fov_nm, 6))
    assert extents == {"HAADF": {8.0, 4.0}, "EELS": {32.0, 8.0}, "CBED": {64.0, 8.0}}


def test_some_places_are_seen_again(looks: list[Example]) -> None:
    places = [(each.observation.state.go.stage_x_nm, each.observation.state.go.stage_y_nm) for each in looks]
    assert len(set(places)) < 0.8 * len(places)


def test_the_truth_is_that_of_a_world_that_saw_no_beam(looks: list[Example]) -> None:
    each = next(e for e in looks if e.seed == SEEDS[1] and e.observation.start_s > 300.0)
    middle_s = (each.observation.start_s + each.observation.end_s) / 2
    alone = truths(world_type("interface"), [SEEDS[1]], [middle_s])
    for name, values in each.truth.items():
        np.testing.assert_allclose(values, alone[name][0], atol=0.02)


def test_who_stares_stays_at_small_places_in_one_mode() -> None:
    card = load_card("interface")
    looks = list(examples(card, lambda seeds: twins.guarded("interface", card, seeds), SEEDS[:1], "HAADF"))
    acquired = [each.observation.command.acquire for each in looks]
    assert {(a.mode, card.extent_nm / a.fov_nm) for a in acquired if a is not None} == {("HAADF", 8.0)}
    places = [(each.observation.command.go.stage_x_nm, each.observation.command.go.stage_y_nm) for each in looks]
    stayed = [one == other for one, other in itertools.pairwise(places)]
    assert 0.3 < np.mean(stayed) < 1.0
    # Who has left a place does not come back.
    assert len(set(places)) == 1 + stayed.count(False)
    assert looks[0].truth["front_velocity"].shape == (1,)
