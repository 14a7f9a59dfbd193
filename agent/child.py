"""Starts the twin's server as a process of its own, the way a lab starts the bridge beside its instrument."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError

START_S = 60.0
LINGER_S = 600.0
ENDPOINT = "endpoint"
LOG = "server.log"
JOURNAL = "journal"


class ServerFailed(RuntimeError):
    """The server did not come up; its last words are in the message."""


class ServedTwin:
    """A running `adaptem serve twin` for the run in ``folder``; ``fresh`` tells whether it was started just now.

    The server outlives a killed agent, blanked, so that the run can be resumed; it ends ``LINGER_S`` after its last
    client.
    """

    def __init__(self, endpoint: str, process: subprocess.Popen[bytes] | None) -> None:
        self.endpoint = endpoint
        self.fresh = process is not None
        self._process = process

    @classmethod
    @contextmanager
    def beside(cls, folder: Path, seed: int) -> Iterator[ServedTwin]:
        """Use the server that the run left behind, if it still answers, else start one; end it when the run is done."""
        left = folder / ENDPOINT
        if left.exists() and _answers(left.read_text()):
            yield cls(left.read_text(), None)
            return
        process = _start(folder, seed)
        try:
            endpoint = _ready(process, folder)
            left.write_text(endpoint)
            yield cls(endpoint, process)
        finally:
            _end(process)


def _answers(endpoint: str) -> bool:
    try:
        with Client(endpoint):
            return True
    except BridgeError:
        return False


def _start(folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "agent.cli", "serve", "twin", str(folder / "config.json")]
    command += ["--seed", str(seed), "--endpoint", "tcp://127.0.0.1:0"]
    command += ["--journal", str(folder / JOURNAL), "--linger", str(LINGER_S)]
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def _ready(process: subprocess.Popen[bytes], folder: Path) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + START_S
    said = b""
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stdout], [], [], 0.1)[0]:
            said += os.read(process.stdout.fileno(), 4096)
            for line in said.decode(errors="replace").splitlines(keepends=True):
                if line.startswith("ready ") and line.endswith("\n"):
                    return line.split()[1]
    words = (folder / LOG).read_text(errors="replace")[-2000:]
    raise ServerFailed(f"the twin's server did not come up within {START_S:g} s; it said:\n{words}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
