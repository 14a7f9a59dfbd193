"""Every command of the experiments says what it does and how it is called, and runs nothing when asked."""

import importlib
import sys
from pathlib import Path

import pytest

import experiments
from experiments.options import record_folder

HOME = Path(experiments.__file__).parent
COMMANDS = sorted(path.parent.name for path in HOME.glob("*/__main__.py"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_command_and_shows_an_example(name, monkeypatch, capsys):
    main = importlib.import_module(f"experiments.{name}.__main__").main
    monkeypatch.setattr(sys, "argv", ["command", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: python -m experiments.{name}" in said
    assert said.count(f"python -m experiments.{name}") >= 2


def test_the_record_goes_where_one_says(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["command"])
    assert record_folder("experiments.some", None, tmp_path) == tmp_path
    monkeypatch.setattr(sys, "argv", ["command", str(tmp_path / "kept")])
    assert record_folder("experiments.some", None, tmp_path) == tmp_path / "kept"
