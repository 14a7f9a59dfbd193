"""The steps of the study: the same tuning for all baselines, then paired seeds; what is known is not played again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from experiments.headroom.plans import CLAIRVOYANT, POLICIES, TOLD, Settings
from experiments.headroom.play import Played, compares, play

TUNING_SEEDS, TEST_SEEDS = range(3), range(1000, 1008)
SHARES = (0.125, 1.0)
WAYS = (
    Settings(looks=32, modes=("HAADF",), wide=True, tiles=4),
    Settings(looks=64, modes=("HAADF",), wide=True, tiles=4),
    Settings(looks=32, modes=("HAADF",), wide=False, tiles=8),
    Settings(looks=64, modes=("HAADF",), wide=False, tiles=8),
    Settings(looks=32, modes=("EELS",), wide=True, tiles=8),
    Settings(looks=32, modes=("HAADF", "EELS"), wide=True, tiles=4),
    Settings(looks=16, modes=("CBED",), wide=True, tiles=8),
    Settings(looks=64, modes=("CBED",), wide=True, tiles=8),
)
"""What is tried for each baseline. Patterns take long to compute: no more of them an episode."""

STAYS = tuple(Settings(looks=64, modes=("HAADF",), wide=True, tiles=4, stay=stay) for stay in (4, 8))
"""What is tried besides where looks can be compared: stays at small places."""

LOOKS = (32, 64)
"""What is tried for the clairvoyant, which chooses modes and places by itself, with the best raster's settings."""

WordT = TypeVar("WordT", bound=msgspec.Struct)


class Trial(msgspec.Struct, frozen=True):
    """One trial of the search: the mean score over tuning seeds, at the whole budget."""

    world: str
    policy: str
    settings: Settings
    score: float


class Result(msgspec.Struct, frozen=True):
    """One episode of one world."""

    world: str
    played: Played


def tune(world: str, folder: Path) -> None:
    """Try different settings for every policy, as many for each, on the tuning seeds; appends to tuned.jsonl."""
    path = folder / "tuned.jsonl"
    ways = WAYS if compares(world) is None else WAYS + STAYS
    known = {(t.policy, t.settings) for t in read(path, Trial) if t.world == world}
    for policy in POLICIES:
        for number, settings in enumerate(tried(policy, best(world, folder).get("raster", Settings()), ways), start=1):
            if (policy, settings) in known:
                continue
            scores = [played.score for played in play(world, policy, settings, TUNING_SEEDS, SHARES[-1])]
            _append(path, Trial(world, policy, settings, mean(scores)))
            print(f"{world} {policy} trial {number}: {named(settings)}: S = {mean(scores):+.3f}", flush=True)


def tried(policy: str, raster: Settings, ways: Sequence[Settings] = WAYS) -> Sequence[Settings]:
    """What is tried for a policy of some ways; ``raster`` are the best settings of that one."""
    return [replace(raster, looks=looks) for looks in LOOKS] if policy == CLAIRVOYANT else ways


def best(world: str, folder: Path) -> dict[str, Settings]:
    """The best settings of every policy."""
    trials = [t for t in read(folder / "tuned.jsonl", Trial) if t.world == world]
    return {
        policy: max((t for t in trials if t.policy == policy), key=lambda t: t.score).settings
        for policy in POLICIES
        if any(t.policy == policy for t in trials)
    }


def run(world: str, folder: Path) -> None:
    """Play all policies on the test seeds; appends to episodes.jsonl."""
    path = folder / "episodes.jsonl"
    done = [r.played for r in read(path, Result) if r.world == world]
    for policy, settings in {**best(world, folder), TOLD: Settings()}.items():
        for share in SHARES:
            known = {p.seed for p in done if (p.policy, p.share) == (policy, share)}
            seeds = [seed for seed in TEST_SEEDS if seed not in known]
            if not seeds:
                continue
            for played in play(world, policy, settings, seeds, share):
                _append(path, Result(world, played))
                done.append(played)
            scores = [p.score for p in done if (p.policy, p.share) == (policy, share)]
            print(f"{world} {policy} at {share:g}: S = {mean(scores):+.3f} on {len(scores)} seeds", flush=True)


def read(path: Path, kind: type[WordT]) -> list[WordT]:
    """All lines of a file, none where there is no file; a torn last line is left out."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            found.append(msgspec.json.decode(line, type=kind))
        except msgspec.DecodeError:
            print(f"{path}: a line that is not whole is left out", flush=True)
    return found


def _append(path: Path, word: msgspec.Struct) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(word) + b"\n")


def named(settings: Settings) -> str:
    """Settings in words."""
    fields = "wide fields" if settings.wide else "fields of a cell"
    stays = f", half of them in stays of {settings.stay} at small places" if settings.stay else ""
    tiles = f"{settings.tiles} x {settings.tiles} tiles"
    return f"{settings.looks} looks, {'+'.join(settings.modes)}, {fields}, {tiles}{stays}"
