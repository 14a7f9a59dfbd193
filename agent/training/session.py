"""A training as a person meets it: begun or gone on with, with a bar, and what came of it in a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import msgspec
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from agent.training import chooser
from agent.training.curves import PICTURE, Progress
from agent.training.plan import Plan, read_plan
from policies.chooser.checkpoint import load


def train(config: Path | None, folder: Path | None, resumed: Path | None, screen: TextIO) -> str:
    """Bring a training to its end, begun into a new folder or gone on with; returns what came of it.

    Raises:
        ConfigErrors: something is wrong with its configuration; nothing was started.
        ValueError: the folder is there already, or holds no training, or something is given that would go unheard.
    """
    if resumed is not None:
        if config is not None or folder is not None:
            raise ValueError("--resume takes no config and no --out: the training holds its own")
        return _trained(_plan_of(resumed), resumed, screen)
    if config is None or folder is None:
        raise ValueError("a config and --out are needed (or --resume FOLDER)")
    plan = read_plan(config)
    if folder.exists():
        raise ValueError(f"--out: {folder} is there already: choose a new folder, or go on with --resume {folder}")
    return _trained(plan, folder, screen)


def _plan_of(folder: Path) -> Plan:
    try:
        return msgspec.json.decode((folder / chooser.PLAN).read_bytes(), type=Plan)
    except (OSError, msgspec.MsgspecError) as none:
        raise ValueError(f"--resume: {folder} holds no training: {none}") from None


def _trained(plan: Plan, folder: Path, screen: TextIO) -> str:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=screen)) as bar:
        task = bar.add_task(plan.world, total=plan.minutes)

        def say(progress: Progress, plan: Plan) -> None:
            last = progress.points[-1]
            best = "" if progress.best is None else f", best {progress.best:+.3f} (greedy {progress.greedy:+.3f})"
            told = f"{plan.world}: {len(progress.points)} iterations, score {last.score:+.3f}{best}"
            bar.update(task, completed=min(progress.minutes, plan.minutes), description=told)

        progress = chooser.train(plan, folder, say, lambda line: bar.console.print(line, highlight=False))
    return summary(folder, progress)


def summary(folder: Path, progress: Progress) -> str:
    """What came of a training."""
    sampled = sum(point.sampled_s for point in progress.points)
    lines = [
        f"{progress.steps} looks practised in {progress.minutes:.1f} min: {progress.steps / max(sampled, 1e-9):.0f} a "
        f"second while practising, {progress.steps / max(60 * progress.minutes, 1e-9):.0f} with learning",
    ]
    path = folder / chooser.CHOOSER
    if not path.with_suffix(".json").is_file():
        return "\n".join([*lines, "no chooser was checked: it ended too early"])
    for name, (mean, low, high) in load(path).card.scores.items():
        lines.append(f"{name}: {mean:+.3f} [{low:+.3f}, {high:+.3f}]")
    lines.append(f"chooser in {path}.npz, its card in {path}.json, learning curves in {folder / PICTURE}")
    return "\n".join(lines)
