"""On made-up changes, of which everything is known, it is learned how couplings show in them and how well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from agent.lessons import lessons
from agent.perception.again import Change
from agent.perception.reader import Eyesight, load_eyesight
from agent.training import again
from agent.training.again import Stared, comparing, stared
from envs.prior import load_card

WORLD, WORLDS, LOOKS, LOSSES = "beam_sensitive", 60, 20, 5
TOLD = 1
"""Which of the world's four globals the losses follow."""


def stares(noise: float = 0.1, told: bool = True) -> Stared:
    """Losses at a dose d are d (2 - log), of the standardised logarithm of one global, and noise."""
    random = np.random.default_rng(0)
    logs = random.standard_normal((WORLDS, 4))
    changes, cell = [], random.integers(0, 64, WORLDS * LOOKS)
    for n in range(WORLDS * LOOKS):
        dose = float(random.uniform(0.02, 0.5))
        lost = dose * (2.0 - told * logs[n // LOOKS, TOLD]) + noise * random.standard_normal(LOSSES)
        changes.append(Change(lost, np.full(LOSSES, 0.05), dose, 0.1, 16.0))
    fields = random.standard_normal((WORLDS * LOOKS, 4))
    whose = np.repeat(np.arange(WORLDS), LOOKS)
    return Stared(changes, np.log(50.0) + 0.4 * logs[whose], fields, whose, cell, np.arange(WORLDS * LOOKS))


def bare() -> Eyesight:
    """What was learned of single looks."""
    both = load_eyesight(WORLD)
    return replace(both, responses={}, card=structs.replace(both.card, kept={}))


@pytest.fixture(scope="module")
def learned() -> tuple[Eyesight, list[str]]:
    lines = list[str]()
    return comparing(load_card(WORLD), bare(), "CBED", stares(), lines.append), lines


def test_what_couplings_do_is_found(learned: tuple[Eyesight, list[str]]) -> None:
    response = learned[0].responses["CBED"]
    assert response.mean == pytest.approx(2.0, abs=0.25)
    assert response.slopes[:, TOLD] == pytest.approx(-1.0, abs=0.15)
    assert np.abs(np.delete(response.slopes, TOLD, axis=1)).max() < 0.15


def test_it_is_said_of_which_global_comparing_tells_and_how_well(learned: tuple[Eyesight, list[str]]) -> None:
    sight, lines = learned
    name, explained = sight.card.compared[TOLD], sight.card.explained["CBED"]
    assert explained[name] > 0.6
    assert max(explained[each] for each in sight.card.compared if each != name) < 0.1
    assert sight.gains("CBED", name)
    assert name in sight.kept
    assert 0.8 < sight.card.z_sd["CBED"][name] < 1.2
    # More dose tells more.
    typical = sight.card.typical_again["CBED"][name]
    assert typical[0] > 1.5 * typical[-1]
    assert f"{name} 0." in lines[0]
    # What single looks read is left as it is.
    before = load_eyesight(WORLD).card
    assert explained[before.fields[0]] == before.explained["CBED"][before.fields[0]]


def test_where_nothing_is_told_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "PARTS", 2)
    sight = comparing(load_card(WORLD), bare(), "CBED", stares(told=False), lambda line: None)
    some = stares().changes[:3]
    gains = np.array([sight.gains("CBED", name) for name in sight.card.compared])
    assert not gains[TOLD]
    assert sight.card.compared[TOLD] not in sight.kept
    assert np.isinf(sight.compare("CBED", some)[1][~gains]).all()
    assert np.isinf(bare().compare("CBED", some)[1]).all()


def test_where_no_looks_can_be_compared_nothing_is_learned() -> None:
    lines = list[str]()
    card, able = load_card(WORLD), lessons(WORLD).capabilities
    before = load_eyesight(WORLD)
    assert comparing(card, before, "CBED", stared(card, able, []), lines.append) is before
    assert lines == [f"{WORLD} CBED: no looks that could be compared"]
