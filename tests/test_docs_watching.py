"""The settings that docs/watching.md shows are the ones there are, with their defaults."""

import re
import tomllib
from pathlib import Path

from agent.config import WatchChoice
from agent.decoding import decode_table

PAGE = (Path(__file__).parents[1] / "docs" / "watching.md").read_text(encoding="utf-8")


def test_the_shown_table_is_a_watch_table_with_all_its_defaults() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    choice, errors = decode_table(WatchChoice, tomllib.loads(block)["watch"], "watch")
    assert errors == []
    assert choice == WatchChoice(urgent=("change", "lost_signal"))
    assert set(tomllib.loads(block)["watch"]) == set(WatchChoice.__struct_fields__)
