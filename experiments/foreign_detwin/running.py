"""Starts microscope and server for the time of a test or an experiment, each in de-twin's own environment."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.foreign import ROOT

READY_S = 180.0
"""The first start compiles de-twin's kernels, which takes a minute; every later one takes seconds."""

TOLD_S = 10.0
LINGER_S = 60.0
"""A bridge whose client died ends by itself."""


class Microscope:
    """A running de-twin: its ``sheet`` is what an operator knows of it."""

    def __init__(self, python: Path, seed: int) -> None:
        self._python = python
        self._server: subprocess.Popen[bytes] | None = None
        self._process = _start(python, "microscope", str(seed), stdin=subprocess.PIPE)
        try:
            self.sheet: dict[str, object] = json.loads(_line(self._process, READY_S))
        except BaseException:
            self.close()
            raise

    def truth(self) -> dict[str, float]:
        """How it really is: to judge by, never for the agent."""
        return self._told("truth")

    def gold(self) -> dict[str, float]:
        """How much gold there is where it looks: to judge by, never for the agent."""
        return self._told("gold")

    @contextlib.contextmanager
    def served(self, folder: Path, **measured: object) -> Iterator[str]:
        """A bridge to it with its journal in ``folder``; ``measured`` is added to its sheet. Yields the endpoint."""
        folder = folder.absolute()  # the server starts in another one
        folder.mkdir(parents=True, exist_ok=True)
        sheet = folder / "sheet.json"
        sheet.write_text(json.dumps({**self.sheet, **measured}))
        self._server = server = _start(self._python, "serve", str(sheet), str(folder), f"--linger={LINGER_S:g}")
        try:
            yield _line(server, READY_S).removeprefix("ready ")
        finally:
            _end(server)

    def kill_server(self) -> None:
        """Have the bridge that was started last die without a word."""
        assert self._server is not None
        self._server.kill()

    def beam(self) -> dict[str, float]:
        """Whether the beam is blanked, at the column itself."""
        return self._told("beam")

    def _told(self, question: str) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(question.encode() + b"\n")
        self._process.stdin.flush()
        told: dict[str, float] = json.loads(_line(self._process, TOLD_S))
        return told

    def close(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        _end(self._process)


@contextlib.contextmanager
def microscope(python: Path, seed: int) -> Iterator[Microscope]:
    """A microscope for the time of a with statement."""
    made = Microscope(python, seed)
    try:
        yield made
    finally:
        made.close()


def _start(python: Path, module: str, *arguments: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
    command = [str(python), "-m", f"experiments.foreign_detwin.{module}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=stdin, stdout=subprocess.PIPE)


def _line(process: subprocess.Popen[bytes], timeout_s: float) -> str:
    """The next line that a process says; raises RuntimeError where it ends or stays silent."""
    assert process.stdout is not None
    said = b""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and not said.endswith(b"\n"):
        if select.select([process.stdout], [], [], 0.1)[0]:
            byte = os.read(process.stdout.fileno(), 1)
            if not byte:
                break
            said += byte
    if not said.endswith(b"\n"):
        raise RuntimeError(f"{process.args!r} said {said!r} and nothing more")
    return said.decode().strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
