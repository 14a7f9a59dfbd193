"""A training's configuration: all that is wrong is told at once, and nothing is started for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent.config import ConfigErrors
from agent.training.plan import Plan, read_plan

SHIPPED = sorted((Path(__file__).parents[3] / "experiments/chooser").glob("*.toml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    assert read_plan(written(tmp_path, 'world = "growth"')) == Plan(world="growth")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_plans_are_in_order(path: Path) -> None:
    assert read_plan(path).minutes <= 60


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('world = "growth"\nminuts = 3', r"minuts: unknown field, did you mean minutes\?"),
        ('world = "growth"\n[ppo]\nrates = 1', r"ppo.rates: unknown field"),
        ('world = "growth"\nminutes = -1', "minutes: expected"),
        ('world = "growth"\nseeds = [1, 3]', r"seeds = \[1, 3\]: the first and the last of 12 to"),
        ('world = "growth"\nbeyond = 0.5\napart = 0.4', "beyond . apart = 0.9: at most 0.8"),
        ('world = "nowhere"', "world = 'nowhere' is unknown: choose one of"),
        ('world = "defects"', "world = 'defects': how its reader errs is unknown"),
        ("world = ", "Invalid value"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigErrors, match=told):
        read_plan(written(tmp_path, text))


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read_plan(written(tmp_path, "minuts = 3\nruns = 0"))
    assert all(name in str(caught.value) for name in ("minuts", "runs", "world"))


def test_a_wrong_plan_fails_before_ray_is_loaded(tmp_path: Path) -> None:
    path = written(tmp_path, 'world = "growth"\nminuts = 3')
    code = (
        "import sys; from agent.cli import main; "
        f"status = main(['train', {str(path)!r}, '--out', {str(tmp_path / 'out')!r}]); "
        "print('ray' in sys.modules); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "minuts: unknown field" in done.stderr
    assert done.stdout.strip() == "False"
    assert not (tmp_path / "out").exists()
