"""The benchmark of decisions compares equal things, and its page says which bars are met."""

from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import decision
from experiments.benchmarks.decision import Line, Size, main, measure, page


def test_all_sides_come_to_one_posterior() -> None:
    size = Size(edge=6, readings=40, night=80, repeats=5)
    lines, beside = measure(size)
    rival, *ours = lines
    assert rival.name.startswith("BoTorch: ")
    assert rival.mean_error is None
    checked = [line for line in ours if line.mean_error is not None and line.var_error is not None]
    assert [line.name for line in checked] == [
        "exact append, cached candidates, time stands",
        "state-space, time stands",
        "state-space, time moves",
        "state-space, time moves, n = 80",
    ]
    *beside_botorch, night = [max(line.mean_error or 0.0, line.var_error or 0.0) for line in checked]
    # BoTorch takes places that are the same to be 3e-8 lengths apart; the closed form does not.
    assert max(beside_botorch) < 1e-6
    assert night < 1e-12
    assert all(len(line.ms) > 0 for line in lines)
    assert "relearned 45 readings" in beside


def test_the_page_is_written_where_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [Line("BoTorch: a way, threads: 1", np.array([100.0]))]
    monkeypatch.setattr(decision, "measure", lambda size: (lines, f"{size.readings} readings."))
    main(["--readings", "77", "--out", str(tmp_path / "page.md")])
    text = (tmp_path / "page.md").read_text()
    assert text == capsys.readouterr().out
    assert "| BoTorch: a way, threads: 1 | 100.00 | 100.00 | 100.00 |" in text
    assert "77 readings." in text


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (Line("a", np.array([1.0, 2.0, 9.0]), 1e-9, 1e-7, 2.0, 35.0), "2 ms, 35 times, 1e-06: met"),
        (Line("a", np.array([1.0, 2.1, 9.0]), 1e-9, 1e-7, 2.0, 35.0), "2 ms, 35 times, 1e-06: missed"),
        (Line("a", np.array([2.0]), 1e-9, 1e-7, 2.0, 34.0), "2 ms, 35 times, 1e-06: missed"),
        (Line("a", np.array([2.0]), 1e-9, 2e-6, 2.0, 40.0), "2 ms, 35 times, 1e-06: missed"),
        (Line("a", np.array([9.0]), 1e-9, 1e-9, 10.0, 3.0), "10 ms, 1e-06: met"),
        (Line("a", np.array([11.0]), bar_ms=10.0), "10 ms: missed"),
    ],
)
def test_bars_are_met_or_missed(line: Line, verdict: str) -> None:
    assert f"| {verdict} |" in page(Size(), [line], "", 0.0)


def test_the_same_readings_come_again() -> None:
    assert decision.readings(5, 8) == decision.readings(9, 8)[:5]
