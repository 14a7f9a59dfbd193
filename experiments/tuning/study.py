"""One tuning after the other: image by image, until the probe is good or as many images are taken as are allowed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from agent.perception.probe_transfer import Frequencies, Transfers
from agent.tuner import Tuner
from digital_twin.optics import Column
from envs.autotune import FOV_NM, GOOD, PIXELS
from experiments.tuning.benches import Bench
from experiments.tuning.rivals import ByGpcam, ByVariance

SEEDS = range(60_000, 60_020)
MOST_IMAGES = {3: 60, 7: 150}
TUNER_MOST = {3: 25, 7: 40}
"""Images after which the tuner is given up: its bars are 8 and 25."""

LOWEST_per_nm, HIGHEST_per_nm = 0.25, 4.7


class Method(Protocol):
    """What proposes settings and takes in images."""

    def suggest(self) -> np.ndarray:
        """The settings (P,) in nm to take the next image at."""
        ...

    def ingest(self, counts: np.ndarray, settings_nm: np.ndarray) -> object:
        """Take in an image (H, W)."""
        ...


class Tuning(msgspec.Struct, frozen=True):
    """How one tuning went: the Strehl ratio of each image's probe, the electrons, and the seconds spent thinking."""

    method: str
    parameters: int
    condition: str
    seed: int
    strehl: list[float]
    electrons: float
    thinking_s: float

    @property
    def key(self) -> tuple[str, int, str, int]:
        """What tells it from others."""
        return self.method, self.parameters, self.condition, self.seed

    @property
    def images(self) -> int | None:
        """Images up to the first with a good probe; None if there was none."""
        return len(self.strehl) if self.strehl[-1] >= GOOD else None


def tuner_of(bench: Bench, seed: int) -> Tuner:
    """The tuner as it is told of a bench: nothing but what the instrument states."""
    column = Column(beam_energy_keV=300.0, semi_angle_mrad=20.0, source_fwhm_nm=0.06)
    frequencies = Frequencies((PIXELS, PIXELS), FOV_NM / PIXELS, column, LOWEST_per_nm, HIGHEST_per_nm)
    return Tuner(Transfers(frequencies, bench.stated_C30_um), bench.ranges_nm, seed)


class Task(msgspec.Struct, frozen=True):
    """What is to be done: a method ("tuner", "qLogNEI" or "gpCAM") under a condition."""

    method: str
    parameters: int
    condition: str


def tuned(task: Task, seed: int, gpcam: Path | None = None, most: int | None = None) -> Tuning:
    """Tune one bench, with as many images as the method is given, or ``most``; ``gpcam`` is an interpreter that has it.

    Raises:
        ValueError: gpCAM is asked for and nobody says where it is.
    """
    bench = Bench(seed, task.parameters, task.condition)
    rival = _rival(task, bench, seed, gpcam)
    chosen: Method = tuner_of(bench, seed) if rival is None else rival
    allowed = most or (TUNER_MOST if rival is None else MOST_IMAGES)[task.parameters]
    strehl: list[float] = []
    thinking_s = 0.0
    while len(strehl) < allowed and (not strehl or strehl[-1] < GOOD):
        begun = time.perf_counter()
        settings = chosen.suggest()
        thinking_s += time.perf_counter() - begun
        counts = bench.look(settings)
        strehl.append(bench.strehl())
        begun = time.perf_counter()
        chosen.ingest(counts, settings)
        thinking_s += time.perf_counter() - begun
    if rival is not None:
        rival.close()
    return Tuning(task.method, task.parameters, task.condition, seed, strehl, bench.electrons, round(thinking_s, 2))


def _rival(task: Task, bench: Bench, seed: int, gpcam: Path | None) -> ByVariance | ByGpcam | None:
    if task.method == "tuner":
        return None
    if task.method == "qLogNEI":
        return ByVariance(bench.ranges_nm, seed)
    if gpcam is None:
        raise ValueError("gpCAM: say with --gpcam which interpreter has it")
    return ByGpcam(bench.ranges_nm, seed, gpcam)


def stored(path: Path) -> list[Tuning]:
    """What was done before."""
    return [msgspec.json.decode(line, type=Tuning) for line in path.read_bytes().splitlines()] if path.exists() else []


def campaign(path: Path, tasks: Sequence[Task], seeds: Sequence[int], gpcam: Path | None) -> Iterator[Tuning]:
    """Do what is not in the file yet, one line each as it is done."""
    done = {each.key for each in stored(path)}
    for task in tasks:
        for seed in seeds:
            if (task.method, task.parameters, task.condition, seed) in done:
                continue
            found = tuned(task, seed, gpcam)
            with path.open("ab") as file:
                file.write(msgspec.json.encode(found) + b"\n")
            yield found
