"""How far a training has come: kept on disk so that it goes on after a kill, and drawn as learning curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hardware_bridge.words import Count, NotNegative, Number, Word

PROGRESS, PICTURE = "progress.json", "curves.png"
Arrays = dict[str, NDArray[Any]]


class Point(Word, frozen=True, kw_only=True):
    """One iteration: what was sampled, how long it took, and the mean final score while training.

    ``apart`` is the score of the chooser on worlds kept apart, where it was checked.
    """

    iteration: Count
    steps: Count
    sampled_s: NotNegative
    learned_s: NotNegative
    score: Number
    entropy: Number
    apart: Number | None = None


class Progress(Word, frozen=True, kw_only=True):
    """All iterations so far, the best check, greedy beside it, and which file holds the state after the last one."""

    points: tuple[Point, ...] = ()
    best: Number | None = None
    best_at: Count = 0
    greedy: Number = 0.0
    electron_weight: NotNegative = 1.0
    state: str = ""

    @property
    def minutes(self) -> float:
        """How long it has trained."""
        return sum(point.sampled_s + point.learned_s for point in self.points) / 60

    @property
    def steps(self) -> int:
        """How many looks it has practised."""
        return sum(point.steps for point in self.points)


def save(folder: Path, progress: Progress, arrays: Arrays) -> Progress:
    """Write how far a training has come, so that a kill at any time leaves the last or this one, whole."""
    name = f"state-{len(progress.points):05d}.npz"
    part = folder / "state.part"
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    part.replace(folder / name)
    progress = msgspec.structs.replace(progress, state=name)
    part.write_bytes(msgspec.json.encode(progress))
    part.replace(folder / PROGRESS)
    for old in folder.glob("state-*.npz"):
        if old.name != name:
            old.unlink()
    return progress


def load(folder: Path) -> tuple[Progress, Arrays]:
    """Read how far a training has come; nothing where it has not begun.

    Raises:
        ValueError: what is there cannot be read.
    """
    path = folder / PROGRESS
    if not path.is_file():
        return Progress(), {}
    try:
        progress = msgspec.json.decode(path.read_bytes(), type=Progress)
        with np.load(folder / progress.state, allow_pickle=False) as file:
            return progress, dict(file.items())
    except (msgspec.MsgspecError, OSError) as broken:
        raise ValueError(f"{path}: cannot be gone on with: {broken}") from None


def draw(folder: Path, progress: Progress, world: str) -> None:
    """Draw the learning curves into the folder."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    along = np.cumsum([point.steps for point in progress.points]) / 1e6
    axes.plot(along, [point.score for point in progress.points], color="0.6", label="training worlds, at random")
    checked = [(x, point.apart) for x, point in zip(along, progress.points, strict=True) if point.apart is not None]
    if checked:
        axes.plot(*zip(*checked, strict=True), "o-", color="C0", label="worlds kept apart, its best choices")
    axes.axhline(progress.greedy, color="C1", ls="--", label="greedy on worlds kept apart")
    axes.set(xlabel="looks practised, millions", ylabel="score S of the report", title=f"A chooser for {world}")
    axes.legend()
    figure.savefig(folder / PICTURE, dpi=120)
