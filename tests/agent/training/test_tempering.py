"""On made-up runs, errors that are three times what they are said to be are found to be so; honest ones are left."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from agent.lessons import Lessons
from agent.perception.ensemble import Prior
from agent.perception.reader import load_eyesight
from agent.training import tempering
from digital_twin.column import capabilities
from digital_twin.worlds import world_type
from envs.prior import load_card, load_ensemble
from envs.score import score
from hardware_bridge.report import Estimate, Percept

WORLD, READINGS, ERROR_SD = "valence", 160, 0.3


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    """What is true of some worlds: draws from the prior itself, (values,) each."""
    prior = Prior.of(load_card(WORLD), load_ensemble(WORLD), {})
    lower = np.linalg.cholesky(prior.correlation[: prior.size, : prior.size].astype(float) + 1e-4 * np.eye(prior.size))
    random = np.random.default_rng(5)
    return [
        prior.mean[: prior.size] + prior.sd[: prior.size] * (lower @ random.standard_normal(prior.size))
        for _ in "abcdef"
    ]


@pytest.fixture
def taught(drawn: list[np.ndarray]) -> Lessons:
    card = load_card(WORLD)
    cells, fields = card.cells**2, len(card.times_s) * card.cells**2

    def rate(report: object, seed: int) -> float:
        true, values = {}, drawn[seed]
        for n, target in enumerate(card.targets):
            first = cells if n == 0 else cells + fields + n - 1
            true[target.name] = values[first : first + len(target.prior_mean)].tolist()
        return score(report, true, card)[0]  # type: ignore[arg-type]

    return Lessons(
        card=card,
        capabilities=capabilities(world_type(WORLD).facts.column),
        ensemble=load_ensemble(WORLD),
        examples=lambda seeds: [],
        stares=lambda seeds, mode: [],
        score=rate,
        trajectories=lambda seeds, times_s: {},
    )


def run(values: np.ndarray, claimed_sd: float, common: float = 0.0) -> list[Percept]:
    """Readings of random cells at the asked times; a cell keeps a share of its errors' variance."""
    card, random = load_card(WORLD), np.random.default_rng(int(abs(values[5]) * 1e6))
    name, cells = card.targets[0].name, card.cells**2
    own, seen = random.standard_normal(cells), []
    for time in np.sort(random.integers(len(card.times_s), size=READINGS)):
        cell = int(random.integers(cells))
        error = math.sqrt(common) * own[cell] + math.sqrt(1 - common) * random.standard_normal()
        value = values[(1 + time) * cells + cell] + ERROR_SD * error
        row, column = divmod(cell, card.cells)
        seen.append(
            Percept(
                command_id="x",
                mode="EELS",
                start_s=card.times_s[time],
                end_s=card.times_s[time],
                x_nm=0.0,
                y_nm=0.0,
                width_nm=1.0,
                height_nm=1.0,
                quality={},
                estimates={f"{name}:{row}:{column}": Estimate(value=float(value), sd=claimed_sd)},
            )
        )
    return seen


@pytest.mark.parametrize(("claimed", "least", "most"), [(1.0, 1.0, 1.4), (1 / 3, 2.0, 4.0)])
def test_the_factor_is_that_by_which_errors_are_larger_than_said(
    claimed: float, least: float, most: float, drawn: list[np.ndarray], taught: Lessons
) -> None:
    sight = load_eyesight(WORLD)
    sight = replace(sight, card=structs.replace(sight.card, tempered=1.0))
    runs = [(n, run(values, claimed * ERROR_SD)) for n, values in enumerate(drawn)]
    lines: list[str] = []
    found = tempering.tempered(taught, sight, runs, lines.append).card
    assert least <= found.tempered <= most
    assert len(lines) == 2 * len(tempering.FACTORS) + 1


@pytest.mark.parametrize("common", [0.0, 0.9])
def test_errors_are_told_to_have_in_common_what_they_have(
    common: float, drawn: list[np.ndarray], taught: Lessons
) -> None:
    sight, field = load_eyesight(WORLD), load_card(WORLD).targets[0].name
    sight = replace(sight, card=structs.replace(sight.card, tempered=1.0, kept={field: (0.9, 0.0)}))
    runs = [(n, run(values, ERROR_SD, common)) for n, values in enumerate(drawn)]
    found = tempering.tempered(taught, sight, runs, lambda line: None).card
    assert (field in found.kept) == (common > 0.0)


def test_a_reader_that_was_tempered_before_is_not_tempered_twice(drawn: list[np.ndarray], taught: Lessons) -> None:
    sight = load_eyesight(WORLD)
    runs = [(n, run(values, ERROR_SD)) for n, values in enumerate(drawn[:2])]
    before = replace(sight, card=structs.replace(sight.card, tempered=1.0))
    after = replace(sight, card=structs.replace(sight.card, tempered=2.0))

    def told(line: str) -> None:
        return None

    once = tempering.tempered(taught, before, runs, told).card.tempered
    # The same readings, with the errors that a reader gives which was tempered.
    wider = [(n, [tempering._wider(p, 2.0) for p in seen]) for n, seen in runs]
    assert tempering.tempered(taught, after, wider, told).card.tempered == once


def test_unknown_worlds_are_told_with_those_that_are_known() -> None:
    with pytest.raises(SystemExit, match="interface"):
        tempering.main(["atlantis"])
