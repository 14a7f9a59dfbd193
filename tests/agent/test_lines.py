"""Lines of results: whole ones are read, others are named, and what comes after a torn one is not lost."""

from pathlib import Path

from agent.lines import append_line, read_lines
from hardware_bridge.report import Estimate


def test_no_file_holds_nothing(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.jsonl", Estimate) == ([], [])


def test_what_is_torn_or_empty_or_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    first, second = Estimate(value=1.0, sd=0.1), Estimate(value=2.0, sd=0.2)
    append_line(path, first)
    with path.open("ab") as file:
        file.write(b'\n{"value":3,"unknown":1}\n\xff\xfe\n{"value":4.0,"s')
    append_line(path, second)
    words, problems = read_lines(path, Estimate)
    assert words == [first, second]
    assert [problem.split(": skipped")[0] for problem in problems] == [f"{path}, line {n}" for n in (2, 3, 4, 5)]
    assert "empty" in problems[0]
    assert "unknown" in problems[1]
