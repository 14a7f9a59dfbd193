"""How this process starts another one that runs the same code, whatever lies in the folder it is started in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def command_of(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules; without -P a folder named like a package of ours would come first."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """The environment for it: this one, with the packages of this process first, and ``more``."""
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{before}" if before else str(ROOT), **more}
