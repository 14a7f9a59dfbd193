"""The study of structure and property: its sets, how it goes on where it was interrupted, and what its page says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from digital_twin.materials import COPPER, FEPO4, ZINC
from digital_twin.specimen import Grid
from digital_twin.worlds import world_type
from experiments.structure_property import sets, study, table
from experiments.structure_property.sets import FIELD_NM, SUBJECTS, Taken, electrons, kept, take
from experiments.structure_property.study import ALL_SEEN, BASE, BRIGHTEST, OURS, RIVALS, Files, Search

EDGE = 12
HOLDS = {"valence": {1: FEPO4.formula_per_nm3}, "interface": {0: COPPER.formula_per_nm3, 1: ZINC.formula_per_nm3}}


def atoms_per_nm2(world: str, seed: int) -> Iterator[np.ndarray]:
    """What lies under each point of a set, as the specimen says without any instrument, (N,), wherever it drifted."""
    kind, subject = world_type(world), SUBJECTS[world]
    specimen = kind(seed)
    specimen.set_holder(kind.facts.holder)
    specimen.advance_to(subject.time_s)
    inside, margin = 8 * EDGE, 8
    step = FIELD_NM / inside
    first = (np.arange(inside + 2 * margin) - margin + 0.5) * step - FIELD_NM / 2
    origin = np.stack([np.full(len(first), first[0]), subject.stage_y_nm + first], axis=1)
    layers = specimen.project([Grid(origin, np.array([step, 0.0]), np.array([0.0, step]), len(first))])[0].numpy()
    total = np.asarray(sum(density * layers[place] for place, density in HOLDS[world].items()))
    for down in range(2 * margin + 1):
        for right in range(2 * margin + 1):
            seen = total[down : down + inside, right : right + inside]
            yield seen.reshape(EDGE, 8, EDGE, 8).mean(axis=(1, 3)).ravel()


@pytest.mark.parametrize("world", SUBJECTS)
def test_what_is_called_true_is_what_lies_there_and_what_is_measured_is_that_with_noise(world: str) -> None:
    taken = take(world, 3, EDGE)
    there = max(atoms_per_nm2(world, 3), key=lambda seen: float(np.corrcoef(taken.true, seen)[0, 1]))
    assert np.corrcoef(taken.true, there)[0, 1] > 0.98
    slope = (taken.true @ there) / (there @ there)
    assert 0.75 < slope < 1.15
    noise = taken.measured - taken.true
    assert 0.0 < noise.std() < 0.7 * taken.true.std()
    assert abs(noise.mean()) < 4 * noise.std() / EDGE
    assert taken.image.shape == (256, 256)


@pytest.mark.parametrize(("world", "seed"), study.EMPTY)
def test_what_is_left_out_has_nothing_to_find(world: str, seed: int) -> None:
    assert take(world, seed, EDGE).true.max() < 0.01


def test_a_spectrum_has_the_electrons_that_the_budget_pays_for() -> None:
    assert electrons("valence") * BASE.points == pytest.approx(world_type("valence").facts.budget_electrons)


def test_sets_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def small(world: str, seed: int) -> Taken:
        calls.append(seed)
        return Taken(np.ones((8, 8)), np.arange(4.0), np.arange(4.0)[::-1])

    monkeypatch.setattr(sets, "take", small)
    once, again = (kept("valence", 5, tmp_path / "sets") for _ in range(2))
    assert calls == [5]
    assert again.true.tolist() == once.true.tolist() == [3.0, 2.0, 1.0, 0.0]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Files:
    """Sets of a smooth field, and rivals that stop early."""
    y, x = np.indices((study.POINTS, study.POINTS))

    def smooth(world: str, seed: int, folder: Path, say: object = None) -> Taken:
        field = np.exp(-((x - 20.0 - 5 * (seed % 4)) ** 2 + (y - 30.0) ** 2) / 60.0)
        drawn = np.random.default_rng(seed).normal(size=field.size)
        return Taken(np.kron(field, np.ones((4, 4))), field.ravel() + 0.02 * drawn, field.ravel())

    for module in (study, table):
        monkeypatch.setattr(module, "kept", smooth)
    return Files(tmp_path / "sets", tmp_path / "searches.jsonl")


def asked(rivals: tuple[str, ...]) -> list[study.Job]:
    return [("valence", 1000, name, (20, 1.5)) for name in rivals]


def test_it_goes_on_where_it_was_interrupted(few: Files) -> None:
    heard: list[str] = []
    study.play(few, asked((BRIGHTEST, "random")), heard.append)
    whole = few.searches.read_bytes()
    few.searches.write_bytes(whole[:-20])
    assert [each.rival for each in few.done()] == [BRIGHTEST]
    study.play(few, asked((BRIGHTEST, "random", ALL_SEEN)), heard.append)
    assert few.searches.read_bytes().startswith(whole)
    assert [each.rival for each in few.done()] == [BRIGHTEST, "random", ALL_SEEN]
    assert [line.split(":")[0] for line in heard] == [
        f"valence, 1000, {name}, (20, 1.5)" for name in (BRIGHTEST, "random", "random", ALL_SEEN)
    ]
    brightest, random, seen = few.done()
    assert brightest.share_at(BASE.points) == 1.0
    assert brightest.share_at(41) == 1.0
    assert random.share_at(BASE.points) < 0.3
    assert seen.share_at(BASE.points) > 0.9
    assert len(set(random.rows)) == BASE.points


def test_the_best_are_as_many_as_asked_for_also_where_values_are_alike() -> None:
    values = np.zeros(study.POINTS**2)
    values[[7, 9]] = 1.0
    assert study.best(values).tolist()[:4] == [7, 9, 0, 1]
    assert len(study.best(values)) == study.best_count() == 41


def search_of(rival: str, seed: int, found_at: list[int], way: study.Way = (40, 1.0)) -> Search:
    return Search("valence", seed, rival, way, list(range(BASE.points)), found_at)


def test_settings_are_those_that_found_most_on_the_tuning_seeds() -> None:
    searches = [search_of(OURS, seed, list(range(1, n)), way) for seed in study.TUNING
                for way, n in (((20, 1.0), 9), ((40, 1.0), 3), ((40, 1.5), 5))]  # fmt: skip
    searches += [search_of(OURS, 1000, list(range(1, 42)), (60, 1.0))]
    chosen = study.settings_found(searches, ["valence"])
    assert chosen["valence", OURS] == (20, 1.0)
    assert chosen["valence", "random"] == (BASE.first, 1.0)


def test_the_page_tells_what_was_found(few: Files, tmp_path: Path) -> None:
    lines = []
    for world in SUBJECTS:
        for seed in (1000, 1001, 1002):
            for name in table.NAMES:
                found_at = list(range(3, 44)) if name == OURS else [5, 205]
                one = search_of(name, seed, found_at)
                lines.append(Search(world, *[getattr(one, each) for each in one.__struct_fields__[1:]]))
    # One that the others have not searched does not count.
    lines.append(search_of(OURS, 1003, []))
    few.searches.write_bytes(b"".join(study.msgspec.json.encode(each) + b"\n" for each in lines))
    text = table.write(few, tmp_path, "## What limits it\n")
    assert text == (tmp_path / "RESULT.md").read_text(encoding="utf-8")
    assert "| deep kernel | 1.00 [1.00, 1.00] |  | 3 of 3 | 3 | 23 | 43 |" in text
    assert "| random | 0.05 [0.05, 0.05] | +0.95 [+0.95, +0.95] | 0 of 3 | 5 | > 205 | > 205 |" in text
    assert text.count("3 paired seeds (1000-1002)") == 2
    assert "## What limits it" in text
    for name in RIVALS:
        assert f"\n- {name}: points 205, first 40 and 40, batch 5, top 0.01, doubt 1 and 1" in text
    for picture in ("curves.png", "places.png"):
        assert (tmp_path / picture).stat().st_size > 10_000


def test_without_searches_there_is_no_page(few: Files, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="valence: no seed of 1000-1019 has been searched by all"):
        table.write(few, tmp_path, "")
