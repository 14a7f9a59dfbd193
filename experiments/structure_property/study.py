"""Searches by each rival, on sets that all of them share; settings are found on seeds of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from experiments.structure_property.sets import POINTS, SHARE, Array, Taken, kept
from policies.bayes.deep_kernel import KernelSettings
from policies.bayes.scene import Scene
from policies.bayes.structure_search import Plan, Rows, search

TOP = 0.01
PATCH_PX, COMPONENTS = 20, 12
"""A patch is 80 nm wide."""

TUNING, TESTING = range(4), range(1000, 1020)
EMPTY = (("valence", 1019),)
"""Left out: no iron in the field is Fe3+ yet, so that no point is better than another."""

Way = tuple[int, float]
"""How many places a search begins with, and its doubt."""

WAYS: Sequence[Way] = ((20, 1.0), (40, 1.0), (60, 1.0), (40, 1.5), (40, 2.0))
"""What is tried on the tuning seeds."""

Job = tuple[str, int, str, Way]
"""World, seed, rival and how."""

BASE = Plan(points=round(SHARE * POINTS**2), top=TOP)
OURS = "deep kernel"
RIVALS: Mapping[str, Plan] = {
    OURS: BASE,
    "components": replace(BASE, kernel=KernelSettings(hidden=())),
    "position": replace(BASE, kernel=KernelSettings(by_look=False, hidden=())),
    "variance": replace(BASE, wanted="unknown"),
    "random": replace(BASE, wanted="any"),
}
BRIGHTEST, ALL_SEEN = "brightest", "all seen"
"""No rivals. What anybody would try: spectra where the image is brightest. And who has measured all places, noise and
all, and names as many of them as the others may measure: what noise alone takes away."""


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One search: how it went about, and the places that were measured, in their order."""

    world: str
    seed: int
    rival: str
    way: Way
    rows: list[int]
    found_at: list[int]
    """How many had been measured when each of the best places was, in order."""

    def share_at(self, measured: int) -> float:
        """Share of the best places found when so many were measured."""
        return sum(at <= measured for at in self.found_at) / best_count()


@dataclass(frozen=True)
class Files:
    """Where sets and searches lie."""

    sets: Path
    searches: Path

    def done(self) -> list[Search]:
        """The searches so far; a last line that was cut short is left out."""
        if not self.searches.exists():
            return []
        lines = self.searches.read_bytes().splitlines(keepends=True)
        return [msgspec.json.decode(line, type=Search) for line in lines if line.endswith(b"\n")]


def best_count() -> int:
    """How many places are the best ones."""
    return round(TOP * POINTS**2)


def best(true: Array) -> Rows:
    """Numbers of the places whose true property is largest; of equal ones the first."""
    return np.argsort(-true, kind="stable")[: best_count()]


def made(taken: Taken, world: str, seed: int, rival: str, way: Way) -> Search:
    """Let one rival search one set."""
    scene = Scene.of(taken.image, (POINTS, POINTS), PATCH_PX, COMPONENTS)
    if rival == ALL_SEEN:
        rows = np.argsort(-taken.measured, kind="stable")[: BASE.points]
    elif rival == BRIGHTEST:
        smooth = taken.image.reshape(POINTS, taken.image.shape[0] // POINTS, POINTS, -1).mean(axis=(1, 3))
        rows = np.argsort(-smooth.ravel(), kind="stable")[: BASE.points]
    else:
        plan = replace(RIVALS[rival], first=way[0], doubt=way[1])
        rows = search(scene, lambda some: taken.measured[some], plan, seed).rows
    found_at = 1 + np.flatnonzero(np.isin(rows, best(taken.true)))
    return Search(world, seed, rival, way, rows.tolist(), found_at.tolist())


def play(files: Files, asked: Iterable[Job], say: Callable[[str], None]) -> None:
    """Make the searches that are not there yet, and append each as it ends."""
    there = {(each.world, each.seed, each.rival, each.way) for each in files.done()}
    _mended(files.searches)
    for one in asked:
        if one in there:
            continue
        found = made(kept(one[0], one[1], files.sets, say), *one)
        with files.searches.open("ab") as out:
            out.write(msgspec.json.encode(found) + b"\n")
        say(f"{', '.join(map(str, one))}: {found.share_at(BASE.points):.2f} of the best places")


def _mended(path: Path) -> None:
    """Take off a line that was cut short, so that the next one begins anew."""
    if path.exists():
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.rfind(b"\n") + 1])


def tuning(worlds: Sequence[str]) -> list[Job]:
    """All searches by which settings are found; random has none, and where the most is not wanted doubt has no say."""
    ways = {name: [way for way in WAYS if plan.wanted == "most" or way[1] == 1.0] for name, plan in RIVALS.items()}
    names = [name for name, plan in RIVALS.items() if plan.wanted != "any"]
    return [(world, seed, name, way) for world in worlds for name in names for way in ways[name] for seed in TUNING]


def testing(worlds: Sequence[str], settings: Mapping[tuple[str, str], Way]) -> list[Job]:
    """All searches that are compared, seed by seed."""
    names = (*RIVALS, BRIGHTEST, ALL_SEEN)
    some = [(world, seed) for seed in TESTING for world in worlds if (world, seed) not in EMPTY]
    return [(world, seed, name, settings[world, name]) for world, seed in some for name in names]


def settings_found(searches: Sequence[Search], worlds: Sequence[str]) -> dict[tuple[str, str], Way]:
    """How each rival goes about in each world: as it found most on the tuning seeds."""
    found: dict[tuple[str, str], Way] = {}
    for world in worlds:
        for name in (*RIVALS, BRIGHTEST, ALL_SEEN):
            shares = {way: _tuned(searches, world, name, way) for way in WAYS}
            found[world, name] = max(shares, key=shares.__getitem__) if any(shares.values()) else (BASE.first, 1.0)
    return found


def _tuned(searches: Sequence[Search], world: str, name: str, way: Way) -> float:
    shares = [
        each.share_at(BASE.points)
        for each in searches
        if (each.world, each.rival, each.way) == (world, name, way) and each.seed in TUNING
    ]
    return float(np.mean(shares)) if shares else 0.0


def printed(plan: Plan, ways: Sequence[Way]) -> str:
    """The settings of a plan, in one line; it goes about as it says in each world."""
    told = {**asdict(plan), **asdict(plan.kernel)}
    told["first"], told["doubt"] = (" and ".join(f"{way[n]:g}" for way in ways) for n in (0, 1))
    return ", ".join(f"{name} {value}" for name, value in told.items() if name != "kernel")
