"""The share of tunings that are done against images, and one specimen before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agent.report.style import BLUE, GREEN, VERMILION
from envs.autotune import GOOD
from experiments.tuning.benches import CONDITIONS, Bench
from experiments.tuning.study import Tuning, tuner_of

COLOURS = {"tuner": BLUE, "qLogNEI": VERMILION, "gpCAM": GREEN}
SHOWN_SEED, MOST_SHOWN = 50_003, 12


def draw(done: Sequence[Tuning], path: Path) -> None:
    """Write the pictures as PNG: curves of all methods at ``path``, images beside it as "before_after.png"."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, parameters in zip(figure.subplots(1, 2), (3, 7), strict=True):
        _curves(axes, [each for each in done if each.parameters == parameters], parameters)
    figure.savefig(path, dpi=110)
    _before_after(path.with_name("before_after.png"))


def _curves(axes: Axes, done: Sequence[Tuning], parameters: int) -> None:
    axes.set_title(f"{parameters} parameters: a Strehl ratio of {GOOD:g} was reached", loc="left", fontsize=9)
    axes.set(xlabel="images", ylabel="share of seeds", xscale="log", ylim=(0, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    for method, colour in COLOURS.items():
        for condition in CONDITIONS:
            some = [each for each in done if (each.method, each.condition) == (method, condition)]
            if not some:
                continue
            count = np.arange(1, 1 + max(len(each.strehl) for each in some))
            share = [np.mean([each.images is not None and each.images <= n for each in some]) for n in count]
            plain = condition == CONDITIONS[0]
            label = method if plain else None
            axes.step(count, share, where="post", color=colour, lw=2 if plain else 0.8, alpha=1 if plain else 0.6)
            axes.plot([], [], color=colour, label=label)
    axes.legend(frameon=False, fontsize=8)


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
