"""The study of headroom: its plans, what it plays, and what it says of it, on a few looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.lessons import prior_of
from experiments.headroom import study
from experiments.headroom.plans import Clairvoyant, Random, Raster, Settings, Staring
from experiments.headroom.play import Played, eyesight, play, true_values
from experiments.headroom.study import Result, Trial, drawn, read
from experiments.headroom.table import table

WORLD = "interface"


def test_a_raster_spreads_its_looks_over_the_extent() -> None:
    plan = Raster(Settings(looks=64, tiles=8), 0)
    places = {(look.x, look.y) for look in (plan.look(n, 0.0, 1e6) for n in range(64))}
    assert len(places) == 64
    few = Raster(Settings(looks=16, tiles=8), 0)
    rows = [few.look(n, 0.0, 1e6).y for n in range(16)]
    assert (min(rows), max(rows)) == (-0.875, 0.875)


def test_modes_have_their_turns_at_a_tile() -> None:
    plan = Raster(Settings(looks=8, modes=("HAADF", "EELS"), tiles=2), 0)
    looks = [plan.look(n, 0.0, 1e6) for n in range(4)]
    assert [look.mode for look in looks] == ["HAADF", "EELS", "HAADF", "EELS"]
    assert (looks[0].x, looks[0].y) == (looks[1].x, looks[1].y) != (looks[2].x, looks[2].y)


def test_random_is_the_same_for_the_same_seed_and_staring_for_all() -> None:
    one, same, other = (Random(Settings(), seed).look(0, 0.0, 1e6) for seed in (1, 1, 2))
    assert one == same != other
    assert Staring(Settings(), 1).look(0, 0.0, 1e6) == Staring(Settings(), 2).look(9, 9.0, 1e3)


def test_the_clairvoyant_looks_where_something_can_be_learned() -> None:
    prior = prior_of(WORLD)
    # Early on the front is near the electrode, at the top: below nothing is there, and all know it.
    for seed in range(5):
        plan = Clairvoyant(Settings(), seed, prior, eyesight(WORLD), prior.mean[: prior.size].copy())
        assert plan.look(0, 20.0, 1e7).y < 0.3


def test_every_baseline_has_as_many_different_trials() -> None:
    for policy in ("staring", "raster", "random"):
        assert len(set(drawn(policy))) == study.TRIALS
    assert {settings.looks for settings in drawn("clairvoyant")} == set(study.LOOKS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_who_knows_the_truth_scores_more_than_who_stares() -> None:
    scores = {}
    for policy in ("staring", "clairvoyant"):
        played = play(WORLD, policy, Settings(looks=12), range(500, 504), 1.0)
        assert all(0 < p.looks <= 12 and p.electrons <= 4e8 * 1.001 for p in played)
        scores[policy] = np.mean([p.score for p in played])
    assert scores["clairvoyant"] > scores["staring"] + 0.05
    assert set(true_values(WORLD, (500, 501, 502, 503))) >= {"covered_fraction", "front_velocity"}


def test_the_table_says_where_there_is_no_headroom(tmp_path: Path) -> None:
    for world, best in (("interface", 0.5), ("growth", 0.25)):
        for policy in ("staring", "raster", "random", "clairvoyant"):
            study._append(tmp_path / "tuned.jsonl", Trial(world, policy, Settings(), 0.0))
            for seed in range(10):
                for share in study.SHARES:
                    score = best if policy == "clairvoyant" else 0.2 if policy == "raster" else 0.1
                    one = Played(policy, seed, share, score + 0.01 * (seed % 2), {}, 10, 1e6)
                    study._append(tmp_path / "episodes.jsonl", Result(world, one))
    text = table(["interface", "growth", "valence"], tmp_path)
    lines = {line.split(":")[0]: line for line in text.splitlines() if line.startswith("- ")}
    assert "+0.300" in lines["- interface"]
    assert "no headroom" not in lines["- interface"]
    assert lines["- growth"].count("**no headroom**") == 2
    assert "not played yet" in lines["- valence"]
    assert "| interface | raster | 10 | +0.205" in text
    assert (tmp_path / "RESULT.md").read_text() == text


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tuned.jsonl"
    study._append(path, Trial("growth", "raster", Settings(), 0.5))
    path.write_bytes(path.read_bytes() + b'{"world": "gro')
    assert [trial.score for trial in read(path, Trial)] == [0.5]
