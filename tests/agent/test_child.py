"""Which server a resumed run takes for its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import child
from agent.assemble import DEFAULT_CONFIG
from agent.config import dump, load
from hardware_bridge.client import Client


@pytest.mark.parametrize("words", [["serve", "twin"], ["report"]], ids=["its own", "another program"])
def test_only_the_process_that_serves_this_run_is_taken(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_answers", lambda endpoint: True)
    sleeper = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", *words]
    for folder in (tmp_path, tmp_path / "other"):
        folder.mkdir(exist_ok=True)
        with subprocess.Popen(
            [*sleeper, str(tmp_path / "config.json")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            (folder / "endpoint").write_text(f"tcp://127.0.0.1:5570 {process.pid}\n")
            found = child._left_behind(folder / "endpoint", folder)
            own = words[0] == "serve" and folder == tmp_path
            assert found == (("tcp://127.0.0.1:5570", process.pid) if own else None)
        assert child._left_behind(folder / "endpoint", folder) is None


def test_a_run_serves_its_own_code_whatever_lies_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("agent", "hardware_bridge"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('another one of this name')")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes(dump(load(DEFAULT_CONFIG)))
    monkeypatch.chdir(tmp_path)
    with child.ServedTwin.beside(run, seed=1) as served, Client(served.endpoint) as client:
        assert client.describe().name == "adaptem-twin"


@pytest.mark.parametrize("text", [None, "", "tcp://127.0.0.1:5570", f"tcp://127.0.0.1:5570 {os.getpid()}", "a b"])
def test_a_server_that_is_not_known_for_sure_is_none(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "endpoint").write_text(text)
    assert child._left_behind(tmp_path / "endpoint", tmp_path) is None
