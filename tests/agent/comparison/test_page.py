"""The page of a comparison says what was played, by whom and how, and opens without a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from agent.comparison.page import Played, write_comparison
from agent.episode import Episode


def episodes(policies: Sequence[str], seeds: Sequence[int]) -> list[Episode]:
    return [
        Episode(
            policy=policy, seed=seed, share=share, score=score, scores={"count": score, "rate": 0.25}, turns=12,
            refused=0, modes={"HAADF": 9, "EELS": 3}, electrons=2e8 * share, duration_s=600.0, suggest_median_s=0.0125,
            told=tuple((0.001 * n, 0.0005 * n) for n in range(20)) if policy == "bayes" else (),
        )
        for n, policy in enumerate(policies)
        for seed in seeds
        for share in (0.5, 1.0)
        for score in [0.25 * (len(policies) - n) * share]
    ]  # fmt: skip


def test_it_shows_every_world(tmp_path: Path) -> None:
    growth = Played("growth", episodes(["bayes", "raster", "<b>"], range(5)), {"raster": {"tiles": 5}, "bayes": {}})
    apart = [*episodes(["greedy"], [1]), *episodes(["raster"], [2])]
    page = write_comparison([growth, Played("valence", apart, {})], tmp_path / "comparison.html").read_text("utf-8")
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    short = next(row for row in rows if "<td>growth</td><td>bayes</td>" in row)
    # 0.75 times the budget's share against 0.5 times it: over two budgets the area is their mean.
    assert "<td>raster</td><td class=n>5</td><td>+0.562 [" in short
    assert "+0.188 [+0.188, +0.188]" in short
    assert "raster: tiles = 5" in page
    assert "bayes: defaults" in page
    assert "bayes: 200 commands" in page
    assert "EELS 3, HAADF 9" in page
    assert "Nothing to compare: no seed was played by all policies" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<svg") == 2
    assert not re.search(r"(src|href)=\"?http", page)
