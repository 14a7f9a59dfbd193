"""Where the environments of foreign instruments are, and why one is not there."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python_of(name: str) -> Path:
    """The interpreter of an instrument's environment (`make foreign`); skips the test, with the reason, without one."""
    environment = ROOT / ".foreign" / name
    if (environment / "failed").exists():
        pytest.skip((environment / "failed").read_text().strip())
    if not (environment / "done").exists():
        pytest.skip(f"no environment for {name}: `make foreign` makes it")
    return environment / "bin" / "python"
