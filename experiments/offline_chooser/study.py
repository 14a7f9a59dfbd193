"""Learns from the recorded runs, asks what each policy would be worth, and plays them on other specimens."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from agent.assemble import map_jobs
from agent.episode import Episode, play
from agent.episodes import Episodes
from agent.lessons import outlook_of
from agent.lines import append_line, read_lines
from experiments.offline_chooser.record import BEHAVIOURS, SEEDS, configured, folder_of
from hardware_bridge.words import Name, Word
from policies.greedy import Greedy, GreedySettings
from policies.heeding import Heeding
from policies.interface import Chooser
from policies.restless import Restless
from policies.training.choices import Choices
from policies.training.offline import LEARNERS, Learning, Network, chances
from policies.training.offpolicy import Chances, Worth, worth
from policies.training.taught import Taught
from policies.training.trajectory import Trajectory

TEST_SEEDS = range(1000, 1010)
HOW = Learning(steps=3000)
AMONG = 4


class Played(Word, frozen=True, kw_only=True):
    """A policy by name, and its episode on a specimen that it did not learn from."""

    name: Name
    episode: Episode


def recorded(out: Path, seeds: range = SEEDS) -> tuple[list[Trajectory], list[str]]:
    """The runs of all behaviours, and what is none."""
    episodes = Episodes([folder_of(out, behaviour, seed) for behaviour in BEHAVIOURS for seed in seeds])
    return list(episodes), episodes.skipped


def learned(data: Choices) -> dict[str, Network]:
    """What each learner makes of the decisions; the same data give the same."""
    return {name: learner(data, HOW) for name, learner in LEARNERS.items()}


def behaved(electron_weight: float = 1.0, explore: float = 0.0) -> Chances:
    """With what probability greedy takes each of the candidates that it puts first, as it is told to be."""

    def policy(candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        told, of_time, of_electrons = (10.0 ** candidates[..., n] for n in (0, 2, 3))
        uses = of_time**2 / 100.0 + electron_weight * of_electrons**2 / 100.0
        best = (told**3 / uses).masked_fill(~there, -1.0).argmax(dim=1)
        some = there.float() / there.sum(dim=1, keepdim=True).clamp_min(1)
        return (1 - explore) * torch.nn.functional.one_hot(best, there.shape[1]) * there + explore * some

    return policy


def firmly(network: Network) -> Chances:
    """What a network that learned takes: always the likeliest."""

    def policy(candidates: torch.Tensor, situation: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        likeliest = chances(network, candidates, situation, there).argmax(dim=1)
        return torch.nn.functional.one_hot(likeliest, there.shape[1]) * there

    return policy


def judged(data: Choices, networks: dict[str, Network]) -> dict[str, Worth]:
    """What every behaviour and every learned policy would be worth, by the same estimate from the same runs."""
    asked = {name: behaved(**{k: float(v) for k, v in told.items()}) for name, told in BEHAVIOURS.items()}  # type: ignore[arg-type]
    asked |= {name: firmly(network) for name, network in networks.items()}
    return {name: worth(policy, data) for name, policy in asked.items()}


def best_behaviour(judgement: dict[str, Worth]) -> str:
    """The behaviour that is estimated to be worth most."""
    return max(BEHAVIOURS, key=lambda name: judgement[name].mean)


def may_run(judgement: dict[str, Worth]) -> dict[str, bool]:
    """Which learned policies may come to an instrument: those estimated to be worth as much as the best behaviour."""
    best = judgement[best_behaviour(judgement)]
    return {name: judgement[name].above(best)[0] >= 0.0 for name in LEARNERS}


def evaluated(
    out: Path, networks: dict[str, Network], seeds: range = TEST_SEEDS, ray_address: str | None = None
) -> list[Played]:
    """Episodes of the learned policies and of the behaviours without chance in them, added to played.jsonl."""
    file = out / "played.jsonl"
    played, problems = read_lines(file, Played)
    print("\n".join(problems), end="\n" * bool(problems))
    known = {(each.name, each.episode.seed) for each in played}
    names = [*BEHAVIOURS, *networks]
    jobs = [(name, seed) for seed in seeds for name in names if (name, seed) not in known]
    for number, each in enumerate(map_jobs(partial(_played, networks), jobs, ray_address), start=1):
        append_line(file, each)
        played.append(each)
        print(f"[{number}/{len(jobs)}] {each.name:8s} {each.episode.seed} S = {each.episode.score:+.3f}", flush=True)
    return played


def _played(networks: dict[str, Network], job: tuple[str, int]) -> Played:
    name, seed = job
    config = configured(BEHAVIOURS.get(name, {}))

    def taught(own: Chooser) -> Chooser:
        return Taught(own, networks[name], config.budget.duration_s, config.budget.electrons, AMONG)

    other = None
    if name in networks:
        other = Heeding(Restless(Greedy(GreedySettings(), outlook_of(config.goal.world), taught)))
    return Played(name=name, episode=play(config, seed, 1.0, other=other))
