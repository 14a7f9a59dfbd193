"""Every command of the README is run, in its order, as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
COMMANDS = [line for line in LINES if line.startswith("adaptem ")]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the project's experiments and worlds, so that runs land outside the checkout."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("experiments", "agent"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_the_readme_is_short_and_names_the_two_commands() -> None:
    assert len(README.splitlines()) <= 150
    assert LINES[:2] == ["make run", "make test"]
    assert set(LINES) - set(COMMANDS) == {"make run", "make test"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_works(command: str, elsewhere: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program == "adaptem"
    done = subprocess.run(
        [str(Path(sys.executable).with_name("adaptem")), *arguments],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=110,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_make_run_ends_by_itself_with_a_score_beside_rasters(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = subprocess.run(
        ["make", "run", f"OUT={out}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=290,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        r"score of bayes on seed \d+: S = [+-]\d\.\d+; raster, same seed and dose: [+-]\d\.\d+", done.stdout
    )
    assert f"report: {out / 'report.html'}" in done.stdout
    assert (out / "report.html").stat().st_size > 50_000
