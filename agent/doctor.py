"""Checks an installation: where each package comes from, what it runs with, and whether anything stands in its way."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

ROOMS = ("agent", "digital_twin", "envs", "hardware_bridge", "policies")
HOME = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def doctor(output: TextIO) -> int:
    """Print what was found; 0 where all is well, 1 where something is wrong."""
    problems = [*foreign_rooms(), *missing_dependencies(), *broken_dependencies(), *unwritable_folders()]
    output.write("\n".join([*_facts(), *(f"PROBLEM {problem}" for problem in problems)]) + "\n")
    output.write("all is well\n" if not problems else f"{len(problems)} problems\n")
    return 1 if problems else 0


def foreign_rooms(home: Path = HOME, rooms: Sequence[str] = ROOMS) -> Iterator[str]:
    """Name each package that the interpreter finds elsewhere than beside this one, or twice."""
    for room in rooms:
        ours = home / room / "__init__.py"
        found = origin(room)
        if found is None:
            yield f"{room}: not found, or a folder without __init__.py takes its place; expected {ours}"
        elif found != ours:
            yield f"{room}: {found} is not ours; expected {ours}"
        for entry in dict.fromkeys(sys.path):
            other = Path(entry or ".").resolve() / room
            # Without an __init__.py it stands in nobody's way: a real package wins wherever it is on the path.
            if (other / "__init__.py").is_file() and other != ours.parent:
                yield f"{room}: another one at {other} is on the path too, and may be taken for ours"


def origin(name: str) -> Path | None:
    """The file that ``import name`` runs; None where there is none, as for a namespace package."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None


def missing_dependencies() -> Iterator[str]:
    """Name each package that this one needs and that is not installed."""
    for name, version in dependencies().items():
        if version is None:
            yield f"{name}: not installed"


def broken_dependencies() -> Iterator[str]:
    """Say what is wrong with torch, the one package that is often installed and cannot be loaded."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield f"torch: cannot be imported: {error}"
    else:
        if torch.get_num_threads() > 2 * cores():
            yield f"torch: uses {torch.get_num_threads()} threads on {cores()} cores; set OMP_NUM_THREADS"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def dependencies() -> dict[str, str | None]:
    """Versions of what the distribution says it needs at run time; None where one is not installed."""
    try:
        required = importlib.metadata.requires("adaptem") or []
    except importlib.metadata.PackageNotFoundError:
        return {"adaptem": None}
    found: dict[str, str | None] = {"adaptem": importlib.metadata.version("adaptem")}
    for requirement in required:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def unwritable_folders() -> Iterator[str]:
    """Say where temporary files cannot be written."""
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        yield f"temporary files cannot be written: {error}"


def _facts() -> Iterator[str]:
    yield f"python {platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}"
    for room in ROOMS:
        yield f"{room:16} {origin(room)}"
    for name, version in dependencies().items():
        yield f"{name:16} {version}"
    settings = ", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in THREADS)
    yield f"{cores()} cores, {settings}"
