"""How long a decision takes: learn one reading, forecast all candidates, pick the best. Side by side with BoTorch.

    python -m experiments.benchmarks.decision                  # some minutes; writes DECISION.md beside it
    python -m experiments.benchmarks.decision --edge 16 --readings 200 --night 1000 --repeats 20 --out -

Candidates are the places of a square grid. Both sides have the same kernel, readings and candidates, hyperparameters
frozen, and pick by mean + 2 sd. BoTorch is timed in several ways on one and two threads, of which the best counts; ours
has one thread. Numbers from a machine that does other things are disturbed: the page says how busy it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from experiments.benchmarks.decision_rivals import BoTorch, closed_form
from experiments.benchmarks.decision_sides import (
    KERNEL,
    LEAD_S,
    columns,
    exact,
    modes,
    places,
    readings,
    statespace,
    timed,
    while_fitting,
)
from policies.bayes.kernel import Array
from policies.bayes.statespace import Reading, StateSpaceProcess

RESULT = Path(__file__).with_name("DECISION.md")
# What is proved at a night's length is proved at so many of the candidates.
CHECKED = 256
STANDING_MS, MOVING_MS, TIMES, EQUAL = 2.0, 10.0, 35.0, 1e-6


@dataclass(frozen=True)
class Size:
    """How much is measured: candidates along an edge, readings, those of a long night, and timed decisions."""

    edge: int = 64
    readings: int = 1000
    night: int = 10_000
    repeats: int = 100


@dataclass(frozen=True)
class Line:
    """One line of the page: who decided, how long each decision took (ms), and how far off the posterior was."""

    name: str
    ms: Array
    mean_error: float | None = None
    var_error: float | None = None
    bar_ms: float | None = None
    times: float | None = None


def botorch(size: Size, candidates: Array, given: Sequence[Reading]) -> tuple[Line, Array, Array]:
    """The best of BoTorch's ways, and its posterior."""
    rival = BoTorch(KERNEL, columns(given, candidates[:, :2]), candidates)
    before, lines = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for name, way in rival.ways().items():
                ms = timed(way, range(max(3, size.repeats // 10)))
                lines.append(Line(f"BoTorch: {name}, threads: {threads}", ms))
    finally:
        torch.set_num_threads(before)
    return min(lines, key=lambda line: float(np.median(line.ms))), *rival.posterior()


def night(size: Size, where: Array) -> Line:
    """Decisions at the end of a long night, whose time moves; checked against the closed form."""
    given = readings(size.night, size.edge)
    process = StateSpaceProcess(KERNEL, where)
    ms = statespace(process, given, size.repeats, lambda r: r.t_s + LEAD_S)
    asked = np.random.default_rng(1).permutation(len(where))[:CHECKED]
    t_s = given[-1].t_s + LEAD_S
    forecast = process.predict(t_s)
    points = np.column_stack([where[asked], np.full(len(asked), t_s)])
    mean, var = closed_form(KERNEL, columns(given, where), points)
    mean_error = float(np.max(np.abs(forecast.mean[0, asked] - mean)))
    var_error = float(np.max(np.abs(forecast.cov[0, 0, asked] - var)))
    return Line(f"state-space, time moves, n = {size.night:,}", ms, mean_error, var_error, MOVING_MS)


def measure(size: Size) -> tuple[list[Line], str]:
    """All lines of the page, BoTorch's first, and a sentence about the fit beside the run."""
    where = places(size.edge)
    given = readings(size.readings + size.repeats, size.edge)
    t_s = given[-1].t_s + LEAD_S
    candidates = np.column_stack([where, np.full(len(where), t_s)])
    rival, mean, var = botorch(size, candidates, given)
    theirs = float(np.median(rival.ms))
    lines = [rival]

    def add(name: str, ms: Array, posterior: tuple[Array, Array], bar_ms: float) -> None:
        mean_error, var_error = (float(np.max(np.abs(a - b))) for a, b in zip(posterior, (mean, var), strict=True))
        lines.append(Line(name, ms, mean_error, var_error, bar_ms, theirs / float(np.median(ms))))

    ms, process = exact(where, candidates, given, size.repeats)
    add("exact append, cached candidates, time stands", ms, (process.mean, process.var), STANDING_MS)
    for name, at, bar_ms in (
        ("time stands", lambda _: t_s, STANDING_MS),
        ("time moves", lambda r: r.t_s + LEAD_S, MOVING_MS),
    ):
        moving = StateSpaceProcess(KERNEL, where)
        ms = statespace(moving, given, size.repeats, at)
        forecast = moving.predict(t_s)
        add(f"state-space, {name}", ms, (forecast.mean[0], forecast.cov[0, 0]), bar_ms)
    name = "state-space, two outputs, 3 modes, costs, travel, walls"
    lines.append(Line(name, modes(where, given, size.repeats), bar_ms=MOVING_MS))
    lines.append(night(size, where))
    taken, swap, fit_s = while_fitting(where, given, readings(20_000, size.edge)[len(given) :])
    lines.append(Line(f"state-space, while a fit runs beside it ({fit_s:.1f} s)", taken, bar_ms=MOVING_MS))
    return lines, f"The fit relearned {len(given):,} readings; going over to it took one turn {swap[0]:.1f} ms more."


def _told(ms: Array) -> str:
    return " | ".join(f"{value:.2f}" for value in (np.median(ms), np.percentile(ms, 90), np.min(ms)))


def page(size: Size, lines: Sequence[Line], beside: str, busy: float) -> str:
    """The result page."""
    text = [
        "# How long a decision takes",
        "",
        f"Learn one reading, forecast {size.edge**2:,} candidates, pick the best; n = {size.readings:,} readings, if "
        f"nothing else is said. {os.cpu_count()} cores, {busy:.1f} programs running on them when it began (0: idle). "
        "Errors are the largest over all candidates against BoTorch's posterior, at n = "
        f"{size.night:,} against the closed form at {min(CHECKED, size.edge**2)} of them; the prior variance is 1. "
        "Made by `python -m experiments.benchmarks.decision`.",
        "",
        "| who | median (ms) | p90 | least | times BoTorch | error of mean | error of variance | bar |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        errors = ["" if e is None else f"{e:.0e}" for e in (line.mean_error, line.var_error)]
        times = "" if line.times is None else f"{line.times:.0f}"
        text.append(f"| {line.name} | {_told(line.ms)} | {times} | {' | '.join(errors)} | {_verdict(line)} |")
    text += ["", beside, ""]
    return "\n".join(text)


def _verdict(line: Line) -> str:
    if line.bar_ms is None:
        return ""
    asked = [f"{line.bar_ms:g} ms"]
    met = float(np.median(line.ms)) <= line.bar_ms
    if line.times is not None and line.bar_ms == STANDING_MS:
        asked.append(f"{TIMES:g} times")
        met = met and line.times >= TIMES
    if line.mean_error is not None and line.var_error is not None:
        asked.append(f"{EQUAL:g}")
        met = met and max(line.mean_error, line.var_error) <= EQUAL
    return f"{', '.join(asked)}: {'met' if met else 'missed'}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.decision", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--edge", type=int, default=64, help="candidates along an edge (default 64)")
    parser.add_argument("--readings", type=int, default=1000, help="readings (default 1000)")
    parser.add_argument("--night", type=int, default=10_000, help="readings of a long night (default 10000)")
    parser.add_argument("--repeats", type=int, default=100, help="timed decisions (default 100)")
    parser.add_argument("--out", default=str(RESULT), help="page to write, - for the standard output alone")
    given = parser.parse_args(arguments)
    size = Size(given.edge, given.readings, given.night, given.repeats)
    busy = os.getloadavg()[0]
    text = page(size, *measure(size), busy)
    print(text, end="")
    if given.out != "-":
        Path(given.out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # BLAS reads it when it is loaded: start again, with one thread for ours; BoTorch's are set for each timing.
        again = [sys.executable, "-m", "experiments.benchmarks.decision", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "OMP_NUM_THREADS": "1"})
    main()
