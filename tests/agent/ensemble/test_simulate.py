"""An ensemble is played once, survives being killed, tells what is torn or failed, and is the same with Ray."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.ensemble.plan import Ensemble, load_plan
from agent.ensemble.simulate import MEMBERS, PAGE, Member, simulate
from agent.episode import play
from agent.lines import read_lines

ROOT = Path(__file__).resolve().parents[3]
TEXT = f"""
config = "{ROOT / "agent" / "growth.toml"}"
seeds = "1-2"
[grid]
"policy.name" = ["staring", "raster"]
"budget.turns" = [1, 2]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def ensemble(path: Path) -> Ensemble:
    return load_plan(path)


def timeless(members: list[Member]) -> list[Member]:
    """Members in order, without how long decisions took."""
    episodes = [
        msgspec.structs.replace(m, episode=m.episode and msgspec.structs.replace(m.episode, suggest_median_s=0.0))
        for m in members
    ]
    return sorted(episodes, key=lambda member: member.key)


def test_members_are_episodes_with_their_parameters(ensemble: Ensemble, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = simulate(ensemble, out)
    assert told == ["8 members: 8 played now, 0 failed, 0 lines skipped", f"written to {out / PAGE}"]
    members, _ = read_lines(out / MEMBERS, Member)
    assert {member.key for member in members} == {job.key for job in ensemble.jobs}
    one = next(m for m in members if m.seed == 2 and m.parameters == {"policy.name": "raster", "budget.turns": 2})
    alone = Member(seed=2, parameters=one.parameters, episode=play(ensemble.config_of(one.parameters), 2, 1.0))
    assert timeless([one]) == timeless([alone])
    page = (out / PAGE).read_text("utf-8")
    assert page.count("<svg") == 2
    assert re.search(r"<td>raster</td><td>2</td><td class=n>2</td>", page)
    assert "8 members" in page


def test_what_is_torn_is_named_and_played_again_and_nothing_else_is(
    ensemble: Ensemble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    simulate(ensemble, out)
    whole = (out / MEMBERS).read_bytes()
    lines = whole.splitlines(keepends=True)
    (out / MEMBERS).write_bytes(b"".join(lines[:5]) + b"\n" + lines[6] + lines[7][:40])
    capsys.readouterr()
    assert simulate(ensemble, out)[0] == "8 members: 2 played now, 0 failed, 2 lines skipped"
    complained = capsys.readouterr().err
    assert "members.jsonl, line 6: skipped: it is empty" in complained
    assert "members.jsonl, line 8: skipped" in complained
    members, problems = read_lines(out / MEMBERS, Member)
    assert len(members) == 8
    assert len(problems) == 2
    with pytest.raises(ValueError, match=r"base\.json is another configuration"):
        simulate(load_plan(tmp_path / "plan.toml", ["budget.electrons=1e7"]), out)


def test_a_plan_that_grew_goes_on(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    simulate(load_plan(path), out)
    path.write_text(TEXT.replace('"1-2"', '"1-3"'), encoding="utf-8")
    assert simulate(load_plan(path), out)[0] == "12 members: 4 played now, 0 failed, 0 lines skipped"


def test_a_member_that_fails_leaves_the_others_theirs_and_is_tried_again(path: Path, tmp_path: Path) -> None:
    # A file that is there when the plan is checked, and gone when it is played.
    image, out = tmp_path / "image.npy", tmp_path / "out"
    np.save(image, np.random.default_rng(1).random((64, 64)))
    extra = f'"instrument.image" = ["{image}"]\n"instrument.specimen_pixel_nm" = [8.0]\n'
    path.write_text(TEXT.replace('"policy.name"', f'{extra}"policy.name"').replace('"1-2"', '"1"'), encoding="utf-8")
    ensemble = load_plan(path)
    hidden = image.rename(tmp_path / "elsewhere.npy")
    told = simulate(ensemble, out)
    assert told[-2] == "4 members: 4 played now, 4 failed, 0 lines skipped"
    assert "image.npy" in told[0]
    assert "image.npy" in (out / PAGE).read_text("utf-8")
    hidden.rename(image)
    assert simulate(ensemble, out)[0] == "4 members: 4 played now, 0 failed, 0 lines skipped"
    assert simulate(ensemble, out)[0] == "4 members: 0 played now, 0 failed, 0 lines skipped"


def test_killed_it_goes_on_where_it_was(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "agent.cli", "simulate", str(path), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while process.poll() is None and len(read_lines(out / MEMBERS, Member)[0]) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    before, _ = read_lines(out / MEMBERS, Member)
    told = simulate(load_plan(path), out)
    after, _ = read_lines(out / MEMBERS, Member)
    assert after[: len(before)] == before
    assert len(after) == 8
    assert told[0].startswith(f"8 members: {8 - len(before)} played now")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_ray_plays_the_same(ensemble: Ensemble, tmp_path: Path) -> None:
    simulate(ensemble, tmp_path / "here")
    simulate(ensemble, tmp_path / "there", "local")
    here, there = (read_lines(tmp_path / name / MEMBERS, Member)[0] for name in ("here", "there"))
    assert timeless(here) == timeless(there)
