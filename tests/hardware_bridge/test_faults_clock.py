"""The wall clock is stepped by an hour under bridge and agent: no deadline notices."""

import ast
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import running, served, signal_and_time, wait_line, wait_until

import hardware_bridge
from hardware_bridge.client import Client

BLANKED_WITHIN_NS = 500_000_000
COMPILER = shutil.which("cc")
# Between the program and the C library: the wall clock is off by STEP_S seconds from when the file STEP exists.
STEPPED = r"""
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long step(void) {
    const char *path = getenv("STEP"), *by_s = getenv("STEP_S");
    return path && by_s && access(path, F_OK) == 0 ? atol(by_s) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += step();
    return (int)failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    long failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed) now->tv_sec += step();
    return (int)failed;
}

time_t time(time_t *now) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (now) *now = at.tv_sec;
    return at.tv_sec;
}
"""


@pytest.fixture
def inside(tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """The beginning of a command line under a wall clock that is stepped once ``tmp_path / "step"`` is there."""
    if COMPILER is None:
        pytest.skip("there is no C compiler here to put a stepped clock under a process")
    source, library = tmp_path / "stepped.c", tmp_path / "stepped.so"
    source.write_text(STEPPED)
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return ["env", f"LD_PRELOAD={library}", f"STEP={tmp_path / 'step'}", f"STEP_S={request.param}"]


@pytest.mark.parametrize(
    "inside",
    [pytest.param(3600, id="an hour on", marks=pytest.mark.slow), pytest.param(-3600, id="an hour back")],
    indirect=True,
)
def test_work_goes_on_through_a_step_of_the_wall_clock_and_blanks_in_time(tmp_path: Path, inside: list[str]) -> None:
    step = tmp_path / "step"
    with served(tmp_path / "bridge", inside, chunk_s=0.005) as server:
        with running("agent_process.py", server.endpoint, "turns", inside=inside) as agent:
            assert wait_line(agent, "ended ") == "False 0"
            step.touch()
            assert off_by_s(inside) == pytest.approx(float(inside[-1].split("=")[1]), abs=60)
            for _ in range(20):
                assert wait_line(agent, "ended ") == "False 0"
            agent.kill()
            since_s = time.monotonic()
            with Client(server.endpoint):
                assert time.monotonic() - since_s < 4.0  # its lease was lost as soon as without a step
        step.unlink()
        with running("agent_process.py", server.endpoint, "scan", inside=inside) as agent:
            wait_line(agent, "scanning")
            step.touch()
            time.sleep(1.0)
            assert not server.beam.is_blanked
            since_ns = signal_and_time(agent, signal.SIGKILL)
            wait_until(lambda: server.beam.is_blanked)
            assert server.beam.changed_ns - since_ns < BLANKED_WITHIN_NS


def off_by_s(inside: list[str]) -> float:
    """By how much the wall clock is off there."""
    said = subprocess.run([*inside, sys.executable, "-c", "import time; print(time.time())"], stdout=subprocess.PIPE)
    return float(said.stdout) - time.time()


def test_the_bridge_asks_no_clock_but_the_monotonic_one() -> None:
    allowed = {"monotonic", "monotonic_ns", "sleep"}
    asked = set()
    for path in Path(hardware_bridge.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                asked.add(node.attr)
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in ("time", "datetime"), path
            elif isinstance(node, ast.Import):
                assert "datetime" not in {name.name for name in node.names}, path
    assert asked <= allowed
    assert "monotonic" in asked
