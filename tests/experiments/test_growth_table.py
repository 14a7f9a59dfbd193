"""The table of the growth study says what the episodes say, and what of them is missing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.episode import Episode
from envs.curve import SHARES
from experiments.in_situ_growth.study import POLICIES, TEST_SEEDS, TRIALS, Trial, best
from experiments.in_situ_growth.table import table

SCORES = {"bayes": 0.6, "staring": 0.0, "raster": 0.3, "random": 0.2, "expert": 0.4, "clairvoyant": 0.5}


def episode(policy: str, seed: int, share: float) -> Episode:
    # On odd seeds the clairvoyant is the best, so hindsight has to choose seed by seed.
    score = SCORES[policy] + share / 10 + (0.3 if policy == "clairvoyant" and seed % 2 else 0.0)
    return Episode(
        policy=policy, seed=seed, share=share, score=score, scores={"count": score}, turns=100, refused=0,
        modes={"HAADF": 98, "EELS": 2}, electrons=1e8, duration_s=600.0, suggest_median_s=0.01,
    )  # fmt: skip


def write(folder: Path, shares: tuple[float, ...]) -> None:
    played = [episode(p, seed, share) for p in POLICIES for seed in TEST_SEEDS for share in shares]
    (folder / "episodes.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, played)) + b"\n")


def rows(text: str) -> dict[str, str]:
    first_table = text.split("Hindsight is")[0]
    return {line.split("|")[1].strip(): line for line in first_table.splitlines() if line.startswith("| ")}


def test_it_says_what_was_played(tmp_path: Path) -> None:
    write(tmp_path, SHARES)
    (tmp_path / "notes.md").write_text("Read with care.\n", encoding="utf-8")
    text = table(tmp_path)
    assert "Read with care.\n\n| policy |" in text
    assert (tmp_path / "RESULT.md").read_text(encoding="utf-8") == text
    assert (tmp_path / "scores.png").stat().st_size > 10_000
    # A line over log2 of the budget: 0.1 share at 1/8, 1/4, 1/2 and 1 has an area of (1/16 + 1/4 + 1/2 + 1/2) / 30.
    area = 0.1 * (0.125 / 2 + 0.25 + 0.5 + 1.0 / 2) / 3
    assert f"{0.6 + area:+.3f} [" in rows(text)["bayes"]
    # Half of the seeds have 0.6, half 0.8.
    assert f"{0.7 + area:+.3f} [" in rows(text)["hindsight"]
    assert "minus expert" in text
    assert "bayes is +0.200 [+0.200, +0.200] above expert" in text
    assert "of the gap of 0.300 between expert and hindsight, bayes closes +0.667" in text
    assert "bayes 20 times" in text
    assert "clairvoyant 20 times" in text


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path, (0.5, 1.0))
    assert "Not played yet: the shares 0.125, 0.25" in table(tmp_path)


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no share of the budget"):
        table(tmp_path)


def test_the_best_settings_are_those_of_the_best_trial(tmp_path: Path) -> None:
    trials = [
        Trial("raster", {}, 0.2),
        Trial("raster", {"tiles": 3}, 0.3),
        Trial("bayes", {"electron_weight": 1.0}, 0.1),
    ]
    (tmp_path / "tuned.json").write_bytes(msgspec.json.encode(trials))
    found = best(tmp_path)
    assert found["raster"] == {"tiles": 3}
    assert found["clairvoyant"] == found["bayes"] == {"electron_weight": 1.0}
    assert found["expert"] == {}
    assert TRIALS >= 4
