"""Processes that tests start, kill and freeze, and what they read of the beam from outside."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hardware_bridge.blanker import Blanker

HERE = Path(__file__).parent


class Served:
    """A running server of the bench instrument; ``beam`` is the blanker as an outsider sees it.

    ``inside`` is the beginning of the command line, where it runs somewhere else; ``folder`` is where its journal lies.
    """

    def __init__(self, folder: Path, inside: Sequence[str] = (), **options: object) -> None:
        folder.mkdir(exist_ok=True)
        arguments = [f"{key}={value}" for key, value in options.items()]
        self.process = start("served.py", str(folder), *arguments, inside=inside)
        self.endpoint = wait_line(self.process, "ready ")
        # As the server sees it, which may have a disk of its own there.
        self.folder = Path(f"/proc/{self.process.pid}/root", *folder.absolute().parts[1:])
        self.beam = Blanker(self.folder / "beam")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(5)

    def close(self) -> None:
        self.beam.close()
        end(self.process)


def start(
    script: str, *arguments: str, inside: Sequence[str] = (), stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Start one of the scripts beside this file."""
    # A script's own folder is what it imports from first; the bridge must be that of this tree, not one installed.
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    command = [*inside, sys.executable, str(HERE / script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, however it stands, and wait for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
    if process.stdout is not None:
        process.stdout.close()


def wait_line(process: subprocess.Popen[bytes], start_of_line: str, timeout_s: float = 20.0) -> str:
    """Read what the process says until a line begins so; returns the rest of it."""
    assert process.stdout is not None
    deadline = time.monotonic() + timeout_s
    said = b""
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stdout], [], [], 0.1)[0]:
            said += os.read(process.stdout.fileno(), 4096)
        for line in said.decode().splitlines(keepends=True):
            if line.startswith(start_of_line) and line.endswith("\n"):
                return line.removeprefix(start_of_line).strip()
    end(process)
    raise AssertionError(f"the process did not say {start_of_line!r} but {said!r}")


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Poll every ms until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.001)


@contextlib.contextmanager
def served(folder: Path, inside: Sequence[str] = (), **options: object) -> Iterator[Served]:
    """A server for the time of a test."""
    server = Served(folder, inside, **options)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def running(script: str, *arguments: str, inside: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the time of a test."""
    process = start(script, *arguments, inside=inside)
    try:
        yield process
    finally:
        end(process)


def signal_and_time(process: subprocess.Popen[bytes], number: int) -> int:
    """Send a signal and return when, in ns of the monotonic clock."""
    before_ns = time.monotonic_ns()
    os.kill(process.pid, number)
    return before_ns
