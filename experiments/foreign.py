"""Starts the servers of foreign instruments, each with the interpreter of its own environment (`make foreign`)."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START_S, END_S = 60.0, 10.0


class NotInstalled(RuntimeError):
    """The environment of a foreign instrument is not there; the message says why."""


def python_of(name: str) -> Path:
    """The interpreter of an instrument's environment; raises NotInstalled with the reason."""
    environment = ROOT / ".foreign" / name
    if (environment / "failed").exists():
        raise NotInstalled((environment / "failed").read_text().strip())
    if not (environment / "done").exists():
        raise NotInstalled(f"no environment for {name}: `make foreign` makes it")
    return environment / "bin" / "python"


@contextmanager
def served(name: str, module: str, *arguments: str) -> Iterator[str]:
    """Run `python -m MODULE ARGUMENTS` in an instrument's environment and yield the endpoint where it is ready.

    Raises:
        NotInstalled: there is no such environment.
        RuntimeError: the server did not come up, or did not end well.
    """
    process = subprocess.Popen(
        [str(python_of(name)), "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    try:
        yield _ready(process, module)
    finally:
        process.terminate()
        try:
            code = process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        assert process.stdout is not None
        process.stdout.close()
    if code != 0:
        raise RuntimeError(f"the server {module} ended with {code}")


def _ready(process: subprocess.Popen[bytes], module: str) -> str:
    assert process.stdout is not None
    said, deadline = b"", time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stdout], [], [], 0.1)[0]:
            said += os.read(process.stdout.fileno(), 4096)
            for line in said.decode(errors="replace").splitlines(keepends=True):
                if line.startswith("ready ") and line.endswith("\n"):
                    return line.split()[1]
    raise RuntimeError(f"the server {module} was not ready within {START_S:g} s; it said {said!r}")
