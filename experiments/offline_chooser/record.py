"""Runs of mixed policies, recorded as any run is: what the choosers learn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.assemble import CHOICES, map_jobs
from agent.config import Config, ReviewChoice, Setting, load
from agent.record import Record
from agent.review import Autonomous, Walls
from agent.run import REPORT_JSON, begin, resume
from agent.steering import Check
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from hardware_bridge.report import Report
from policies.interface import Policy, Setup

WORLD = Path("agent/worlds/interface.toml")
DURATION_S = 100.0
"""Of the specimen's clock: short, so that it matters where one looks."""

SEEDS = range(20_000, 20_012)
BEHAVIOURS: dict[str, dict[str, Setting]] = {
    "greedy": {},
    "curious": {"explore": 0.5},
    "random": {"explore": 1.0},
    "thrifty": {"electron_weight": 4.0, "explore": 0.25},
    "lavish": {"electron_weight": 0.25, "explore": 0.25},
}
"""What greedy is told to be, by name."""


class Quiet:
    """Nobody watches."""

    def tell(self, line: str) -> None:
        """Say nothing."""

    def begin(self, title: str, setup: Setup, turns: int | None, done: tuple[Record, ...]) -> None:
        """Open nothing."""

    def review(self, microscope: Microscope, walls: Walls, choice: ReviewChoice) -> Autonomous:
        """Let the envelope decide."""
        return Autonomous(walls)

    def through(self, microscope: Microscope) -> Microscope:
        """Look on at nothing."""
        return microscope

    def see(self, observation: Observation, belief: Callable[[], Report]) -> None:
        """See nothing."""

    def show(self, record: Record) -> bool:
        """Go on."""
        return True

    def steering(self, check: Check) -> tuple[str, ...]:
        """Change nothing."""
        return ()

    def plan(self, config: Config, setup: Setup, policy: Policy) -> None:
        """Take note of nothing."""


def configured(settings: dict[str, Setting], world: Path = WORLD) -> Config:
    """Greedy in a world, in this process, with these settings."""
    said = [f"policy.settings.{name}={value}" for name, value in settings.items()]
    own = ["instrument.kind=twin", "policy.settings={}", "policy.name=greedy", f"budget.duration_s={DURATION_S}"]
    return load(world, [*own, *said], CHOICES)


def folder_of(out: Path, behaviour: str, seed: int) -> Path:
    """Where a run is recorded."""
    return out / f"{behaviour}-{seed}"


def record(out: Path, seeds: range = SEEDS, ray_address: str | None = None) -> list[Path]:
    """Record every behaviour on every seed, or what is left of that, and return the folders."""
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(out, behaviour, seed) for seed in seeds for behaviour in BEHAVIOURS]
    left = [job for job in jobs if not (folder_of(*job) / REPORT_JSON).exists()]
    for number, folder in enumerate(map_jobs(_record, left, ray_address), start=1):
        print(f"[{number}/{len(left)}] {folder.name}", flush=True)
    return [folder_of(*job) for job in jobs]


def _record(job: tuple[Path, str, int]) -> Path:
    folder, (_, behaviour, seed) = folder_of(*job), job
    if folder.exists():
        resume(folder, Quiet())
    else:
        begin(configured(BEHAVIOURS[behaviour]), seed, folder, Quiet())
    return folder
