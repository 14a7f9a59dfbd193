"""The benchmark of the twin runs, prints what it says and writes its page."""

import importlib.util
import json
import sys

import pytest

from experiments.benchmarks import twin, twin_images
from experiments.benchmarks.lines import Reached


def test_a_page_and_json_hold_what_was_measured(tmp_path, capsys):
    out = tmp_path / "TWIN.md"
    twin.main(["--seconds", "0", "--only", "noise alone", "--out", str(out)])
    printed = [line for line in capsys.readouterr().out.splitlines() if "| cpu |" in line]
    assert len(printed) == len(twin_images.MEANS)
    page = out.read_text()
    assert all(line in page for line in printed)
    lines = json.loads(out.with_suffix(".json").read_text())["lines"]
    assert all(line["per_s"] > 0.0 for line in lines)


def test_the_power_of_the_pixels_is_fitted_and_what_was_not_measured_is_left_out():
    lines = {line.name: line for line in twin_images.lines("cpu")}
    found = [Reached(lines[twin_images.fixed_name(n, 16)], "cpu", 1e9 / n**2, None) for n in (64, 128, 256)]
    assert "batch 16: power 1.00" in twin.linear(found)
    assert "batch 1:" not in twin.linear(found)
    assert twin.linear(found[:2]) == ""


def test_without_abtem_the_page_says_so(monkeypatch):
    monkeypatch.setattr(twin.beside_abtem, "python_with_abtem", lambda given: None)
    assert "not installed here" in twin.abtem(None, 0.1)
    monkeypatch.undo()
    told = twin.abtem(sys.executable, 0.1) if importlib.util.find_spec("abtem") is None else "not run, No module named"
    assert "not run" in told


def test_names_of_lines_are_told_apart():
    names = [line.name for module in twin.MODULES for line in module.lines("cpu")]
    assert len(set(names)) == len(names)


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        twin.main(["--help"])
    assert "python -m experiments.benchmarks.twin --seconds" in capsys.readouterr().out
