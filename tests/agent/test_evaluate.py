"""What `adaptem evaluate` is asked for, what it refuses before it plays anything, and what it leaves."""

from pathlib import Path

import pytest

from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.config import Config, ConfigErrors, load
from agent.episode import play
from agent.evaluate import PAGE, compare, evaluate, seeds_of, shares_of


def test_seeds_and_shares_are_read() -> None:
    assert list(seeds_of("7")) == [7]
    assert list(seeds_of("1000-1002")) == [1000, 1001, 1002]
    assert shares_of("0.25,1") == [0.25, 1.0]


@pytest.mark.parametrize("text", ["9-7", "abc", ""])
def test_bad_seeds_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="--seeds"):
        seeds_of(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "2", "0.5,x", ""])
def test_bad_shares_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="--shares"):
        shares_of(text)


def test_an_output_that_cannot_be_written_is_told_before_anything_is_played(config: Config, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        evaluate(config, {}, [1], [1.0], tmp_path / "none" / "episodes.jsonl")


def test_a_comparison_is_a_folder_that_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["budget.turns=2", "rivals.raster.tiles=3"]
    growth = load(DEFAULT_CONFIG, overrides, CHOICES)
    out = tmp_path / "compared"
    told = compare([growth], ["staring", "raster"], [1], [1.0], out)
    assert {line.split()[1] for line in told} == {"staring", "raster"}
    before = (out / "growth.jsonl").read_text("utf-8").splitlines()
    assert "raster: tiles = 3" in (out / PAGE).read_text("utf-8")
    capsys.readouterr()
    compare([growth], ["raster"], [1, 2], [1.0], out)
    assert "[1/1] raster       seed 2" in capsys.readouterr().out
    assert (out / "growth.jsonl").read_text("utf-8").splitlines()[:2] == before
    with pytest.raises(ValueError, match=r"growth\.json says that its episodes were played with another configuration"):
        compare([load(DEFAULT_CONFIG, ["budget.turns=3"], CHOICES)], ["raster"], [1], [1.0], out)
    with pytest.raises(ConfigErrors, match="two are of one world: growth, growth"):
        compare([growth, growth], ["raster"], [1], [1.0], tmp_path / "other")


def test_settings_of_rivals_are_checked_like_those_of_the_policy() -> None:
    with pytest.raises(ConfigErrors, match=r"rivals\.raster\.tiles: expected") as refused:
        load(DEFAULT_CONFIG, ["rivals.raster.tiles=-1", "rivals.greddy.priced=1"], CHOICES)
    assert "rivals: 'greddy' is unknown" in str(refused.value)


def test_what_is_predicted_of_commands_is_kept_with_what_came_of_them(tmp_path: Path) -> None:
    growth = load(DEFAULT_CONFIG, ["budget.turns=6", "policy.name=bayes"], CHOICES)
    played = evaluate(growth, {"bayes": {}, "raster": {}}, [3], [1.0])
    told = {episode.policy: episode.told for episode in played}
    assert told["raster"] == ()
    assert 1 <= len(told["bayes"]) <= 6
    assert all(predicted > 0.0 for predicted, _ in told["bayes"])
    # All that commands brought, those that were to tell nothing included, is the score less that of knowing nothing.
    knowing_nothing = play(load(DEFAULT_CONFIG, ["budget.electrons=1e-3"], CHOICES), 3, 1.0)
    brought = next(e.score for e in played if e.policy == "bayes") - knowing_nothing.score
    assert sum(realised for _, realised in told["bayes"]) == pytest.approx(brought, abs=0.02)
