"""`adaptem calibrate` from the command line: the file it writes, and what it says where it does not."""

from pathlib import Path

import pytest

from agent.cli import main
from agent.commands import BAD_INPUT, DONE, FAILED
from hardware_bridge.calibration import read_calibration

CONFIG = str(Path(__file__).parents[2] / "experiments" / "calibrate_instrument" / "config.toml")


def calibrate(out: Path, *more: str) -> int:
    return main(["calibrate", "instrument", CONFIG, "--out", str(out), "--pixels", "128", *more])


def test_a_table_is_printed_and_a_file_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(tmp_path / "c.json", "--grating-nm", "463") == DONE
    found = read_calibration(tmp_path / "c.json")
    assert (found.instrument, found.reference, found.not_measured) == ("adaptem-twin", "grating", {})
    said = capsys.readouterr()
    assert "backlash x" in said.out
    assert said.err.startswith("... up to ")


def test_what_the_limits_do_not_pay_for_is_told_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        calibrate(tmp_path / "c.json", "--set", "limits.max_electrons=1e8", "--set", "budget.electrons=1e8") == FAILED
    )
    assert "limits.max_electrons = 1e+08: nothing was begun" in capsys.readouterr().err
    assert not (tmp_path / "c.json").exists()


def test_bad_settings_are_told_by_their_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(tmp_path / "c.json", "--grating-nm", "-3") == BAD_INPUT
    assert "--grating-nm:" in capsys.readouterr().err
    assert calibrate(tmp_path / "none" / "c.json") == BAD_INPUT
    assert "none" in capsys.readouterr().err
