"""The study of seeing: what it counts as found, that its scenes are what they say, and that it goes on where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.seeing import classical, ours, study
from experiments.seeing.scenes import DOSES, KINDS, TESTED, TUNED, Scene, scene
from experiments.seeing.scoring import bootstrap, covered, f1, matched
from experiments.seeing.study import OURS, Seen, Tuned, compared, read
from experiments.seeing.table import table

HERE = Path(study.__file__).parent


@pytest.fixture(scope="module")
def columns() -> Scene:
    return scene("columns", 29_003)


def test_pairs_are_one_to_one_and_the_nearest_come_first() -> None:
    true = np.array([[10.0, 10.0], [20.0, 20.0]])
    found = np.array([[10.0, 12.0], [10.5, 10.0], [40.0, 40.0], [20.0, 23.5]])
    a, b = matched(found, true, np.array([3.0, 3.0]))
    assert (a.tolist(), b.tolist()) == ([1], [0])
    a, b = matched(found, true, np.array([3.0, 4.0]))
    assert sorted(zip(a.tolist(), b.tolist(), strict=True)) == [(1, 0), (3, 1)]
    assert matched(found[:0], true, np.ones(2))[0].size == 0
    # One that is found is not two.
    assert matched(found[:1], np.array([[10.0, 11.0], [10.0, 13.5]]), np.full(2, 3.0))[1].tolist() == [0]


def test_figures_of_what_is_known() -> None:
    assert f1(8, 2, 2) == pytest.approx(0.8)
    assert f1(0, 0, 0) == 1.0
    assert covered(np.random.default_rng(0).standard_normal(20_000)) == pytest.approx(0.9, abs=0.01)
    values = np.random.default_rng(1).normal(5.0, 1.0, 100)
    low, high = bootstrap(lambda some: float(values[some].mean()), 100)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.1, rel=0.2)
    assert low < 5.0 < high


def test_columns_are_where_a_scene_says(columns: Scene) -> None:
    inner = ((columns.at > 4) & (columns.at < 251)).all(axis=1)
    at = columns.at[inner].round().astype(int)
    shine = columns.expected[tuple(at.T)]
    plain = columns.holds[inner].sum(axis=1) == 0
    heavy = columns.heavy[inner]
    # Metal outshines sulfur, and both what lies between columns.
    assert np.median(shine[plain & heavy]) > 1.5 * np.median(shine[plain & ~heavy])
    assert np.median(shine[plain & ~heavy]) > 1.3 * np.median(columns.expected)
    missing = (columns.holds[inner][:, 0] == 1) & ~heavy
    assert np.median(shine[missing]) < 0.8 * np.median(shine[plain & ~heavy])


def test_particles_are_where_a_scene_says() -> None:
    each = scene("particles", 29_001)
    large = each.size > 6.0
    assert large.sum() > 2
    rows, columns = each.at[large].round().astype(int).clip(0, 255).T
    assert (each.expected[rows, columns] > np.median(each.expected) * 1.1).mean() > 0.9


def test_the_true_places_are_all_right_and_nothing_is_all_missed(columns: Scene) -> None:
    right, false, missed = compared(columns, columns.at[columns.holds[:, 0] < 2])[2]
    assert (false, missed) == (0, 0)
    assert right > 1000
    none = compared(columns, np.zeros((0, 2)))[2]
    assert none == (0, 0, right)
    # At the rim neither what is missed counts nor what is false.
    inner = ((columns.at > 3) & (columns.at < 252)).all(axis=1) & (columns.holds[:, 0] < 2)
    assert compared(columns, columns.at[inner])[2] == (right, 0, 0)
    assert compared(columns, np.concatenate([columns.at[inner], [[0.0, 100.5], [255.0, 3.0]]]))[2] == (right, 0, 0)
    # Between three columns there is nothing, and what is claimed there is false.
    assert compared(columns, columns.at[columns.holds[:, 0] < 2] + 60.0)[2][1] > 100


def test_tuning_test_and_training_worlds_differ() -> None:
    assert not set(TUNED) & set(TESTED)
    assert min(TUNED) > 20_100  # readers are trained and tempered below


@pytest.mark.parametrize("way", classical.WAYS)
def test_each_classical_way_finds_plain_blobs(way: str) -> None:
    y, x = np.mgrid[:128, :128]
    at = np.array([[30, 40], [60, 90], [100, 30]])
    image = sum(8.0 * np.exp(-((y - r) ** 2 + (x - c) ** 2) / (2 * 3.0**2)) for r, c in at)
    settings = {
        **{"least": 1.5, "most": 6.0, "threshold": 0.5, "overlap": 0.5, "smooth": 1.0, "apart": 6.0},
        **{"area": 9.0, "diameter": 13.0, "mass": 50.0},
    }
    found = classical.WAYS[way](np.asarray(image), settings)
    a, _ = matched(found[:, :2], at.astype(float), np.full(3, 1.5))
    assert len(a) == len(found) == 3


def test_thresholds_are_searched_as_bands() -> None:
    seen = np.array([0.2, 0.5, 0.55, 0.6, 1.0, 1.1, 2.0])
    low, high, score = study._band(seen, (seen > 0.4) & (seen < 0.7))
    assert score == 1.0
    assert 0.2 <= low <= 0.5
    assert 0.6 < high <= 1.0


def test_a_study_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: Scene) -> None:
    dose = DOSES["columns"][0]
    monkeypatch.setattr(study, "TESTED", [columns.seed])
    monkeypatch.setattr(study, "DOSES", {"columns": (dose,)})
    monkeypatch.setattr(classical, "RANGES", {"columns": {"local maxima": classical.RANGES["columns"]["local maxima"]}})
    given = {"smooth": 1.5, "apart": 3.0, "threshold": 0.0}
    study._append(tmp_path / "tuned.jsonl", Tuned("columns", dose, "local maxima", given, 0.9))
    band = {"filter": 1.0, "scale": 2.0, "low": -1e9, "high": 0.7}
    for kind in KINDS:
        study._append(tmp_path / "tuned.jsonl", Tuned("columns", dose, kind, band, 0.9))
        study._append(tmp_path / "tuned.jsonl", Tuned("columns", dose, f"{OURS}, {kind}", {"chance": 0.5}, 0.9))
    study.run("columns", tmp_path)
    seen = read(tmp_path / "seen.jsonl", Seen)
    assert [each.way for each in seen] == ["local maxima", "thresholds", OURS]
    assert seen[2].counts["found"][0] > 1000
    assert seen[2].counts["dopants"][0] > 0
    assert set(seen[2].sds) == set(KINDS)
    monkeypatch.setattr(ours, "columns", None)  # nothing is seen again
    study.run("columns", tmp_path)
    assert read(tmp_path / "seen.jsonl", Seen) == seen


def test_the_result_is_that_of_what_was_seen() -> None:
    assert table(HERE) == (HERE / "RESULT.md").read_text(encoding="utf-8")
