"""What no linter holds: light imports, the few dependencies of the bridge, short files and functions."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = ("agent", "digital_twin", "envs", "hardware_bridge", "policies")
ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
BRIDGE_MAY_IMPORT = {"hardware_bridge", "numpy", "msgspec", "zmq", "xxhash"} | sys.stdlib_module_names
NOT_IN_THE_LOOP = {"torch", "zmq", "ray", "botorch", "gpytorch", "digital_twin", "envs"}


def imported_names(path: Path) -> set[str]:
    """Top-level names of all absolute imports in a file, those inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_importing_the_loop_is_light() -> None:
    code = "import sys, agent.loop; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not NOT_IN_THE_LOOP & set(done.stdout.split())


@pytest.mark.parametrize("room", ROOMS)
def test_room_is_typed_and_says_what_lives_there(room: str) -> None:
    assert (ROOT / room / "py.typed").is_file()
    assert ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text()))


def test_agent_init_holds_nothing_but_its_docstring() -> None:
    assert len(ast.parse((ROOT / "agent/__init__.py").read_text()).body) == 1


def test_bridge_imports_few_packages() -> None:
    foreign = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "hardware_bridge").rglob("*.py")
        for name in imported_names(path) - BRIDGE_MAY_IMPORT
    }
    assert not foreign


def test_no_module_is_named_like_a_standard_one() -> None:
    # Such a file breaks the interpreter when it is started from that folder.
    assert not [path for path in SOURCES if path.stem in sys.stdlib_module_names]


def test_files_are_short() -> None:
    counts = {path: lines(path) for path in SOURCES}
    assert not {path: count for path, count in counts.items() if count > 400}
    assert statistics.median(counts.values()) < 150


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 60
    }
    assert not long
