"""Policies side by side on the twin: whole episodes on paired seeds, with the same perception, dose and time."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent import assemble
from agent.config import Config, ConfigErrors, PolicyChoice, Setting
from agent.episode import Episode, play
from policies.catalogue import NAMES

Job = tuple[str, int, float]


def evaluate(
    config: Config,
    policies: Mapping[str, Mapping[str, Setting]],
    seeds: Sequence[int],
    shares: Sequence[float],
    out: Path | None = None,
    ray_address: str | None = None,
) -> list[Episode]:
    """Play every policy (name: its settings) on every seed at every share of the budget, and print each as it ends.

    Episodes already in the JSON lines file ``out`` are not played again.

    Raises:
        ConfigErrors: an unknown policy, or a world without a truth.
        OSError: ``out`` cannot be written; nothing was played.
    """
    unknown = sorted(set(policies) - {*NAMES, assemble.CLAIRVOYANT})
    if unknown:
        raise ConfigErrors(
            "--policies", [f"{name}: choose from {', '.join((*NAMES, assemble.CLAIRVOYANT))}" for name in unknown]
        )
    if out is not None:
        out.open("ab").close()
    episodes = read_episodes(out) if out is not None else []
    known = {(e.policy, e.seed, e.share) for e in episodes}
    jobs = [(p, seed, share) for seed in seeds for share in shares for p in policies if (p, seed, share) not in known]
    played = partial(_play, config, {name: dict(settings) for name, settings in policies.items()})
    for number, episode in enumerate(assemble.map_jobs(played, jobs, ray_address), start=1):
        episodes.append(episode)
        print(f"[{number}/{len(jobs)}] {line(episode)}", flush=True)
        if out is not None:
            with out.open("ab") as file:
                file.write(msgspec.json.encode(episode) + b"\n")
    return episodes


def _play(config: Config, settings: Mapping[str, dict[str, Setting]], job: Job) -> Episode:
    name, seed, share = job
    return play(replace(config, policy=PolicyChoice(name=name, settings=settings[name])), seed, share)


def read_episodes(path: Path) -> list[Episode]:
    """Read the episodes of a JSON lines file; none where there is no file. A torn last line is left out."""
    if not path.exists():
        return []
    episodes = []
    for text in path.read_bytes().splitlines():
        try:
            episodes.append(msgspec.json.decode(text, type=Episode))
        except msgspec.DecodeError:
            print(f"{path}: a line that is not a whole episode is left out", file=sys.stderr)
    return episodes


def line(episode: Episode) -> str:
    """One episode in one line."""
    modes = " ".join(f"{mode}:{count}" for mode, count in sorted(episode.modes.items()))
    return (
        f"{episode.policy:12s} seed {episode.seed} share {episode.share:g}: S = {episode.score:+.3f}, "
        f"{episode.turns} turns ({modes}), {episode.electrons:.3g} electrons"
    )


def shares_of(text: str) -> list[float]:
    """Read comma-separated shares of the electron budget.

    Raises:
        ValueError: one is not a number above 0 and at most 1.
    """
    shares = []
    for word in text.split(","):
        try:
            share = float(word)
        except ValueError:
            share = 0.0
        if not 0.0 < share <= 1.0:
            raise ValueError(f"--shares = {word!r}: expected numbers above 0 and at most 1, such as 0.25,0.5,1")
        shares.append(share)
    return shares


def seeds_of(text: str) -> range:
    """Read ``first-last`` or a single seed.

    Raises:
        ValueError: it is neither.
    """
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError:
        raise ValueError(f"--seeds = {text!r}: expected FIRST-LAST, such as 1000-1009") from None
    if not seeds:
        raise ValueError(f"--seeds = {text!r}: the last seed is below the first")
    return seeds
