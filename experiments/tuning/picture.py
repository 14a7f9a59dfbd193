"""The share of tunings that are done against images, and one specimen before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from agent.report.style import BLUE, GREEN, VERMILION
from envs.autotune import GOOD
from experiments.tuning.benches import CONDITIONS, Bench
from experiments.tuning.study import MOST_IMAGES, Tuning, tuner_of

COLOURS = {"tuner": BLUE, "qLogNEI": VERMILION, "gpCAM": GREEN}
SHOWN_SEED, MOST_SHOWN = 50_003, 12
TICKS = (1, 2, 3, 5, 10, 20, 50, 100)


def draw(done: Sequence[Tuning], path: Path) -> None:
    """Write the pictures as PNG: curves of all methods at ``path``, images beside it as "before_after.png"."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for (above, below), parameters in zip(figure.subplots(2, 2, sharex="col").T, (3, 7), strict=True):
        _curves(above, below, [each for each in done if each.parameters == parameters])
        above.set_title(f"{parameters} parameters", loc="left", fontsize=9)
        above.set(ylabel="best Strehl ratio so far, median", ylim=(0, 1.02))
        below.set(xlabel="images", ylabel=f"share of seeds at {GOOD:g}", ylim=(0, 1.02), xscale="log")
        below.xaxis.set_major_formatter(ScalarFormatter())
        below.set_xticks([n for n in TICKS if n <= MOST_IMAGES[parameters]])
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    _before_after(path.with_name("before_after.png"))


def _curves(above: Axes, below: Axes, done: Sequence[Tuning]) -> None:
    """The best Strehl ratio so far, and the share of seeds that are done, of each method under each condition."""
    for method, colour in COLOURS.items():
        for condition in CONDITIONS:
            some = [each for each in done if (each.method, each.condition) == (method, condition)]
            if not some:
                continue
            count = np.arange(1, 1 + MOST_IMAGES[some[0].parameters])
            best = np.array([[max(each.strehl[:n]) for n in count] for each in some])
            plain = condition == CONDITIONS[0]
            lw, label = (2.0, method) if plain else (0.8, None)
            above.step(count, np.median(best, axis=0), where="post", color=colour, lw=lw, label=label)
            below.step(count, (best >= GOOD).mean(axis=0), where="post", color=colour, lw=lw)
    if done:
        above.legend(frameon=False, fontsize=8)


def _before_after(path: Path) -> None:
    """One tuning of three parameters, image by image."""
    bench = Bench(SHOWN_SEED, 3, CONDITIONS[0])
    tuner = tuner_of(bench, SHOWN_SEED)
    images: list[tuple[np.ndarray, float]] = []
    while len(images) < MOST_SHOWN and (not images or images[-1][1] < GOOD):
        settings = tuner.suggest()
        counts = bench.look(settings)
        images.append((counts, bench.strehl()))
        tuner.ingest(counts, settings)
    figure = Figure(figsize=(2.4 * len(images), 2.7), layout="constrained")
    FigureCanvasAgg(figure)
    for n, (axes, (counts, strehl)) in enumerate(zip(figure.subplots(1, len(images)).ravel(), images, strict=True), 1):
        axes.imshow(counts, cmap="gray", vmax=np.quantile(counts, 0.999))
        axes.set_title(f"image {n}: Strehl ratio {strehl:.2f}", fontsize=8)
        axes.set_axis_off()
    figure.savefig(path, dpi=110)
