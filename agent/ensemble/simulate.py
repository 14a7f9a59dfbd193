"""Plays an ensemble of twins and collects what came of it in a folder; what the folder has is not played again.

base.json        the configuration before any parameter
members.jsonl    a line for every member, on disk as soon as it was played
ensemble.html    scores by parameter, and a table of all
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent import assemble
from agent.config import dump
from agent.ensemble.page import write_ensemble
from agent.ensemble.plan import Ensemble, Job, Parameters
from agent.episode import Episode, play
from agent.lines import append_line, read_lines
from hardware_bridge.words import Count, Text, Word

BASE, MEMBERS, PAGE = "base.json", "members.jsonl", "ensemble.html"


class Member(Word, frozen=True, kw_only=True):
    """What came of a member: its episode, or why there is none."""

    seed: Count
    parameters: Parameters
    episode: Episode | None = None
    failure: Text = ""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return Job(seed=self.seed, parameters=self.parameters).key


def simulate(ensemble: Ensemble, folder: Path, ray_address: str | None = None) -> list[str]:
    """Play all members of an ensemble that a folder does not hold yet, write its page, and sum up.

    Members that failed are played again. Without ``ray_address`` they are played in this process, one by one.

    Raises:
        ValueError: the folder holds members of another configuration.
        OSError: the folder cannot be written; nothing was played.
    """
    folder.mkdir(exist_ok=True)
    base, file = folder / BASE, folder / MEMBERS
    if base.exists() and base.read_bytes() != dump(ensemble.base):
        raise ValueError(f"--out: {base} is another configuration than the plan's: choose a new folder")
    base.write_bytes(dump(ensemble.base))
    members, skipped = read_lines(file, Member)
    for problem in skipped:
        print(problem, file=sys.stderr)
    known = {member.key: member for member in members if member.episode is not None}
    jobs = [job for job in ensemble.jobs if job.key not in known]
    with _bar() as bar:
        task = bar.add_task("members", total=len(ensemble.jobs), completed=len(ensemble.jobs) - len(jobs))
        for member in assemble.map_jobs(partial(_played, ensemble), jobs, ray_address):
            append_line(file, member)
            known[member.key] = member
            bar.advance(task)
    done = [known[job.key] for job in ensemble.jobs]
    whole = [(member.seed, member.parameters, member.episode) for member in done if member.episode is not None]
    failed = [f"seed {each.seed}, {each.parameters}: {each.failure}" for each in done if each.episode is None]
    write_ensemble(ensemble.plan, whole, failed, folder / PAGE)
    counts = f"{len(done)} members: {len(jobs)} played now, {len(failed)} failed, {len(skipped)} lines skipped"
    return [*failed, counts, f"written to {folder / PAGE}"]


def _played(ensemble: Ensemble, job: Job) -> Member:
    try:
        episode = play(ensemble.config_of(job.parameters), job.seed, 1.0)
    except Exception as error:  # noqa: BLE001 - one member that cannot be played leaves the others theirs
        failure = f"{type(error).__name__}: {error}"[:2000]
        return Member(seed=job.seed, parameters=job.parameters, failure=failure)
    return Member(seed=job.seed, parameters=job.parameters, episode=episode)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
