"""Starts the twin's server as a process of its own, the way a lab starts the bridge beside its instrument."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError
from hardware_bridge.own_code import command_of, environment

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

    @classmethod
    @contextmanager
    def beside(cls, folder: Path, seed: int) -> Iterator[ServedTwin]:
        """Use the server that the run left behind, if it still answers, else start one; end it when the run is done."""
        left = folder / ENDPOINT
        found = _left_behind(left, folder)
        if found is not None:
            endpoint, pid = found
            try:
                yield cls(endpoint, None)
            finally:
                left.unlink(missing_ok=True)
                if _serves(pid, folder):
                    os.kill(pid, signal.SIGTERM)
            return
        process = _start(folder, seed)
        try:
            endpoint = _ready(process, folder)
            left.write_text(f"{endpoint} {process.pid}\n")
            yield cls(endpoint, process)
        finally:
            left.unlink(missing_ok=True)
            _end(process)


def _left_behind(left: Path, folder: Path) -> tuple[str, int] | None:
    """Endpoint and process of the server that serves this run and no other, if it is there and answers."""
    try:
        endpoint, pid = left.read_text().split()
        return (endpoint, int(pid)) if _serves(int(pid), folder) and _answers(endpoint) else None
    except (OSError, ValueError):
        return None


def _serves(pid: int, folder: Path) -> bool:
    """Whether a process is the server of this run: its number, and its port too, may be another one's by now."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"serve" in words and os.fsencode(_config_of(folder)) in words


def _config_of(folder: Path) -> Path:
    return (folder / "config.json").resolve()


def _answers(endpoint: str) -> bool:
    try:
        with Client(endpoint):
            return True
    except BridgeError:
        return False


def _start(folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = command_of("agent.cli", "serve", "twin", str(_config_of(folder)))
    command += ["--seed", str(seed), "--endpoint", "tcp://127.0.0.1:0"]
    command += ["--journal", str(folder / JOURNAL), "--linger", str(LINGER_S)]
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(OMP_NUM_THREADS="1"),
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
