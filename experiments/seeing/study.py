"""The steps of the study: classical settings searched on tuning scenes, then all ways on the same test scenes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from experiments.seeing import classical, ours
from experiments.seeing.scenes import DOSES, KINDS, TESTED, TUNED, Scene, scene
from experiments.seeing.scoring import Ints, f1, matched

Array = NDArray[np.float64]
StructT = TypeVar("StructT", bound=msgspec.Struct)

OURS = "ours"
TRIALS = 10
LEAST_NM = 2.0
"""Particles smaller than a pixel are neither asked for nor counted as false."""

COLUMN_REACH_NM = 0.09
"""A column is found within half of what lies between two of them."""

SCALES_PX = (1.5, 2.0, 2.5, 3.0, 4.0)
LEVELS = np.linspace(0.0, 3.0, 121)
CHANCES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)


class Tuned(msgspec.Struct, frozen=True):
    """The best settings of one way at one dose, and the line from its sizes to radii in nm: slope and offset."""

    task: str
    dose: float
    way: str
    settings: dict[str, float]
    score: float
    line: tuple[float, float] = (1.0, 0.0)


class Seen(msgspec.Struct, frozen=True):
    """What one way made of one test scene at one dose.

    ``counts`` are right, false and missed ones, by what was asked for; ``errors`` and claimed ``sds`` by quantity.
    """

    task: str
    dose: float
    seed: int
    way: str
    counts: dict[str, tuple[int, int, int]]
    errors: dict[str, list[float]]
    sds: dict[str, list[float]]
    took_s: float


def tune(task: str, folder: Path) -> None:
    """Search settings of every classical way at every dose; appends to tuned.jsonl what is not there yet."""
    path, known = folder / "tuned.jsonl", {(t.task, t.dose, t.way) for t in read(folder / "tuned.jsonl", Tuned)}
    scenes = [scene(task, seed) for seed in TUNED]
    for dose in DOSES[task]:
        images = [classical.prepared(each.counts(dose), classical.SLOW_PX) for each in scenes]
        for way in classical.RANGES[task]:
            if (task, dose, way) not in known:
                _append(path, _searched(task, dose, way, list(zip(scenes, images, strict=True))))
        if task == "columns":
            for kind in KINDS:
                if (task, dose, kind) not in known:
                    _append(path, _threshold(dose, kind, scenes))
                if (task, dose, f"{OURS}, {kind}") not in known:
                    _append(path, _chance(dose, kind, scenes))


def _searched(task: str, dose: float, way: str, scenes: list[tuple[Scene, Array]]) -> Tuned:
    random = np.random.default_rng([len(way), round(dose)])
    best: Tuned | None = None
    for _ in range(TRIALS):
        settings = classical.drawn(task, way, random)
        right = false = missed = 0
        pairs: list[Array] = []
        for each, image in scenes:
            found = classical.WAYS[way](image, settings)
            a, b, counts = compared(each, found[:, :2])
            right, false, missed = right + counts[0], false + counts[1], missed + counts[2]
            pairs.append(np.column_stack([found[a, 2], each.size[b]]))
        score = f1(right, false, missed)
        if best is None or score > best.score:
            sizes = np.concatenate(pairs)
            varied = task == "particles" and len(sizes) > 5 and np.ptp(sizes[:, 0]) > 0
            slope, offset = np.polyfit(sizes[:, 0], sizes[:, 1], 1).tolist() if varied else (1.0, 0.0)
            best = Tuned(task, dose, way, settings, score, (slope, offset))
    assert best is not None  # TRIALS are some
    print(f"{task} at {dose:g}: {way} reaches F1 = {best.score:.3f} on tuning scenes", flush=True)
    return best


def compared(each: Scene, at: Array) -> tuple[Ints, Ints, tuple[int, int, int]]:
    """Pairs of found and true ones, and how many are right, false and missed among those that count.

    At the rim, and where particles are smaller than a pixel, neither what is found counts nor what is missed.
    """
    if each.task == "particles":
        reach, counts = np.maximum(0.5 * each.size / each.pixel_nm, 2.0), each.size >= LEAST_NM
    else:
        reach = np.full(len(each.at), COLUMN_REACH_NM / each.pixel_nm)
        counts = (each.holds[:, 0] < 2) & _inner(each, each.at)
    a, b = matched(at, each.at, reach)
    idle = np.zeros(len(at), dtype=bool)
    idle[a[~counts[b]]] = True
    if each.task == "columns":
        idle |= ~_inner(each, at)
        idle[a[counts[b]]] = False
    kept = counts[b]
    right = int(kept.sum())
    return a[kept], b[kept], (right, int((~idle).sum()) - right, int(counts.sum()) - right)


def _inner(each: Scene, at: Array) -> NDArray[np.bool_]:
    return np.asarray(((at > 3) & (at < len(each.expected) - 4)).all(axis=1))


def _threshold(dose: float, kind: str, scenes: list[Scene]) -> Tuned:
    """The filter and the band of brightness that tell one kind of defect best, at the sites of our lattice."""
    best: Tuned | None = None
    sites = [ours.columns(each, dose)[0].light.at for each in scenes]
    for number, filtered in enumerate(classical.FILTERS):
        for scale in SCALES_PX:
            bright, there = [], []
            for each, at in zip(scenes, sites, strict=True):
                a, held, _ = held_at(each, at)
                bright.append(classical.brightness(each.counts(dose), at, filtered, scale)[a])
                there.append(held[:, KINDS.index(kind)] > 0)
            seen, true = np.concatenate(bright), np.concatenate(there)
            low, high, score = _band(seen, true)
            if best is None or score > best.score:
                best = Tuned("columns", dose, kind, {"filter": number, "scale": scale, "low": low, "high": high}, score)
    assert best is not None  # there are filters
    print(f"columns at {dose:g}: thresholds for {kind} reach F1 = {best.score:.3f} on tuning scenes", flush=True)
    return best


def _chance(dose: float, kind: str, scenes: list[Scene]) -> Tuned:
    """The chance from which on a column is said to hold a defect, for the best F1, as thresholds have theirs."""
    told, there = [], []
    for each in scenes:
        found, _ = ours.columns(each, dose)
        a, held, _ = held_at(each, found.light.at)
        told.append(found.light.defects()[a, KINDS.index(kind)])
        there.append(held[:, KINDS.index(kind)] > 0)
    seen, true = np.concatenate(told), np.concatenate(there)
    scores = {low: f1(*_counted(seen >= low, true)) for low in CHANCES}
    low = max(scores, key=lambda each: scores[each])
    return Tuned("columns", dose, f"{OURS}, {kind}", {"chance": low}, scores[low])


def _counted(told: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Right, false and missed ones."""
    right = int((told & true).sum())
    return right, int(told.sum()) - right, int(true.sum()) - right


def _band(seen: Array, true: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The band of brightness (low, high) with the best F1."""
    rank = np.searchsorted(LEVELS, seen, side="right")
    inside, hits = (
        np.concatenate([[0.0], np.cumsum(np.bincount(rank, weight, len(LEVELS) + 1))])
        for weight in (np.ones(len(seen)), true.astype(np.float64))
    )
    claimed, right = inside[None, :] - inside[:, None], hits[None, :] - hits[:, None]
    score = np.where(claimed > 0, 2 * right / np.maximum(claimed + true.sum(), 1), 0.0)
    low, high = np.unravel_index(int(score.argmax()), score.shape)
    edges = np.concatenate([[-1e9], LEVELS, [1e9]])
    return float(edges[low]), float(edges[high]), float(score.max())


def held_at(each: Scene, at: Array) -> tuple[Ints, Array, Array]:
    """Which of the sites (n, 2) are light columns that there are, what these hold (k, 3), and what others hold."""
    light = np.flatnonzero(~each.heavy)
    a, b = matched(at, each.at[light], np.full(len(light), COLUMN_REACH_NM / each.pixel_nm))
    left = np.ones(len(light), dtype=bool)
    left[b] = False
    return a, each.holds[light[b]], each.holds[light[left]]


def run(task: str, folder: Path) -> None:
    """Let all ways see all test scenes; appends to seen.jsonl what is not there yet."""
    path, tuned = (
        folder / "seen.jsonl",
        {(t.dose, t.way): t for t in read(folder / "tuned.jsonl", Tuned) if t.task == task},
    )
    known = {(s.dose, s.seed, s.way) for s in read(path, Seen) if s.task == task}
    for number, seed in enumerate(TESTED, start=1):
        if all((dose, seed, OURS) in known for dose in DOSES[task]):
            continue
        each = scene(task, seed)
        for dose in DOSES[task]:
            if (dose, seed, OURS) not in known:
                # Ours comes last: when it is there, all are.
                for seen in _looks(each, dose, tuned):
                    _append(path, seen)
        print(f"{task}: scene {number} of {len(TESTED)}", flush=True)


def _looks(each: Scene, dose: float, tuned: dict[tuple[float, str], Tuned]) -> Iterator[Seen]:
    image = classical.prepared(each.counts(dose), classical.SLOW_PX)
    for way in classical.RANGES[each.task]:
        given = tuned[dose, way]
        begun = time.perf_counter()
        found = classical.WAYS[way](image, given.settings)
        took_s = time.perf_counter() - begun
        size = given.line[0] * found[:, 2] + given.line[1]
        yield _seen(each, dose, way, ours.Found(found[:, :2], size, None, took_s))
    if each.task == "particles":
        yield _seen(each, dose, OURS, ours.particles(each, dose))
    else:
        yield from _identified(each, dose, tuned)


def _seen(each: Scene, dose: float, way: str, found: ours.Found) -> Seen:
    a, b, counts = compared(each, found.at)
    off = found.at[a] - each.at[b]
    # Of some 1500 columns every tenth tells the median as well.
    some = slice(None, None, 1 if each.task == "particles" else 10)
    errors = {"place": (np.hypot(*off[some].T) * each.pixel_nm).round(4).tolist()}
    sds: dict[str, list[float]] = {}
    if each.task == "particles":
        errors |= {"radius": (found.size[a] - each.size[b]).tolist()}
    if found.sd is not None:
        errors |= {"row": off[:, 0].tolist(), "column": off[:, 1].tolist()}
        sds = {name: found.sd[a, k].tolist() for k, name in enumerate(("row", "column", "radius"))}
    return Seen(each.task, dose, each.seed, way, {"found": counts}, errors, sds, found.took_s)


def _identified(each: Scene, dose: float, tuned: dict[tuple[float, str], Tuned]) -> Iterator[Seen]:
    """Who sits on light sites: by thresholds at the sites of our lattice, and by our own likelihoods."""
    found, took_s = ours.columns(each, dose)
    at = found.light.at
    a, held, other = held_at(each, at)
    claims = np.zeros((len(at), 3), dtype=bool)
    for k, kind in enumerate(KINDS):
        s = tuned[dose, kind].settings
        bright = classical.brightness(each.counts(dose), at, classical.FILTERS[int(s["filter"])], s["scale"])
        claims[:, k] = (bright >= s["low"]) & (bright < s["high"])
    yield Seen("columns", dose, each.seed, "thresholds", _told(claims, a, held, other), {}, {}, 0.0)
    chances = np.array([tuned[dose, f"{OURS}, {kind}"].settings["chance"] for kind in KINDS])
    counts = _told(found.light.defects() >= chances, a, held, other)
    both = np.concatenate([found.heavy.at, at])
    seen = _seen(each, dose, OURS, ours.Found(both, np.zeros(len(both)), None, took_s))
    _, mean, sd = found.light.tally()
    truth = each.holds[~each.heavy].sum(axis=0)
    errors = seen.errors | {kind: [float(mean[k] - truth[k])] for k, kind in enumerate(KINDS)}
    sds = {kind: [float(sd[k])] for k, kind in enumerate(KINDS)}
    yield msgspec.structs.replace(seen, counts=seen.counts | counts, errors=errors, sds=sds)


def _told(claims: NDArray[np.bool_], a: Ints, held: Array, other: Array) -> dict[str, tuple[int, int, int]]:
    """Right, false and missed claims of each kind on sites, of which ``a`` are there."""
    counts = {}
    for k, kind in enumerate(KINDS):
        right, _, missed = _counted(claims[a, k], held[:, k] > 0)
        counts[kind] = right, int(claims[:, k].sum()) - right, missed + int((other[:, k] > 0).sum())
    return counts


def read(path: Path, kind: type[StructT]) -> list[StructT]:
    """All lines of a file; none where there is no file."""
    if not path.is_file():
        return []
    return [msgspec.json.decode(line, type=kind) for line in path.read_bytes().splitlines()]


def _append(path: Path, what: msgspec.Struct) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(what) + b"\n")
