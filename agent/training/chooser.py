"""Trains a chooser: `adaptem train CONFIG`. Puts worlds, practice and PPO together, and keeps what was learned.

A training is a folder: its plan (plan.json), the worlds (worlds.npz), how far it has come (progress.json and a state),
curves.png, and the best chooser so far with its card (chooser.npz, chooser.json). Killed at any time, it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from msgspec import structs

from agent.lessons import prior_of
from agent.training import course, curves
from agent.training.curves import Point, Progress
from agent.training.plan import Plan
from agent.training.practice import Bank, Practice
from policies.chooser import spec
from policies.chooser.checkpoint import Checkpoint, ModelCard, Span, load, save
from policies.chooser.network import Attending

if TYPE_CHECKING:
    from policies.training.ppo import Trainer

PLAN, WORLDS, CHOOSER = "plan.json", "worlds.npz", "chooser"
LEAST_GAIN = 1e-3
"""A check that is better by less is not better."""

MOST_CHECKED = 64
Choose = Callable[[Practice], torch.Tensor]
Say = Callable[[Progress, Plan], None]


@dataclass(frozen=True)
class Parts:
    """The worlds of a training by what they are for: to train on, to check on, and with constants beyond both."""

    bank: Bank
    trained: torch.Tensor
    apart: torch.Tensor
    beyond: torch.Tensor

    @classmethod
    def of(cls, plan: Plan, bank: Bank) -> Parts:
        """The worlds of a plan, parted: those whose constants are the most unusual, and every so many of the rest."""
        unusual = bank.globals.abs().amax(dim=1)
        count = len(unusual)
        order = torch.argsort(unusual, stable=True)
        usual, beyond = order[: count - round(plan.beyond * count)], order[count - round(plan.beyond * count) :]
        usual = usual.sort().values
        apart = torch.arange(len(usual)) % max(2, round(1 / max(plan.apart, 1e-3))) == 0
        return cls(bank, usual[~apart], usual[apart], beyond.sort().values)

    def some(self, which: torch.Tensor) -> Bank:
        """The bank of some of the worlds."""
        return Bank(self.bank.fields[which], self.bank.values[which], self.bank.globals[which])


def train(plan: Plan, folder: Path, say: Say, tell: Callable[[str], None]) -> Progress:
    """Train to the end of a plan, from the beginning or from where the folder has come to.

    Raises:
        ValueError: the folder holds another training.
        RuntimeError: RLlib is not installed.
    """
    torch.set_num_threads(1)
    _same_plan(plan, folder)
    seeds = range(plan.seeds[0], plan.seeds[1] + 1)
    parts = Parts.of(plan, course.bank(plan.world, seeds, folder / WORLDS, tell))
    progress, arrays = curves.load(folder)
    if not progress.points:
        progress = _with_greedy(plan, parts, progress, tell)
    if _ended(plan, progress):
        return progress
    try:
        from policies.training.ppo import Trainer
    except ImportError as missing:
        raise RuntimeError(f"RLlib is needed for training: pip install 'adaptem[offline]' ({missing})") from None
    practice = course.practice(plan.world, parts.some(parts.trained), plan.runs, plan.ppo.seed)
    practice = weighing(practice, progress.electron_weight, plan.alike)
    with Trainer(plan.ppo, practice) as trainer:
        trainer.restore(arrays)
        while not _ended(plan, progress):
            progress = _advance(plan, folder, parts, trainer, progress)
            say(progress, plan)
    _conclude(plan, folder, parts, progress)
    return progress


def weighing(practice: Practice, electron_weight: float, alike: int = 1) -> Practice:
    """The same practice, in which greedy's order weighs electrons by so much, and so many runs are in one world."""
    rules = replace(practice.rules, electron_weight=electron_weight)
    return Practice(replace(practice.game, rules=rules), practice.worlds, 0, alike)


def _same_plan(plan: Plan, folder: Path) -> None:
    kept, said = folder / PLAN, msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n"
    if kept.is_file() and kept.read_bytes() != said:
        raise ValueError(f"{folder}: {kept} says that this is another training: choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(said)


def _ended(plan: Plan, progress: Progress) -> bool:
    """Whether the time is up, or the last checks brought nothing."""
    if progress.minutes >= plan.minutes:
        return True
    return len(progress.points) >= progress.best_at + plan.patience * plan.check_every and progress.best is not None


def _with_greedy(plan: Plan, parts: Parts, progress: Progress, tell: Callable[[str], None]) -> Progress:
    """Find what greedy should weigh electrons by on training worlds, and how good it then is on those kept apart."""
    scores = {}
    for weight in plan.greedy_weights:
        scores[weight] = float(played(plan, parts, parts.trained, greedily, weight)[0].mean())
        tell(f"{plan.world}: greedy that weighs electrons by {weight:g} scores {scores[weight]:+.4f} where one trains")
    best = max(scores, key=lambda each: scores[each])
    on_apart = float(played(plan, parts, parts.apart, greedily, best)[0].mean())
    tell(f"{plan.world}: greedy scores {on_apart:+.4f} on worlds kept apart")
    return structs.replace(progress, electron_weight=best, greedy=on_apart)


def played(
    plan: Plan, parts: Parts, which: torch.Tensor, choose: Choose, weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Final scores (n,) of runs in some of the worlds (at most MOST_CHECKED), and what their budgets were (n,).

    Worlds, budgets and what readings of a world have in common are the same whoever chooses.
    """
    some = which[:MOST_CHECKED]
    practice = weighing(course.practice(plan.world, parts.some(some), len(some), 1), weight)
    practice.restart(worlds=torch.arange(len(some)))
    budgets = practice.most.clone()
    with torch.inference_mode():
        while not bool(practice.over.all()):
            practice.step(choose(practice))
    return practice.score, budgets


def greedily(practice: Practice) -> torch.Tensor:
    """Take what tells most for the share of the rest that it uses up."""
    order = spec.worth(practice.offers, practice.standing, practice.electron_weight)
    return torch.where(practice.offers.there, order, torch.full_like(order, -torch.inf)).argmax(dim=1)


def chosen_by(network: Attending) -> Choose:
    """Take what a network scores highest."""

    def choose(practice: Practice) -> torch.Tensor:
        offers, standing = practice.offers, practice.standing
        told = spec.candidates(offers, standing, practice.electron_weight)
        scores: torch.Tensor = network(told, spec.situation(standing), offers.there)[0]
        return scores.argmax(dim=1)

    return choose


def _advance(plan: Plan, folder: Path, parts: Parts, trainer: Trainer, progress: Progress) -> Progress:
    """One iteration, a check where one is due, and all of it on disk."""
    number = len(progress.points) + 1
    done = trainer.iterate(number)
    point = Point(iteration=number, **done)
    if number % plan.check_every == 0:
        network = trainer.network()
        apart = played(plan, parts, parts.apart, chosen_by(network), progress.electron_weight)[0]
        point = structs.replace(point, apart=float(apart.mean()))
    progress = structs.replace(progress, points=(*progress.points, point))
    if point.apart is not None and (progress.best is None or point.apart > progress.best + LEAST_GAIN):
        progress = structs.replace(progress, best=point.apart, best_at=number)
        card = _card(plan, parts, trainer.seen, progress, {})
        save(Checkpoint(card, trainer.network()), folder / CHOOSER)
    progress = curves.save(folder, progress, trainer.state())
    curves.draw(folder, progress, plan.world)
    return progress


def _conclude(plan: Plan, folder: Path, parts: Parts, progress: Progress) -> None:
    """Score the best chooser beside greedy on worlds kept apart and on those beyond, for its card."""
    if not (folder / f"{CHOOSER}.npz").is_file():
        return
    best = load(folder / CHOOSER)
    scores: dict[str, tuple[float, float, float]] = {}
    for name, which in (("apart", parts.apart), ("beyond", parts.beyond)):
        ours, theirs = (
            played(plan, parts, which, choose, progress.electron_weight)[0]
            for choose in (chosen_by(best.network), greedily)
        )
        rows = {"": ours, "_greedy": theirs, "_above_greedy": ours - theirs}
        scores |= {f"practice_{name}{ending}": _interval(each) for ending, each in rows.items()}
    card = structs.replace(best.card, scores=scores, minutes=progress.minutes, steps=progress.steps)
    save(Checkpoint(card, best.network), folder / CHOOSER)


def _interval(values: torch.Tensor) -> tuple[float, float, float]:
    """Mean, and 1.96 standard errors to either side."""
    mean, error = float(values.mean()), float(values.std()) / max(len(values), 1) ** 0.5
    return mean, mean - 1.96 * error, mean + 1.96 * error


def _card(
    plan: Plan,
    parts: Parts,
    seen: tuple[dict[str, Span], dict[str, Span]],
    progress: Progress,
    scores: dict[str, tuple[float, float, float]],
) -> ModelCard:
    prior, rules = prior_of(plan.world), course.rules(plan.world)
    first = prior.size - len(prior.globals)
    mean, sd = prior.mean[first : prior.size], prior.sd[first : prior.size]
    trained = mean + sd * parts.bank.globals[parts.trained].numpy().astype(np.float64)
    return ModelCard(
        version=spec.VERSION,
        world=plan.world,
        card_version=prior.card.version,
        candidate=spec.CANDIDATE,
        situation=spec.SITUATION,
        seen_candidate=seen[0],
        seen_situation=seen[1],
        physics={
            target.name: (float(column.min()), float(column.max()))
            for target, column in zip(prior.globals, trained.T, strict=True)
        },
        seeds=(plan.seeds[0], plan.seeds[1]),
        apart=tuple(plan.seeds[0] + n for n in (*parts.apart.tolist(), *parts.beyond.tolist())),
        budgets=(2.0 ** rules.shares[0], 2.0 ** rules.shares[1]),
        spends=rules.spends,
        priced=rules.priced,
        electron_weight=progress.electron_weight,
        steps=progress.steps,
        minutes=progress.minutes,
        scores=scores,
        limits=(
            f"trained on percepts drawn from a model of how the reader of {plan.world} errs, not on images",
            "chooses among greedy's candidates only; scores named practice are of that model, not of whole runs",
            "what readings have in common within a world is as the model of errors has it; others fool it",
        ),
    )
