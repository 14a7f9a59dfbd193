"""Lines about whole environment steps: many worlds in one batch, each under a guard, in modes drawn at random.

A step is a command that safety checks and charges, a stage that moves and settles, 7 s or so of kinetics, drift of the
specimen and of the lenses, an image of 64 x 64 pixels, a spectrum image of 4 x 4 or a diffraction pattern, its noise,
and the dose on two maps. Places and currents are drawn evenly, the focus within a few depths of focus. Resets count: a
batch begins anew when its time is over. What perception and score take is a line of its own.
"""

from __future__ import annotations

import contextlib
import cProfile
import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agent import twins
from agent.assemble import make_vector_env
from digital_twin.optics import Array, depth_of_focus_nm
from digital_twin.worlds import WORLDS, world_type
from envs.coding import MODES, Coding
from envs.prior import load_card
from experiments.benchmarks.lines import Line
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Command

BATCHES = (16, 64)
FIRST_SEED = 10_000
TURNS = 80
"""Of an episode: 600 s of the growth world."""

SHARE = 1.0 / 3.0
"""Decades of the current that a command may lie below the middle one: so that the budget lasts for all turns."""

FOCUS_DEPTHS = 2.0
"""Standard deviation of the focus about the height of the specimen, in depths of focus."""

PROCESSES = 2

BAR = 3000.0
"""Steps a second that are asked for, of all processes together."""

Work = Callable[[], object]


class Moves:
    """Draws what learners command: moves (B, 4) in -1..1, near focus, and modes (B,)."""

    def __init__(self, world: str, seeds: list[int], half_nm: float, C10_span_nm: float) -> None:
        kind = world_type(world)
        self._random, self._specimens = np.random.default_rng(0), kind(*seeds)
        self._half_nm, self._span_nm = half_nm, C10_span_nm
        self._depth_nm = depth_of_focus_nm(kind.facts.column.beam_energy_keV, kind.facts.column.convergence_mrad)

    def draw(self, batch: int) -> tuple[Array, NDArray[np.int64]]:
        """Commands of one turn."""
        place = self._random.uniform(-0.9, 0.9, (batch, 2))
        x_nm, y_nm = (torch.from_numpy(self._half_nm * place[:, k, None]) for k in (0, 1))
        height_nm = np.asarray(self._specimens.height_nm(x_nm, y_nm))[:, 0]
        C10_nm = self._random.normal(0.0, FOCUS_DEPTHS * self._depth_nm, batch) - height_nm
        focus = np.clip(C10_nm / self._span_nm, -1.0, 1.0)
        spend = self._random.uniform(-SHARE, 0.0, batch)
        return np.column_stack([place, focus, spend]), self._random.integers(len(MODES), size=batch)


def stepped(world: str, batch: int, modes: tuple[int, ...] = ()) -> Work:
    """Steps of guarded instruments of a batch of worlds; of some modes alone if they are given."""
    card, seeds = load_card(world), [FIRST_SEED + n for n in range(batch)]

    def turns() -> Iterator[None]:
        while True:
            seats = twins.guarded(world, card, seeds)
            coding = Coding.of(card, seats[0].describe())
            moves = Moves(world, seeds, coding.half_nm, coding.C10_span_nm)
            for turn in range(TURNS):
                drawn, kinds = moves.draw(batch)
                for seat, move, mode in zip(seats, drawn, kinds.tolist(), strict=True):
                    chosen = modes[mode % len(modes)] if modes else mode
                    try:
                        seat.submit(coding.command(f"step-{turn}", move, chosen))
                    except Rejected:
                        seat.submit(Command(id=f"wait-{turn}"))
                for seat in seats:
                    seat.gather(1.0)
                yield

    running = turns()
    return lambda: next(running)


def whole(world: str, batch: int) -> Work:
    """Steps of the vector environment: the same with perception, report and score."""
    env, card = make_vector_env(batch, world), load_card(world)
    seeds = [FIRST_SEED + n for n in range(batch)]
    coding = Coding.of(card, twins.bare(world, 0).describe())

    def turns() -> Iterator[None]:
        while True:
            env.reset(seed=list(seeds))
            moves = Moves(world, seeds, coding.half_nm, coding.C10_span_nm)
            for _ in range(TURNS):
                drawn, kinds = moves.draw(batch)
                env.step({"move": drawn.astype(np.float32), "mode": kinds})
                yield

    running = turns()
    return lambda: next(running)


PARTS = {
    "probes, drawing and blurring of images": "signals._incoherent",
    "diffraction patterns": "signals._patterns",
    "spectra": "imaging.expected_spectra",
    "noise and cameras": "sensors.record",
    "kinetics": "specimen.advance_to",
}
"""Parts of a step, by the function whose time they are."""

ALL_OF_THEM = "fleet.run"

BY_ITSELF = ("stage, drift, dose map and clock", "guard, safety and gathering")
"""What is done in Python for each world by itself, inside and outside the function of all parts."""


def parts_s(world: str, batch: int, turns: int) -> dict[str, float]:
    """Seconds that parts of steps took, all of them together the whole."""
    work = stepped(world, batch)
    work()
    profile = cProfile.Profile()
    begun = time.perf_counter()
    profile.runcall(lambda: [work() for _ in range(turns)])
    whole_s = time.perf_counter() - begun
    spent = dict.fromkeys((ALL_OF_THEM, *PARTS.values()), 0.0)
    for entry in profile.getstats():
        if not isinstance(entry.code, str):
            name = f"{Path(entry.code.co_filename).stem}.{entry.code.co_name}"
            if name in spent:
                spent[name] += entry.totaltime
    return {part: spent[name] for part, name in PARTS.items()} | {
        BY_ITSELF[0]: spent[ALL_OF_THEM] - sum(spent[name] for name in PARTS.values()),
        BY_ITSELF[1]: whole_s - spent[ALL_OF_THEM],
    }


def shares(world: str = "growth", batch: int = 64, turns: int = 6) -> str:
    """Where the time of steps goes, in sentences; a profiler makes what is Python look larger than it is."""
    parts = parts_s(world, batch, turns)
    whole_s = sum(parts.values())
    told = ", ".join(f"{part} {part_s / whole_s:.0%}" for part, part_s in parts.items())
    us, alone_s = 1e6 / (turns * batch), sum(parts[part] for part in BY_ITSELF)
    return (
        f"Where the time of steps goes, {batch} worlds of {world}: {told}. Under the profiler a step takes "
        f"{us * whole_s:,.0f} us, of which the last two parts, Python for each world by itself, are "
        f"{us * alone_s:,.0f}; {1e6 * PROCESSES / BAR:,.0f} are allowed at {BAR:,.0f} steps a second."
    )


def _serve(world: str, batch: int, pipe: Connection) -> None:
    torch.set_num_threads(1)
    work = stepped(world, batch)
    # The other end goes away with the line.
    with contextlib.suppress(EOFError):
        while pipe.recv():
            work()
            pipe.send(True)


def side_by_side(world: str, batch: int, processes: int = PROCESSES) -> Work:
    """Steps of as many processes as there are cores, each with a part of the batch."""
    context, pipes = multiprocessing.get_context("spawn"), []
    for _ in range(processes):
        ours, theirs = context.Pipe()
        context.Process(target=_serve, args=(world, batch // processes, theirs), daemon=True).start()
        pipes.append(ours)

    def work() -> None:
        for pipe in pipes:
            pipe.send(True)
        for pipe in pipes:
            pipe.recv()

    return work


def lines(device: str) -> list[Line]:
    """All lines about environments; they run on the processor alone."""
    if device != "cpu":
        return []

    def line(name: str, run: Callable[[], Work], batch: int, bar: float | None = None) -> Line:
        return Line(name, run, bar, per_call=batch, threads=(1,), unit="steps/s")

    found = [line(f"steps, {name}, batch 16", partial(stepped, name, 16), 16) for name in WORLDS]
    found.append(line("steps, growth, batch 64", partial(stepped, "growth", 64), 64))
    found += [
        line(f"steps, growth, batch 64, {mode} alone", partial(stepped, "growth", 64, (n,)), 64)
        for n, mode in enumerate(MODES)
    ]
    found.append(line("steps, growth, batch 64 in two processes", partial(side_by_side, "growth", 64), 64, BAR))
    found.append(line("the same with perception and score, growth, batch 16", partial(whole, "growth", 16), 16))
    return found
