"""Practice: costs and candidates are greedy's, what looks tell is the outlook's, and the score is the score's."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from msgspec.structs import replace as replace_word

from agent.lessons import lessons, outlook_of, prior_of, truth_of
from agent.training import course
from agent.training.practice import Bank, Game, Practice
from agent.training.shipped import greedy_of, shipped
from envs.score import score
from hardware_bridge.messages import Capabilities, Go
from hardware_bridge.report import Estimate, Percept, Report, TargetReport, prior_report
from policies.book import blank_state
from policies.chooser import spec
from policies.greedy import Greedy
from policies.interface import Proposal, Setup, Situation

WORLD, WORLDS, SEEDS = "valence", 3, range(30_000, 30_003)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return course.bank(WORLD, SEEDS, None, lambda line: None)


@pytest.fixture
def practice(bank: Bank) -> Practice:
    torch.manual_seed(0)
    return course.practice(WORLD, bank, WORLDS, seed=4)


def sharp(practice: Practice, latent: int = 388) -> Practice:
    """The same practice with a belief that leaves nothing out, at the whole budget."""
    prior, game = prior_of(WORLD), practice.game
    made = Practice(replace(game, small=course.Small.of(prior, latent)), WORLDS, 4)
    made.restart(share=1.0)
    return made


HALF_WAY_S = 300.0


def greedily(practice: Practice) -> torch.Tensor:
    order = spec.worth(practice.offers, practice.standing, practice.electron_weight)
    return torch.where(practice.offers.there, order, torch.full_like(order, -torch.inf)).argmax(dim=1)


def offered(practice: Practice, able: Capabilities) -> list[Proposal]:
    """What greedy itself would offer half-way through a run in which nothing was looked at."""
    config, card = shipped(WORLD), prior_of(WORLD).card
    setup = Setup(
        capabilities=able,
        limits=config.limits,
        card=card,
        start_s=0.0,
        end_s=card.duration_s,
        max_electrons=float(practice.most[0]),
    )
    greedy = Greedy(greedy_of(config), outlook := outlook_of(WORLD))
    greedy.begin(setup, 0)
    still = replace_word(blank_state(setup), clock_s=HALF_WAY_S, go=Go(stage_x_nm=0.0, stage_y_nm=0.0))
    now = Situation(turn=0, state=still, electrons_left=setup.max_electrons, time_left_s=card.duration_s - HALF_WAY_S)
    return [each for way in outlook.ways for each in greedy._of(way, now)]


def test_candidates_cost_and_tell_what_greedy_thinks(practice: Practice) -> None:
    exact = sharp(practice)
    exact.time_s += HALF_WAY_S
    exact.look_around()
    theirs = offered(exact, lessons(WORLD).capabilities)
    ours = exact.offers
    assert ours.there[0].all()
    for column, wanted, close in (
        (ours.electrons, [p.electrons for p in theirs], 1e-3),
        (ours.time_s, [p.time_s for p in theirs], 1e-3),
        (ours.information, [p.information for p in theirs], 0.02),
    ):
        assert np.allclose(np.sort(column[0].numpy()), np.sort(wanted), rtol=close)


def readings(practice: Practice, run: int) -> Iterator[Percept]:
    """What a run was told by the step before, as a percept."""
    told, cells = practice.told, prior_of(WORLD).card.cells
    name = prior_of(WORLD).fields[0].name
    for n in range(told.cell.shape[1]):
        if torch.isfinite(told.sd[run, n]):
            cell, at_s = int(told.cell[run, n]), float(told.at_s[run])
            estimate = Estimate(value=float(told.value[run, n]), sd=float(told.sd[run, n]))
            yield Percept(
                command_id="x",
                mode="EELS",
                start_s=at_s,
                end_s=at_s,
                estimates={f"{name}:{cell // cells}:{cell % cells}": estimate},
            )


def test_what_looks_tell_goes_on_being_what_the_outlook_says(practice: Practice) -> None:
    exact, outlook = sharp(practice), outlook_of(WORLD)
    for _ in range(25):
        exact.step(greedily(exact))
        for percept in readings(exact, 0):
            outlook.add(percept)
    offers, way, place = exact.offers, *exact.choices
    theirs = [
        outlook.information(
            outlook.ways[int(way[0, n])],
            place[0, n : n + 1].numpy(),
            offers.electrons[0, n : n + 1].double().numpy(),
            float(exact.time_s[0] + offers.time_s[0, n]),
        )[0]
        for n in range(offers.there.shape[1])
    ]
    assert np.corrcoef(theirs, offers.information[0])[0, 1] > 0.98
    assert float(exact.standing.loss_left[0]) == pytest.approx(outlook.loss_left, rel=2e-3)
    assert float(exact.standing.surprise[0]) == pytest.approx(outlook.surprise, rel=2e-2, abs=2e-3)


def test_who_has_seen_nothing_scores_what_the_prior_does(practice: Practice, bank: Bank) -> None:
    card = prior_of(WORLD).card
    for run in range(WORLDS):
        truth = truth_of(card, SEEDS[int(practice.world[run])])
        assert float(practice.score[run]) == pytest.approx(score(prior_report(card), truth, card)[0], abs=2e-3)


def test_the_score_is_the_scores_after_looks_too(practice: Practice) -> None:
    exact, card = sharp(practice), prior_of(WORLD).card
    for _ in range(30):
        exact.step(greedily(exact))
    values, prior = exact.values, prior_of(WORLD)
    mean = prior.mean[64:320].reshape(4, 64) + prior.sd[64:320].reshape(4, 64) * values.mean[0, :, 1:5].T.numpy()
    sd = prior.sd[64:320].reshape(4, 64) * values.var[0, :, 1:5].T.sqrt().numpy()
    claims = {
        prior.fields[0].name: TargetReport(
            mean=tuple(np.clip(mean, prior.low[0], prior.high[0]).ravel().tolist()), sd=tuple(sd.ravel().tolist())
        )
    }
    for n, target in enumerate(prior.globals):
        at = 320 + n
        claims[target.name] = TargetReport(
            mean=(float(prior.mean[at] + prior.sd[at] * values.mean_globals[0, n]),),
            sd=(float(prior.sd[at] * values.var_globals[0, n].sqrt()),),
        )
    truth = truth_of(card, SEEDS[int(exact.world[0])])
    found = score(Report(world=WORLD, targets=claims), truth, card)[0]
    assert float(exact.score[0]) == pytest.approx(found, abs=2e-3)


def test_runs_end_within_time_and_electrons(practice: Practice) -> None:
    total, turns, start = torch.zeros(WORLDS), 0, practice.score.clone()
    while not practice.over.all():
        total += practice.step(greedily(practice))
        turns += 1
        assert turns < 1000
    assert (practice.time_s <= practice.rules.duration_s).all()
    assert (practice.electrons >= -1.0).all()
    assert torch.allclose(practice.score - start, total, atol=1e-4)
    still, looks = practice.score.clone(), practice.looks.clone()
    assert not practice.step(torch.zeros(WORLDS, dtype=torch.long)).abs().gt(1e-6).any()
    assert torch.allclose(still, practice.score, atol=1e-6)
    assert (looks == practice.looks).all()


def test_the_same_seed_gives_the_same_runs(bank: Bank) -> None:
    first, again, other = (course.practice(WORLD, bank, WORLDS, seed) for seed in (7, 7, 8))
    for practice in (first, again, other):
        for _ in range(10):
            practice.step(greedily(practice))
    assert torch.equal(first.score, again.score)
    assert not torch.equal(first.score, other.score)


def test_readings_of_a_clear_sight_lead_to_the_truth(practice: Practice) -> None:
    errs = practice.game.errs
    clear = replace(
        errs,
        said=torch.zeros_like(errs.said) - torch.tensor([5.0, 0, 0, 0, 0, 0]),
        bias=torch.zeros_like(errs.bias),
        missed=torch.zeros_like(errs.missed) - torch.tensor([9.0, 0, 0, 0, 0, 0]),
    )
    game: Game = replace(practice.game, errs=clear, small=course.Small.of(prior_of(WORLD), 388))
    seeing = Practice(game, WORLDS, 4)
    for n in range(100):
        seeing.step(torch.full((WORLDS,), n % 18))
    known = seeing.count > 0
    field = seeing.values.mean[:, :, :5][known] - seeing.bank.values[seeing.world][known]
    before = seeing.bank.values[seeing.world][known]
    assert (field**2).mean() < 0.6 * (before**2).mean()


def test_runs_that_are_alike_are_in_one_world(bank: Bank) -> None:
    made = course.practice(WORLD, bank, 6, seed=3)
    practice = Practice(made.game, 6, 3, alike=3)
    for told in (practice.world, practice.most, practice.score):
        assert (told.reshape(2, 3) == told.reshape(2, 3)[:, :1]).all()
    practice.step(greedily(practice))
    assert len(practice.score.unique()) > 2
