"""The benchmark of the twin runs, prints what it says and writes its page."""

import json

import pytest

from experiments.benchmarks import twin


def test_a_page_and_json_hold_what_was_measured(tmp_path, capsys):
    out = tmp_path / "TWIN.md"
    twin.main(["--seconds", "0", "--only", "drawn and imaged", "--out", str(out)])
    printed = [line for line in capsys.readouterr().out.splitlines() if "| cpu |" in line]
    assert len(printed) == 2
    page = out.read_text()
    assert all(line in page for line in printed)
    lines = json.loads(out.with_suffix(".json").read_text())["lines"]
    assert all(line["per_s"] > 0.0 for line in lines)


def test_names_of_lines_are_told_apart():
    names = [line.name for module in twin.MODULES for line in module.lines("cpu")]
    assert len(set(names)) == len(names)


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        twin.main(["--help"])
    assert "python -m experiments.benchmarks.twin --seconds" in capsys.readouterr().out
