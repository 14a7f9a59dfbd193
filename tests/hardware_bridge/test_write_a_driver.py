"""The page on drivers: its example is the file beside it, is short, runs as it says, and passes the contract."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract import CHECKS, Acquisition
from processes import end, wait_line

from hardware_bridge.client import Client
from hardware_bridge.messages import Acquire, Command
from hardware_bridge.microscope import Microscope

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "tiny_microscope.py"
PAGE = (ROOT / "docs" / "write-a-driver.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def exposure(name: str, frames: int) -> Command:
    acquire = Acquire(mode="HRTEM", fov_nm=100.0, pixels_x=64, pixels_y=64, dwell_s=0.01, max_frames=frames)
    return Command(id=name, acquire=acquire)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tiny")
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), str(folder / "journal")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    yield wait_line(process, "ready ")
    end(process)


def test_the_page_shows_the_file_and_the_file_is_short() -> None:
    assert BLOCKS[0] == EXAMPLE.read_text(encoding="utf-8")
    assert len(BLOCKS[0].splitlines()) < 100


def test_what_the_page_tries_works(endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(BLOCKS[1].replace("tcp://127.0.0.1:5570", endpoint), "page", "exec"), {})  # noqa: S102 - our own page
    mean, charged, stage_x_nm = map(float, capsys.readouterr().out.split())
    electrons = 20.0 * 0.02 * 6.24e6  # of one exposure, over 64 x 64 pixels
    assert mean == pytest.approx(electrons / 64**2, rel=0.02)
    # This camera exposes until it is woken: on a busy machine longer than asked, and that is charged too.
    assert charged > 0.99 * 4 * 1.05 * electrons
    assert stage_x_nm == 250.0


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)]+)\)", PAGE))
def test_links_of_the_page_lead_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).is_file()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(endpoint: str, check: Callable[[Microscope, Acquisition], None]) -> None:
    with Client(endpoint) as client:
        check(client, exposure)
