"""What `adaptem evaluate` is asked for, and what it refuses before it plays anything."""

from pathlib import Path

import pytest

from agent.config import Config
from agent.evaluate import evaluate, seeds_of, shares_of


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
