"""The plan of an ensemble: which members it has, and that nothing begins before all of them are known to be good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.config import ConfigErrors
from agent.ensemble.plan import Plan, Sample, Spread, load_plan

ROOT = Path(__file__).resolve().parents[3]
SHOWN = ROOT / "experiments" / "ensembles" / "growth.toml"
HEAD = f'config = "{ROOT / "agent" / "growth.toml"}"\nseeds = "1-2"\n'


def plan(folder: Path, text: str, head: str = HEAD) -> Path:
    path = folder / "plan.toml"
    path.write_text(head + text, encoding="utf-8")
    return path


def test_every_seed_meets_every_point_and_draw() -> None:
    ensemble = load_plan(SHOWN)
    assert len(ensemble.jobs) == len({job.key for job in ensemble.jobs}) == 2 * 4 * 2
    decays = {job.parameters["instrument.conditions.decay_nm"] for job in ensemble.jobs}
    assert len(decays) == 2
    config = ensemble.config_of(ensemble.jobs[-1].parameters)
    assert config.instrument.conditions["decay_nm"] == ensemble.jobs[-1].parameters["instrument.conditions.decay_nm"]
    assert config.policy.name == "bayes"
    assert config.budget.electrons == 4e8


def test_draws_fill_their_range_and_more_of_them_begin_with_the_same() -> None:
    sample = Sample(members=400, ranges={"a": Spread(low=1.0, high=100.0, log=True), "b": Spread(low=-1.0, high=1.0)})
    a, b = zip(*((draw["a"], draw["b"]) for draw in sample.draws()), strict=True)
    # Half of the draws lie below the middle, give or take three standard deviations of a coin.
    assert abs(sum(value < 10.0 for value in a) - 200) < 30
    assert abs(sum(value < 0.0 for value in b) - 200) < 30
    assert min(a) >= 1.0
    assert max(a) <= 100.0
    assert Sample(members=3, ranges=sample.ranges).draws() == sample.draws()[:3]


def test_a_policy_comes_with_its_own_settings(tmp_path: Path) -> None:
    head = f'config = "{ROOT / "agent" / "worlds" / "valence.toml"}"\nseeds = "1"\n'
    ensemble = load_plan(plan(tmp_path, '[grid]\n"policy.name" = ["raster", "greedy"]\n', head))
    raster, greedy = (ensemble.config_of(job.parameters) for job in ensemble.jobs)
    assert "tiles" in raster.policy.settings
    assert greedy.policy.settings == {}


def test_settings_with_dots_in_their_names_can_be_varied(tmp_path: Path) -> None:
    text = "[grid]\n'policy.settings.\"view.pixels\"' = [64, 128]\n'policy.name' = ['raster']\n"
    head = f'config = "{ROOT / "agent" / "growth.toml"}"\nseeds = "1"\n'
    ensemble = load_plan(plan(tmp_path, text, head))
    assert [ensemble.config_of(job.parameters).policy.settings["view.pixels"] for job in ensemble.jobs] == [64, 128]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grids = {}\n", "grids: unknown field, did you mean grid?"),
        ('[grid]\n"budget.electron" = [1e8]\n', "budget.electron: unknown field, did you mean electrons?"),
        ('[grid]\n"budget.electrons" = [1e8, -1]\n', "budget.electrons: expected float > 0"),
        ('[grid]\n"budget.electrons" = []\n', "grid.budget.electrons: no values"),
        ('[grid]\n"instrument.conditions.decay" = [1]\n', "conditions.decay: unknown field"),
        ('[grid]\n"policy.name" = ["rastr"]\n', "'rastr' is unknown"),
        (
            '[grid]\n"instrument.kind" = ["bridge"]\n"instrument.endpoint" = ["tcp://127.0.0.1:5570"]\n',
            "ensemble is of",
        ),
        ("[sample]\nmembers = 0\nranges = {}\n", "sample.members: expected int >= 1"),
        ('[sample]\nmembers = 1\nranges."budget.electrons" = { low = 2, high = 1 }\n', "low 2 is above high 1"),
        ('[sample]\nmembers = 1\nranges."budget.electrons" = { low = 0, high = 1, log = true }\n', "no logarithm"),
        ("[sample]\nmembers = 1000000\nranges = {}\n", "2000000 members: at most 1000000"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as refused:
        load_plan(plan(tmp_path, text))
    assert told in str(refused.value)


def test_bad_seeds_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="seeds = 'x'"):
        load_plan(plan(tmp_path, "", HEAD.replace("1-2", "x")))
    with pytest.raises(ConfigErrors, match=r"none\.toml\n  cannot be read"):
        load_plan(tmp_path / "none.toml")
    with pytest.raises(ConfigErrors, match="not TOML"):
        load_plan(plan(tmp_path, "= 3"))
    with pytest.raises(ConfigErrors, match=r"none\.toml\n  cannot be read"):
        load_plan(plan(tmp_path, "", 'config = "none.toml"\nseeds = "1"\n'))


def test_an_unknown_parameter_fails_before_ray_starts(tmp_path: Path) -> None:
    path = plan(tmp_path, '[grid]\n"budget.electron" = [1e8]\n')
    code = (
        "import sys; from agent.cli import main;"
        f"status = main(['simulate', {str(path)!r}, '--out', {str(tmp_path / 'out')!r}, '--ray', 'local']);"
        "print(status, 'ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2 False"
    assert "did you mean electrons?" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_plan_is_a_word() -> None:
    assert Plan(config="a", seeds="1").grid == {}
