"""What commands of experiments ask for in common."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser(package: str, description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's own words as they stand."""
    return argparse.ArgumentParser(
        prog=f"python -m {package}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def record_folder(package: str, description: str | None, otherwise: Path) -> Path:
    """Where the record goes: the command's one argument, or a folder that is thrown away."""
    asked = parser(package, description)
    asked.add_argument("out", nargs="?", type=Path, metavar="OUT", help="where the record is kept (default: nowhere)")
    given: Path | None = asked.parse_args().out
    return given or otherwise
