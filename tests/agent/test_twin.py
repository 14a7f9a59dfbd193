"""`adaptem twin calibrate` from the command line: what it says of measured images, and of input that is none."""

from pathlib import Path

import numpy as np
import pytest

from agent.cli import main
from agent.commands import BAD_INPUT, DONE


def calibrate(*arguments: object) -> int:
    return main(["twin", "calibrate", *map(str, arguments)])


def test_the_stretched_micrograph_tells_nothing_and_nothing_is_invented(shared_data, tmp_path, capsys):
    out = tmp_path / "twin.toml"
    assert calibrate(shared_data / "nanoparticles_haadf_eds_200kV.npz", "--out", out) == DONE
    said = capsys.readouterr().out
    assert "gain_counts_per_electron: one image" in said
    assert "stretched" in said
    # Comments alone: the twin keeps all its defaults.
    assert not [line for line in out.read_text().splitlines() if "=" in line and not line.startswith("#")]


def test_the_fine_micrograph_tells_its_gain_alone(shared_data, tmp_path, capsys):
    out = tmp_path / "twin.toml"
    assert calibrate(shared_data / "haadf_300kV.npz", "--out", out) == DONE
    said = capsys.readouterr().out
    told = [line for line in out.read_text().splitlines() if "=" in line and not line.startswith("#")]
    assert [line.split(" = ")[0] for line in told] == ["gain_counts_per_electron"]
    assert 140.0 < float(told[0].split()[2]) < 200.0
    assert "not told by these data: offset_counts, read_noise_counts, dark_counts_per_s: no dark reference" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing.npz"], "nothing.npz: cannot be read"),
        (["a.npy", "--pixel-nm", "-1"], "--pixel-nm = -1 must be above 0"),
        (["a.npy", "--share", "1.5"], "--share = 1.5 must be above 0 and at most 1"),
        (["a.npy", "--out", "none/twin.toml"], "--out: there is no folder none"),
        ([".", "--dwell-s", "1e-6"], ".: a run knows its own pixel size, times and dark references"),
        (["."], "events.jsonl"),
    ],
)
def test_bad_input_is_told(tmp_path, monkeypatch, capsys, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    np.save(Path("a.npy"), np.eye(40))
    assert calibrate(*arguments) == BAD_INPUT
    assert complaint in capsys.readouterr().err
