"""`adaptem dkl` from a file to its table and picture, and how it tells what is wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.cli import main
from agent.structure.files import read_spectrum_image
from agent.structure.replay import Asked, replay

Stored = Callable[..., Path]
WINDOWS = ["--window", "138", "152", "--background", "100", "130"]


def test_a_file_becomes_a_table_and_a_picture(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(image=True)
    assert main(["dkl", str(path), *WINDOWS, "--share", "0.06", "--seed", "2"]) == 0
    told = capsys.readouterr()
    folder = path.with_name("map-dkl")
    with (folder / "order.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    done = replay(read_spectrum_image(path), Asked((138.0, 152.0), (100.0, 130.0), share=0.06, seed=2))
    assert [24 * int(row["row"]) + int(row["column"]) for row in rows] == done.rows.tolist()
    assert [float(row["counts"]) for row in rows] == pytest.approx(done.values.ravel()[done.rows])
    assert sum(int(row["among_best"]) for row in rows) == done.found()[-1]
    assert [int(row["order"]) for row in rows] == list(range(1, 30))
    assert f"29 of 480 spectra (6.0%), led by image haadf\n{done.found()[-1]} of the best 5 found" in told.out
    assert "29 of 29 spectra" in told.err
    with Image.open(folder / "search.png") as picture:
        assert picture.size == (1200, 420)
        assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--window", "1", "2"], "--window 1 2: holds 0 of the channels 90..188"),
        ([*WINDOWS, "--dataset", "no"], "--dataset no: choose one of Experiments/Measured/data"),
        ([*WINDOWS, "--out", "/no/where/at/all"], "--out: there is no folder /no/where/at"),
    ],
)
def test_what_is_wrong_is_one_line(
    stored: Stored, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["dkl", str(stored()), *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("adaptem: ")
    assert told in last
