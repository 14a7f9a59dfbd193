"""Processes that are started, spoken with by lines, signalled and ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path


class Child:
    """A module of this folder as a process of its own; what it writes to stderr goes to ``errors``."""

    def __init__(self, module: str, *arguments: str, errors: Path) -> None:
        command = [sys.executable, "-m", f"experiments.bridge_faults.{module}", *arguments]
        with errors.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self._said = b""

    def say(self, line: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def hear(self, start: str, timeout_s: float = 20.0) -> str:
        """Wait for a line that begins so and return the rest of it; lines before it are forgotten.

        Raises:
            TimeoutError: it did not say so in time, or has ended.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while True:
            line, newline, rest = self._said.partition(b"\n")
            if newline:
                self._said = rest
                if line.decode().startswith(start):
                    return line.decode().removeprefix(start).strip()
                continue
            if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"{self._process.args!r} did not say {start!r} within {timeout_s:g} s")
            read = os.read(self._process.stdout.fileno(), 4096)
            if not read:
                raise TimeoutError(f"{self._process.args!r} ended before it said {start!r}")
            self._said += read

    def signal(self, number: int) -> int:
        """Send a signal; returns the time just before, in ns of the monotonic clock."""
        before_ns = time.monotonic_ns()
        os.kill(self._process.pid, number)
        return before_ns

    def end(self) -> None:
        """Kill it, however it stands, and wait for its end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
