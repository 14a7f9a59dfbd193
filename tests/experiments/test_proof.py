"""The proof: what is tried, what is not tried again, and what the page says of episodes whose scores are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent import assemble, deciding
from agent.config import PolicyChoice, load
from agent.episode import Episode
from agent.lines import append_line
from experiments.proof import study
from experiments.proof.study import SHARES, TUNED, TUNING_SEEDS, Trial
from experiments.proof.table import table

WORLD = "valence"


def test_all_worlds_with_a_reader_are_played() -> None:
    shipped = {load(path).goal.world for path in assemble.DEFAULT_CONFIG.parent.glob("worlds/*.toml")}
    assert set(study.WORLDS) == shipped


@pytest.mark.parametrize("world", study.WORLDS)
def test_settings_that_are_tried_differ_and_are_taken(world: str) -> None:
    config = study.config_of(world)
    assert study.tried(world, "raster")[0] == config.policy.settings
    for policy in TUNED:
        tried = study.tried(world, policy)
        assert 2 <= len(tried) <= study.TRIALS
        assert all(tried.count(settings) == 1 for settings in tried)
        for settings in tried:
            made = deciding.policy(replace(config, policy=PolicyChoice(name=policy, settings=settings)))
            assert callable(made.suggest)


def tell(folder: Path, policy: str, settings: study.Settings, seed: int, score: float) -> None:
    append_line(folder / "tuned.jsonl", Trial(world=WORLD, policy=policy, settings=settings, seed=seed, score=score))


def test_the_best_settings_are_those_of_the_best_mean_and_half_a_search_has_none(tmp_path: Path) -> None:
    for policy in TUNED:
        for number, settings in enumerate(study.tried(WORLD, policy)):
            for seed in TUNING_SEEDS:
                tell(tmp_path, policy, settings, seed, -0.1 * (number - 1) ** 2 + 0.01 * seed)
    found = study.best(WORLD, tmp_path)
    assert {policy: found[policy] for policy in TUNED} == {p: study.tried(WORLD, p)[1] for p in TUNED}
    assert found["clairvoyant"] == found["greedy"]
    lines = (tmp_path / "tuned.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "tuned.jsonl").write_bytes(b"".join(lines[:-1]))
    with pytest.raises(SystemExit, match=rf"{WORLD}, greedy: not all .* `tune {WORLD}` goes on"):
        study.best(WORLD, tmp_path)


def episode(policy: str, seed: int, share: float, score: float) -> Episode:
    return Episode(
        policy=policy,
        seed=seed,
        share=share,
        score=score,
        scores={"oxidised": score},
        turns=9,
        refused=0,
        modes={"EELS": 9},
        electrons=1e8,
        duration_s=600.0,
        suggest_median_s=0.002,
        told=tuple((0.01 * n, 0.005 * n) for n in range(4)) if policy in ("greedy", "clairvoyant") else (),
    )


def test_the_page_says_who_is_ahead_by_how_much_and_what_is_missing(tmp_path: Path) -> None:
    for policy in TUNED:
        for settings in study.tried(WORLD, policy):
            for seed in TUNING_SEEDS:
                tell(tmp_path, policy, settings, seed, 0.1)
    above = {"staring": 0.0, "random": 0.05, "raster": 0.1, "greedy": 0.2, "clairvoyant": 0.3}
    for seed in range(1000, 1008):
        for share in SHARES:
            for policy, more in above.items():
                append_line(tmp_path / f"{WORLD}.jsonl", episode(policy, seed, share, more + 0.01 * (seed % 7)))
        less = episode("greedy", seed, 1.0, 0.15 + 0.01 * (seed % 7))
        append_line(tmp_path / f"{WORLD}.greedy-electrons-free.jsonl", less)
    text = table(tmp_path)
    assert "8 seeds of the 30 that are asked for" in text
    assert "Greedy is above raster: +0.100 [+0.100, +0.100]." in text
    assert "Of the gap of 0.200 up to clairvoyant it closes +0.500 [+0.500, +0.500]." in text
    assert "greedy, electrons free: -0.050 [-0.050, -0.050] (8 seeds)" in text
    assert "Greedy promised 0.01500 a command and got 0.00750 (64 commands); a decision took 2.0 ms." in text
    assert "## interface\n\nNot played yet." in text
    assert (tmp_path / f"{WORLD}.png").stat().st_size > 10_000
    assert "clairvoyant" in (tmp_path / "comparison.html").read_text(encoding="utf-8")


def test_what_was_tried_is_not_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for policy in TUNED:
        for settings in study.tried(WORLD, policy):
            for seed in TUNING_SEEDS:
                tell(tmp_path, policy, settings, seed, 0.1)
    before = (tmp_path / "tuned.jsonl").read_bytes()
    study.tune(WORLD, tmp_path, None)
    assert (tmp_path / "tuned.jsonl").read_bytes() == before
    assert capsys.readouterr().out == ""
