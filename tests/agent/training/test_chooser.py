"""Training: worlds are parted, greedy is given its best weight, and a kill loses nothing but the iteration it hit."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from agent.training import chooser, curves
from agent.training.chooser import Parts, chosen_by, greedily, played
from agent.training.plan import Plan
from agent.training.practice import Bank
from policies.chooser.checkpoint import load
from policies.chooser.network import Attending

NO_RLLIB = "RLlib is not installed: pip install 'adaptem[offline]'"
needs_rllib = pytest.mark.skipif(importlib.util.find_spec("tree") is None, reason=NO_RLLIB)
PLAN = """\
world = "valence"
seeds = [20000, 20023]
runs = 8
minutes = 30
check_every = 1
patience = 2
greedy_weights = [1.0]
[ppo]
minibatch = 512
epochs = 1
"""


@pytest.fixture(scope="module")
def parts() -> Parts:
    from agent.training import course

    plan = Plan(world="valence", seeds=(20_000, 20_019))
    return Parts.of(plan, course.bank("valence", range(20_000, 20_020), None, lambda line: None))


def test_worlds_are_parted_and_the_most_unusual_kept_from_training() -> None:
    torch.manual_seed(0)
    bank = Bank(torch.zeros(40, 2, 1, 1), torch.zeros(40, 1, 5), torch.randn(40, 3))
    parts = Parts.of(Plan(world="growth", beyond=0.2, apart=0.25), bank)
    every = torch.cat([parts.trained, parts.apart, parts.beyond]).sort().values
    assert torch.equal(every, torch.arange(40))
    assert len(parts.beyond) == 8
    unusual = bank.globals.abs().amax(dim=1)
    assert unusual[parts.beyond].min() >= unusual[torch.cat([parts.trained, parts.apart])].max()
    assert len(parts.apart) == 8


def test_who_chooses_alike_scores_alike_on_the_same_worlds(parts: Parts) -> None:
    plan = Plan(world="valence", seeds=(20_000, 20_019))
    ours, budgets = played(plan, parts, parts.apart, chosen_by(Attending()), 1.0)
    theirs, same = played(plan, parts, parts.apart, greedily, 1.0)
    # A network that has learned nothing has greedy's order.
    assert torch.equal(ours, theirs)
    assert torch.equal(budgets, same)


def test_another_plan_does_not_go_on_in_a_folder(tmp_path: Path) -> None:
    chooser._same_plan(Plan(world="valence"), tmp_path)
    chooser._same_plan(Plan(world="valence"), tmp_path)
    with pytest.raises(ValueError, match="another training"):
        chooser._same_plan(Plan(world="valence", runs=3), tmp_path)


def run(*arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "agent.cli", "train", *arguments]
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@needs_rllib
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_training_goes_on_where_it_was(tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "trained"
    plan.write_text(PLAN)
    first = run(str(plan), "--out", str(out))
    while len(curves.load(out)[0].points) < 2:
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    before = curves.load(out)[0]
    second = run("--resume", str(out))
    told, complaints = second.communicate()
    assert second.returncode == 0, complaints
    after = curves.load(out)[0]
    assert after.points[: len(before.points)] == before.points
    assert [point.iteration for point in after.points] == list(range(1, len(after.points) + 1))
    # It ended because checks brought nothing more.
    assert len(after.points) == after.best_at + 2
    best = load(out / chooser.CHOOSER)
    assert best.card.scores["practice_apart_above_greedy"][1] <= best.card.scores["practice_apart_above_greedy"][2]
    assert best.card.steps == after.steps
    assert "learning curves in" in told
    assert (out / curves.PICTURE).is_file()


@needs_rllib
@pytest.mark.slow
def test_state_comes_back_into_a_fresh_trainer(parts: Parts) -> None:
    from agent.training import course
    from policies.training.ppo import Trainer
    from policies.training.settings import PpoSettings

    practice = course.practice("valence", parts.some(parts.trained), 4, 0)
    settings = PpoSettings(minibatch=256, epochs=1)
    with Trainer(settings, practice) as trainer:
        told = trainer.iterate(1)
        state = trainer.state()
        with Trainer(settings, practice) as other:
            other.restore(state)
            again = other.state()
            network = other.network().arrays()
    assert told["steps"] > 400
    assert state.keys() == again.keys()
    assert all((state[name] == again[name]).all() for name in state)
    assert all((state[f"network.{name}"] == each).all() for name, each in network.items())
    assert any(name.startswith("moment.") for name in state)
