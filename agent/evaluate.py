"""Policies side by side on the twin: whole episodes on paired seeds, with the same perception, dose and time.

A comparison is a folder: of each world its configuration (WORLD.json) and its episodes (WORLD.jsonl), which are added
to and never played twice, and comparison.html.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from agent import assemble
from agent.comparison.page import Played, write_comparison
from agent.comparison.scores import Compared
from agent.config import Config, ConfigErrors, PolicyChoice, Setting, dump, load
from agent.deciding import CLAIRVOYANT, clairvoyants
from agent.episode import Episode, play
from agent.lines import append_line, read_lines
from policies.catalogue import NAMES
from policies.chooser.checkpoint import load as load_checkpoint

Job = tuple[str, int, float]

PAGE = "comparison.html"


def compare(
    configs: Sequence[Config],
    names: Sequence[str],
    seeds: Sequence[int],
    shares: Sequence[float],
    out: Path | None = None,
    ray_address: str | None = None,
) -> list[str]:
    """Play policies on the worlds of several configurations, write their page into the folder ``out``, and sum up.

    Raises:
        ConfigErrors: an unknown policy, a world without a truth, or two configurations of one world.
        ValueError: ``out`` holds episodes that were played with another configuration.
        OSError: ``out`` cannot be written; nothing was played.
    """
    worlds = [config.goal.world for config in configs]
    if len(set(worlds)) < len(worlds):
        raise ConfigErrors("the configurations", [f"two are of one world: {', '.join(worlds)}"])
    files = [_opened(out, config) for config in configs]
    every = []
    for config, file in zip(configs, files, strict=True):
        settings = {name: _settings(config, name) for name in names}
        print(f"{config.goal.world}:", flush=True)
        episodes = evaluate(config, settings, seeds, shares, file, ray_address)
        settings |= {e.policy: _settings(config, e.policy) for e in episodes}
        every.append(Played(config.goal.world, episodes, settings))
        if out is not None:
            # Written after every world, so that an interrupted comparison leaves a page of those that are whole.
            write_comparison(every, out / PAGE)
    return [line for played in every for line in _told(played)]


def _opened(folder: Path | None, config: Config) -> Path | None:
    """The file of the episodes of a configuration, which is kept beside them."""
    if folder is None:
        return None
    folder.mkdir(exist_ok=True)
    kept, said = folder / f"{config.goal.world}.json", dump(config)
    if kept.exists() and kept.read_bytes() != said:
        raise ValueError(
            f"--out: {kept} says that its episodes were played with another configuration: choose a new folder"
        )
    kept.write_bytes(said)
    return folder / f"{config.goal.world}.jsonl"


def _settings(config: Config, policy: str) -> dict[str, Setting]:
    """The settings of a policy; the clairvoyant has those of the one whose proposers it shares."""
    return config.settings_of(clairvoyants(config) if policy == CLAIRVOYANT else policy)


def _told(played: Played) -> list[str]:
    """What came out in one world, a line for every policy."""
    try:
        compared = Compared.of(played.episodes)
    except ValueError as nothing:
        return [f"{played.world}: nothing to compare: {nothing}"]
    lines = []
    for policy in compared.policies:
        above = (
            "" if policy == compared.strongest else f", {compared.above_strongest(policy)} above {compared.strongest}"
        )
        lines.append(f"{played.world} {policy:12s} S = {compared.total(policy)}{above}")
    return lines


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
    unknown = sorted(set(policies) - {*NAMES, CLAIRVOYANT})
    if unknown:
        raise ConfigErrors(
            "--policies", [f"{name}: choose from {', '.join((*NAMES, CLAIRVOYANT))}" for name in unknown]
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
            append_line(out, episode)
    return episodes


def _play(config: Config, settings: Mapping[str, dict[str, Setting]], job: Job) -> Episode:
    name, seed, share = job
    return play(replace(config, policy=PolicyChoice(name=name, settings=settings[name])), seed, share)


def read_episodes(path: Path) -> list[Episode]:
    """Read the episodes of a JSON lines file; none where there is no file. What is not a whole line is named."""
    episodes, problems = read_lines(path, Episode)
    for problem in problems:
        print(problem, file=sys.stderr)
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


def asked(
    paths: Sequence[Path], overrides: Sequence[str], policies: str, checkpoint: Path | None
) -> tuple[list[Config], list[str]]:
    """Configurations and policies to compare, the learned policy among them where a trained chooser is given.

    Raises:
        ConfigErrors: something is wrong with a configuration.
        ValueError: there is no such checkpoint, or it is of another version or other spaces.
    """
    names = policies.split(",")
    if checkpoint is not None:
        load_checkpoint(checkpoint)
        names += ["learned"] * ("learned" not in names)
        overrides = [*overrides, f'rivals.learned.checkpoint="{checkpoint}"']
    return [load(path, overrides, assemble.CHOICES) for path in paths], names


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
