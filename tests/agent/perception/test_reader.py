from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from agent import assemble, twins
from agent.lessons import prior_of
from agent.perception.again import Change
from agent.perception.reader import WEIGHTS, Conditioned, Glance, Reader, load_eyesight, save_eyesight
from envs.coding import Coding
from envs.examples import examples
from envs.prior import load_card
from hardware_bridge.report import Estimate, Percept, prior_report
from hardware_bridge.words import validated

WORLD = "interface"
SEEDS = range(300, 304)
Looks = list[tuple[int, Percept, dict[str, np.ndarray]]]


@pytest.fixture(scope="module")
def looks() -> Looks:
    """Looks at worlds that nothing was trained on, as the reader sees them, and what was there."""
    card = load_card(WORLD)
    readers: dict[int, Reader] = {}
    found: Looks = []
    for each in examples(card, lambda seeds: twins.guarded(WORLD, card, seeds), SEEDS):
        if each.seed not in readers:
            able = twins.guarded(WORLD, card, [each.seed])[0].describe()
            readers[each.seed] = Reader(able, card, load_eyesight(WORLD))
        found.append((each.seed, readers[each.seed](each.observation), each.truth))
    return found


def test_readings_have_honest_errors(looks: Looks) -> None:
    z: dict[str, list[float]] = {}
    for _, percept, truth in looks:
        for name, each in percept.estimates.items():
            field, row, column = name.split(":")
            z.setdefault(field, []).append((each.value - truth[field][int(row) * 8 + int(column)]) / each.sd)
    assert set(z) == {"covered_fraction", "zinc_fraction"}
    for field, errors in z.items():
        assert len(errors) > 60, field
        # Errors of one world hang together, and are tempered: no tighter bounds hold for four of them.
        assert 0.3 < math.sqrt(np.mean(np.square(errors))) < 1.5, field


def test_percepts_are_words_that_can_be_recorded(looks: Looks) -> None:
    for _, percept, _ in looks:
        assert validated(percept) == percept
        assert percept.quality["usable"] == bool(percept.estimates)


def test_reading_raises_the_score_and_reading_nothing_is_the_prior(looks: Looks) -> None:
    card, prior = load_card(WORLD), prior_of(WORLD)
    before, after = [], []
    for seed in SEEDS:
        reporter = Conditioned(prior)
        empty = reporter.report()
        for name, told in prior_report(card).targets.items():
            np.testing.assert_allclose(empty.targets[name].mean, told.mean, rtol=1e-6)
            np.testing.assert_allclose(empty.targets[name].sd, told.sd, rtol=1e-5)
        for one, percept, _ in looks:
            if one == seed:
                reporter.add(percept)
        scores = [assemble.scored(report, card, seed) for report in (empty, reporter.report())]
        for told, found in zip((before, after), scores, strict=True):
            assert found is not None  # the world has a truth
            told.append(found[1]["covered_fraction"])
    # Of few looks a report makes less than it could: errors are tempered for runs of hundreds.
    assert np.mean(after) > np.mean(before) + 0.05


def test_what_is_read_at_one_time_tells_of_all_times(looks: Looks) -> None:
    card, reporter = load_card(WORLD), Conditioned(prior_of(WORLD))
    percept = next(p for _, p, _ in looks if "covered_fraction:4:3" in p.estimates or p.estimates)
    reporter.add(percept)
    cell = next(int(r) * 8 + int(c) for _, r, c in (name.split(":") for name in percept.estimates))
    sd = np.reshape(reporter.report().targets["covered_fraction"].sd, (len(card.times_s), -1))[:, cell]
    assert (sd <= np.reshape(card.targets[0].prior_sd, (len(card.times_s), -1))[:, cell] * (1 + 1e-5)).all()


def test_a_mode_that_sees_next_to_nothing_says_nothing() -> None:
    sight = load_eyesight(WORLD)
    inputs = np.random.default_rng(0).standard_normal((50, sight.networks["HAADF"].middle.size))
    assert np.isfinite(sight.read("HAADF", inputs)[1]).any(axis=0).all()
    blind = {**sight.card.explained, "HAADF": {"covered_fraction": 0.9, "zinc_fraction": 0.05}}
    sd = replace(sight, card=structs.replace(sight.card, explained=blind)).read("HAADF", inputs)[1]
    assert np.isfinite(sd[:, 0]).any()
    assert np.isinf(sd[:, 1]).all()


def test_a_reader_is_small_and_survives_its_files(tmp_path: Path) -> None:
    sight = load_eyesight(WORLD)
    save_eyesight(sight, tmp_path)
    for path in WEIGHTS.iterdir():
        assert path.stat().st_size < 200_000, path
    assert (tmp_path / f"{WORLD}.json").read_bytes() == (WEIGHTS / f"{WORLD}.json").read_bytes()


def test_a_world_without_a_reader_is_told() -> None:
    with pytest.raises(ValueError, match=r"no reader was trained for world atlantis: python -m"):
        load_eyesight("atlantis")


def test_comparing_looks_tells_of_a_global_and_each_place_tells_anew() -> None:
    world, name = "beam_sensitive", "critical_dose_fine"
    card, prior = load_card(world), prior_of(world)
    target = next(each for each in card.targets if each.name == name)
    (mean,), (sd,) = target.prior_mean, target.prior_sd

    def told(*cells: int) -> tuple[float, float]:
        reporter = Conditioned(prior)
        for cell in cells:
            estimates = {f"{name}:{cell // 8}:{cell % 8}": Estimate(value=mean + sd, sd=sd)}
            reporter.add(replace_estimates(estimates))
        claimed = reporter.report().targets[name]
        return claimed.mean[0], claimed.sd[0]

    one, same, others = told(9), told(9, 9, 9), told(9, 20, 50)
    # A reading as wide as the prior leaves half of its variance.
    assert one == (pytest.approx(mean + sd / 2, rel=0.01), pytest.approx(sd / math.sqrt(2), rel=0.01))
    assert others[1] < same[1] < one[1]
    assert one[0] < same[0] < others[0]


def replace_estimates(estimates: dict[str, Estimate]) -> Percept:
    return Percept(
        command_id="made",
        mode="CBED",
        start_s=10.0,
        end_s=11.0,
        x_nm=0.0,
        y_nm=0.0,
        width_nm=16.0,
        height_nm=16.0,
        quality={},
        estimates=estimates,
    )


def test_looks_are_compared_until_the_field_goes_elsewhere() -> None:
    card = load_card("beam_sensitive")
    stares = examples(card, lambda seeds: twins.guarded("beam_sensitive", card, seeds), [300], "CBED")
    able = twins.guarded("beam_sensitive", card, [300])[0].describe()
    glance = Glance(able, card)
    one = next(stares).observation
    place = one.state.go.stage_x_nm
    other = next(each.observation for each in stares if each.observation.state.go.stage_x_nm != place)
    # What falls on the place at each look is more than the least for which looks are compared.
    looks = (one, one, one, other, one, one)
    counts = [len(glance(each)[0].changes) for each in looks]
    assert counts[:3] == [0, 1, 2]
    assert counts[4:] == [0, 1]
    # Fields are read of what has not lost anything yet, globals of the rest.
    reader = Reader(able, card, load_eyesight("beam_sensitive"))
    fields = {target.name for target in card.targets if target.kind == "field"}
    for count, look in zip(counts, looks, strict=True):
        names = {name.partition(":")[0] for name in reader(look).estimates}
        assert names <= fields if count == 0 else not names & fields


def test_of_many_changes_that_counts_which_tells_most() -> None:
    sight = load_eyesight("beam_sensitive")
    slopes = sight.responses["CBED"]
    weak, strong = (
        Change(dose * slopes.mean, np.full(len(slopes.mean), sd), dose, 0.1, 16.0)
        for dose, sd in ((0.1, 0.5), (0.4, 0.02))
    )
    name = sight.card.compared.index("critical_dose_fine")
    both, alone = sight.compare("CBED", [weak, strong]), sight.compare("CBED", [strong])
    assert both[0][name] == alone[0][name]
    assert both[1][name] == alone[1][name] < sight.compare("CBED", [weak])[1][name]
    assert np.isinf(sight.compare("CBED", [])[1]).all()
    assert np.isinf(sight.compare("HAADF", [strong])[1]).all()


def test_of_a_crystal_defects_are_counted_where_columns_are_seen() -> None:
    world = "defects"
    card, seed = load_card(world), 300
    microscope = twins.guarded(world, card, [seed])[0]
    coding = Coding.of(card, microscope.describe())
    reader = Reader(microscope.describe(), card, load_eyesight(world))
    sharp = coding.command("sharp", np.array([0.0625, 0.0625, 0.0, 0.7]), 0)
    blurred = coding.command("blurred", np.array([0.0625, 0.0625, 0.2, 0.7]), 0)
    seen = []
    for command in (sharp, blurred):
        microscope.submit(command)
        seen.append(reader(microscope.gather(10.0)))
    assert {name.partition(":")[0] for name in seen[0].estimates} == {"vacancies", "dopants", "light_atoms"}
    assert seen[0].quality["lattice_significance"] > 100
    # Out of focus nobody sees columns, and nothing is said of them; the percept says why.
    assert not seen[1].estimates
    assert seen[1].quality["usable"] == 0.0
    assert all(validated(each) == each for each in seen)
