"""What a replayed search leaves: its order as a table, and a picture of where spectra were taken and what was found."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from agent.report.style import BLUE, QUIET, TIME_MAP, VERMILION, figure, house_style, label
from agent.structure.replay import Replayed

ORDER, PICTURE = "order.csv", "search.png"


def summary(done: Replayed) -> str:
    """What came of a search, in three lines."""
    found, best, places = done.found(), int(done.best.sum()), done.best.size
    measured = len(done.rows)
    chance = best * measured / places
    half = int(np.searchsorted(found, best / 2)) + 1
    told = f"half of them after {half}" if found[-1] >= best / 2 else "not half of them"
    return (
        f"{measured} of {places} spectra ({measured / places:.1%}), led by {done.image_told}\n"
        f"{found[-1]} of the best {best} found, {told}; at random {chance:.1f} would be\n"
        f"if they are counts, {done.noise_share:.0%} of the variance over the field is noise: "
        "what is best by noise no search foresees"
    )


def write(done: Replayed, folder: Path) -> None:
    """Write the order and the picture into a folder, which is made.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    width = done.values.shape[1]
    with (folder / ORDER).open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(["order", "row", "column", "counts", "among_best"])
        for n, place in enumerate(done.rows.tolist(), start=1):
            row, column = divmod(place, width)
            table.writerow([n, row, column, f"{done.values[row, column]:.8g}", int(done.best[row, column])])
    with house_style():
        _draw(done, folder / PICTURE)


def _draw(done: Replayed, path: Path) -> None:
    made = figure(12.0, 4.2)
    height, width = done.values.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    where, all_of_it, curve = (made.add_subplot(1, 3, n) for n in (1, 2, 3))
    where.imshow(done.image, cmap="gray", extent=extent)
    rows, columns = np.divmod(done.rows, width)
    dots = where.scatter(columns, rows, c=np.arange(len(rows)), s=9, cmap=TIME_MAP, linewidths=0)
    made.colorbar(dots, ax=where, shrink=0.8, label="order")
    label(where, "where spectra were taken", "column", "row")
    all_of_it.imshow(done.values, cmap="magma", extent=extent)
    y, x = np.nonzero(done.best)
    all_of_it.scatter(x, y, s=14, facecolors="none", edgecolors=BLUE, linewidths=0.7)
    label(all_of_it, "counts of all spectra, the best circled", "column", "row")
    taken, best = np.arange(1, len(done.rows) + 1), int(done.best.sum())
    curve.plot(taken, done.found() / best, color=VERMILION, label="this search")
    curve.plot(taken, taken / done.best.size, color=QUIET, label="at random, expected")
    curve.set_ylim(0.0, 1.02)
    curve.legend()
    label(curve, f"share of the best {best} found", "spectra taken", "share")
    made.tight_layout()
    made.savefig(path, dpi=100, metadata={"Software": None})
