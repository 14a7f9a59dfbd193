"""Windows searched on training seeds, then errors on test seeds: the agent's fits and what was best of the usual ways.

What is usual is chosen for each quantity and dose by itself, so that it is nowhere worse than it need be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from agent.perception.expectation import save_expectation
from experiments.seeing_spectra import losses, spots, xrays
from experiments.seeing_spectra.crystals import CRYSTALS, Crystalline, patterns
from experiments.seeing_spectra.losses import Way
from experiments.seeing_spectra.reading import reader
from experiments.seeing_spectra.scenes import SUBJECTS, Array, Scene, Subject, scene

TRAINING, TUNING, TESTING = range(100), range(6), range(1000, 1020)
EVERY = 3
"""Of the places of a training seed every third is kept."""
NORMAL_90 = 1.6449
CALIBRATED = ", calibrated"
"""Ends the name of what is not a quantity itself, but rises with it: a line to it is fitted on the tuning seeds."""

OURS = "the agent's own"
Any = Subject | Crystalline
ALL: dict[str, Any] = {**SUBJECTS, **CRYSTALS}


class Chosen(msgspec.Struct, frozen=True):
    """The usual way that was best for a quantity at a dose: its name, its mean error, and its calibration if any."""

    subject: str
    electrons: float
    quantity: str
    way: str
    error: float
    line: tuple[float, float] | None = None


class Score(msgspec.Struct, frozen=True):
    """Errors of one quantity on the spectra of one seed at one dose.

    Mean absolute errors of the agent, of its fit alone, and of the usual way; of the agent's 90 % intervals the share
    that hold the truth and the mean half width; ``ms`` is the least time a spectrum took, all quantities together.
    """

    subject: str
    electrons: float
    seed: int
    quantity: str
    count: int
    ours: float
    alone: float
    usual: float
    inside: float
    half_width: float
    error_90: float
    ms: float


def train(subject: Subject) -> None:
    """Learn what spectra of a world usually say, from its truths on the training seeds, and write it."""
    names = (*subject.kinds, "t_over_lambda") if subject.mode == "EELS" else subject.kinds
    scenes = [scene(subject, seed) for seed in TRAINING]
    truths = {name: np.concatenate([each.truth[name][::EVERY] for each in scenes]) for name in names}
    save_expectation(subject.world, subject.mode, truths)


def scene_of(subject: Any, seed: int) -> Scene:
    """The data of one seed."""
    return patterns(subject, seed) if isinstance(subject, Crystalline) else scene(subject, seed)


def ways_of(subject: Any) -> list[Way]:
    """All usual ways that are tried for a subject."""
    if isinstance(subject, Crystalline):
        return list(spots.ways(subject))
    return list(losses.ways(subject) if subject.mode == "EELS" else xrays.ways(subject))


def off(subject: Any, quantity: str, values: Array, truth: Array) -> Array:
    """Errors (N,); turns that leave a lattice as it is are none."""
    error = values - truth
    if isinstance(subject, Crystalline) and quantity == "turn_rad":
        return np.asarray((error + subject.period_rad / 2) % subject.period_rad - subject.period_rad / 2)
    return np.asarray(error)


def tune(subject: Any, say: Callable[[str], None]) -> Iterator[Chosen]:
    """Choose the usual way for each quantity and dose on the tuning seeds."""
    scenes = [scene_of(subject, seed) for seed in TUNING]
    truth = {name: np.concatenate([each.truth[name] for each in scenes]) for name in scenes[0].truth}
    every, read = ways_of(subject), reader(subject)
    for electrons in subject.electrons:
        counts = np.concatenate([each.counts(electrons, seed) for seed, each in zip(TUNING, scenes, strict=True)])
        found: dict[str, list[Chosen]] = {name: [] for name in subject.asked}
        for name, way in every:
            for told, values in way(counts).items():
                quantity, line = told.removesuffix(CALIBRATED), None
                values = _scaled(subject, told, values, electrons)
                if quantity not in found:
                    continue
                if told != quantity:
                    line = _line(values, truth[quantity])
                    values = _straight(quantity, values, line)
                error = float(np.nanmean(np.abs(off(subject, quantity, values, truth[quantity]))))
                found[quantity].append(Chosen(subject.name, electrons, quantity, name, error, line))
        for quantity, some in found.items():
            best = min(some, key=lambda each: each.error)
            say(f"{subject.name}, {electrons:g} electrons, {quantity}: {best.way}, error {best.error:.4g}")
            yield best
    if "ordered_nm" in subject.asked:
        # Thin films are the limit: how films of these thicknesses depart from it is learned where counts are many.
        values = read(counts, electrons)[0]["ordered_nm"][0]
        line = _line(values, truth["ordered_nm"])
        scatter = float(np.std(_straight("ordered_nm", values, line) - truth["ordered_nm"]))
        yield Chosen(subject.name, electrons, "ordered_nm", OURS, scatter, line)


def _scaled(subject: Any, quantity: str, values: Array, electrons: float) -> Array:
    """Atoms are told as no fewer than none; X-rays are read per incident electron."""
    if quantity not in subject.kinds:
        return values
    return np.asarray(np.maximum(values / (electrons if subject.mode == "EDS" else 1.0), 0.0))


def _line(values: Array, truth: Array) -> tuple[float, float]:
    asked = np.isfinite(truth)
    slope, rest = np.polyfit(values[asked], truth[asked], 1)
    return float(slope), float(rest)


def _straight(quantity: str, values: Array, line: tuple[float, float]) -> Array:
    return np.clip(line[0] * values + line[1], 0.0, 1.0 if quantity == "share" else None)


def test(subject: Any, seed: int, chosen: Sequence[Chosen]) -> Iterator[Score]:
    """Errors on the data of one test seed."""
    taken, read, ways = scene_of(subject, seed), reader(subject), dict(ways_of(subject))
    mine = [each for each in chosen if each.subject == subject.name]
    own = next((each for each in mine if each.way == OURS), None)
    for electrons in subject.electrons:
        counts = taken.counts(electrons, seed)
        reading, alone, ms = read(counts, electrons)
        for each in mine:
            if each.electrons != electrons or each.way == OURS:
                continue
            name, truth = each.quantity, taken.truth[each.quantity]
            usual = ways[each.way](counts)[name + CALIBRATED if each.line else name]
            usual = _scaled(subject, name, usual, electrons)
            usual = _straight(name, usual, each.line) if each.line else usual
            value, sd = reading[name]
            if own is not None and own.line and name == own.quantity:
                value, sd = _straight(name, value, own.line), np.hypot(own.line[0] * sd, own.error)
            asked = np.isfinite(truth)
            errors = [np.abs(off(subject, name, one, truth))[asked] for one in (value, alone[name][0], usual)]
            yield Score(
                subject=subject.name,
                electrons=electrons,
                seed=seed,
                quantity=name,
                count=int(asked.sum()),
                ours=float(errors[0].mean()),
                alone=float(errors[0 if own else 1].mean()),
                usual=float(errors[2].mean()),
                inside=float((errors[0] < NORMAL_90 * sd[asked]).mean()),
                half_width=float(NORMAL_90 * sd[asked].mean()),
                error_90=float(np.quantile(errors[0], 0.9)),
                ms=ms,
            )


def play(folder: Path, names: Sequence[str], seeds: Sequence[int], say: Callable[[str], None]) -> None:
    """Test what was not tested yet, and append it to scores.jsonl as each seed ends."""
    path = folder / "scores.jsonl"
    there = {(each.subject, each.seed) for each in scores(folder)}
    tuned = chosen(folder)
    for seed in seeds:
        for name in names:
            if (name, seed) in there:
                continue
            lines = b"".join(msgspec.json.encode(each) + b"\n" for each in test(ALL[name], seed, tuned))
            with path.open("ab") as out:
                out.write(lines)
            say(f"{name}, seed {seed}")


def scores(folder: Path) -> list[Score]:
    """The scores so far."""
    path = folder / "scores.jsonl"
    rows = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(row, type=Score) for row in rows]


def chosen(folder: Path) -> list[Chosen]:
    """What was chosen on the training seeds."""
    path = folder / "tuned.json"
    return msgspec.json.decode(path.read_bytes(), type=list[Chosen]) if path.exists() else []
