"""The benchmark of Ray measures what it says: ensembles of every member once, choices that agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.benchmarks.ray_scaling import asked

ROOT = Path(__file__).resolve().parents[3]


def test_there_is_something_to_choose_from() -> None:
    own, proposals, situation = asked()
    assert len(proposals) > 4
    assert own.rank(proposals, situation)[0] in proposals


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_prints_all_of_its_numbers() -> None:
    command = [sys.executable, "-m", "experiments.benchmarks.ray_scaling", "--workers", "1", "--members", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 members of 20 turns in process" in done.stdout
    assert "1 workers: there in" in done.stdout
    for what in ("a call with 1048576 bytes", "a choice, in process", "a choice, by messenger and actor"):
        assert what in done.stdout
