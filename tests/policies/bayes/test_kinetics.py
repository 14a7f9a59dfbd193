"""What is foreseen of rate and coupling equals least squares on simulated particles."""

from collections.abc import Callable
from typing import Any

import numpy as np

from policies.bayes.kinetics import COUPLING, RATE, Kinetics, Looks, weight


def test_sds_are_those_of_least_squares(make_bench: Callable[..., Any]) -> None:
    card = make_bench().setup.card
    kinetics = Kinetics(card)
    rng = np.random.default_rng(0)
    times, exposures = np.array([100.0, 250.0, 400.0]), rng.uniform(0.0, 200.0, (3, 64))
    exposures = np.cumsum(exposures, axis=0)
    weights = rng.uniform(0.001, 0.002, (3, 64))
    cells = np.arange(64)
    for t, x, w in zip(times[:2], exposures[:2], weights[:2], strict=True):
        kinetics.look(cells, Looks(np.asarray(t), x, w))
    ours = kinetics.sds(Looks(np.asarray(times[2]), exposures[2], weights[2]))

    # The linearised design with a start of its own for each cell and the priors as further rows.
    k, kappa = 1.0, 1.0
    rows, roots = [], []
    for t, x, w in zip(times, exposures, weights, strict=True):
        for cell in cells:
            start = np.zeros(64)
            start[cell] = 1.0
            rows.append([t + kappa * x[cell], k * x[cell], *start])
            roots.append(np.sqrt(w[cell]))
    design = np.array(rows) * np.array(roots)[:, None]
    precision = design.T @ design
    precision[0, 0] += 0.3**-2
    precision[1, 1] += 0.3**-2
    expected = np.sqrt(np.diag(np.linalg.inv(precision)))[:2]
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_only_uneven_exposure_tells_the_coupling(make_bench: Callable[..., Any]) -> None:
    card = make_bench().setup.card
    cells, heavy = np.arange(64), np.full(64, 0.01)
    sds = {}
    for name, exposed in (("even", np.full(64, 100.0)), ("uneven", np.where(cells < 8, 200.0, 0.0))):
        kinetics = Kinetics(card)
        kinetics.look(cells, Looks(np.asarray(100.0), np.zeros(64), heavy))
        sds[name] = kinetics.sds(Looks(np.asarray(600.0), exposed, heavy))[1]
    prior = next(t for t in card.targets if t.name == COUPLING).prior_sd[0]
    assert sds["uneven"] < 0.3 * prior < sds["even"]


def test_candidates_gain_what_looking_gives(make_bench: Callable[..., Any]) -> None:
    card = make_bench().setup.card
    cells, heavy = np.arange(64), np.full(64, 0.01)
    last = Looks(np.asarray(600.0), np.zeros(64), heavy)
    kinetics = Kinetics(card)
    kinetics.look(cells, Looks(np.asarray(50.0), np.zeros(64), heavy))
    chosen = np.array([[5, 6], [30, 31]])
    look = Looks(np.asarray(200.0), np.zeros(2), np.full((2, 2), 0.02))
    then = Looks(last.t_s, np.full((2, 2), 40.0), np.full((2, 2), 0.01))
    predicted = kinetics.sds_after(chosen, look, last, then)
    for i in range(2):
        done = Kinetics(card)
        done.look(cells, Looks(np.asarray(50.0), np.zeros(64), heavy))
        done.look(chosen[i], Looks(np.asarray(200.0), np.zeros(2), np.full(2, 0.02)))
        exposure = np.zeros(64)
        exposure[chosen[i]] = 40.0
        np.testing.assert_allclose(predicted[i], done.sds(Looks(last.t_s, exposure, heavy)), rtol=1e-9)
    assert (predicted[:, 1] < kinetics.sds(last)[1]).all()


def test_weight_grows_with_particles_and_never_passes_what_they_share() -> None:
    few, many, endless = (float(weight(np.array(n), np.array(10.0), np.array(0.5))) for n in (1.0, 10.0, 1e9))
    assert few < many < endless < 1.0 / (20.0 * 0.04 * 10.0) ** 2
    assert float(weight(np.array(0.0), np.array(10.0), np.array(0.5))) == 0.0


def test_without_both_targets_nothing_is_asked(make_bench: Callable[..., Any]) -> None:
    from msgspec.structs import replace

    card = make_bench().setup.card
    only_rate = tuple(t for t in card.targets if t.name != COUPLING)
    assert not Kinetics(replace(card, targets=only_rate)).asked
    assert Kinetics(card).asked
    assert RATE in Kinetics(card).targets


def test_a_cell_with_less_than_a_particle_tells_nothing() -> None:
    count, radius, sd = np.array([0.3, 0.99, 1.0, 4.0]), np.full(4, 8.0), np.full(4, 0.5)
    told = weight(count, radius, sd)
    assert (told[:2] == 0.0).all()
    assert 0.0 < told[2] < told[3]
