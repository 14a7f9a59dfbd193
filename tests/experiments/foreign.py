"""Foreign instruments for tests: skipped, with the reason, where their environment cannot be made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiments import foreign

ROOT = foreign.ROOT


def python_of(name: str) -> Path:
    """The interpreter of an instrument's environment (`make foreign`); skips the test, with the reason, without one."""
    try:
        return foreign.python_of(name)
    except foreign.NotInstalled as reason:
        pytest.skip(str(reason))


@contextmanager
def served(name: str, module: str, *arguments: str) -> Iterator[str]:
    """A foreign instrument's server for the time of a test; yields its endpoint."""
    python_of(name)
    with foreign.served(name, module, *arguments) as endpoint:
        yield endpoint
