"""One line of the benchmark of the twin: what is timed, what it must reach, and the plain prototype beside it.

A module of lines has a function ``lines(device) -> list[Line]`` and is named in ``twin.MODULES``. The two sides of a
line are timed in turns, a short run of one after a short run of the other, so that both meet the same machine; of each
the best run counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

ROUNDS = 5

Setup = Callable[[], Callable[[], object]]
"""Prepares everything that may be prepared, and returns the call that is timed."""


@dataclass(frozen=True)
class Line:
    """Something of which the twin makes so many a second.

    ``run`` and ``prototype`` make ``per_call`` of them in a call. ``bar`` is how many a second are asked for,
    ``times`` how many times the prototype. Both sides are timed on each number of ``threads``, of which the best
    counts: a second one helps large arrays and costs small ones.
    """

    name: str
    run: Setup
    bar: float | None = None
    prototype: Setup | None = None
    times: float | None = None
    per_call: int = 1
    threads: tuple[int, ...] = (1, 2)
    unit: str = "frames/s"


@dataclass(frozen=True)
class Reached:
    """What a line came to, a second, and on how many threads."""

    line: Line
    device: str
    per_s: float
    prototype_per_s: float | None
    threads: int = 1

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the prototype, which may be missing."""
        return None if self.prototype_per_s is None else self.per_s / self.prototype_per_s

    @property
    def met(self) -> bool | None:
        """Whether it is as fast as it must be; None where nothing is asked."""
        asked = [(self.line.bar, self.per_s), (self.line.times, self.ratio)]
        told = [got is not None and got >= bar for bar, got in asked if bar is not None]
        return all(told) if told else None


def measure(line: Line, device: str, seconds: float) -> Reached:
    """Time a line for about so many seconds on each side, on a device that its work already uses."""
    before = torch.get_num_threads()
    sides = [line.run()] if line.prototype is None else [line.run(), line.prototype()]
    best: list[dict[int, float]] = [dict.fromkeys(line.threads, 0.0) for _ in sides]
    try:
        for turn in range(ROUNDS + 1):
            for work, rates in zip(sides, best, strict=True):
                for threads in line.threads:
                    torch.set_num_threads(threads)
                    # The first turn warms up.
                    per_s = line.per_call * _calls_per_s(work, seconds / ROUNDS if turn else 0.0)
                    rates[threads] = max(rates[threads], per_s) if turn else 0.0
    finally:
        torch.set_num_threads(before)
    ours, theirs = best[0], best[1] if len(best) > 1 else None
    fastest = max(ours, key=lambda threads: ours[threads])
    return Reached(line, device, ours[fastest], max(theirs.values()) if theirs else None, fastest)


def _calls_per_s(work: Callable[[], object], seconds: float) -> float:
    begun, calls = time.perf_counter(), 0
    while True:
        result = work()
        calls += 1
        if isinstance(result, torch.Tensor) and result.is_cuda:
            torch.cuda.synchronize()
        if (taken := time.perf_counter() - begun) >= seconds:
            return calls / taken
