"""The page of the study: what share of the best places each rival finds, how soon, and where it looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure

from agent.report.style import CYCLE, QUIET, TIME_MAP, figure, house_style, label
from digital_twin.worlds import world_type
from envs.curve import interval
from experiments.structure_property import study
from experiments.structure_property.sets import FIELD_NM, POINTS, SUBJECTS, Array, Taken, electrons, kept
from experiments.structure_property.study import ALL_SEEN, BASE, BRIGHTEST, OURS, RIVALS, TESTING, Files, Search

NAMES = (*RIVALS, BRIGHTEST, ALL_SEEN)
Found = Mapping[str, Mapping[int, Search]]
"""Searches by rival and seed."""

HEADING = """# Finding the best 1 % of spectra with 5 % of the points

A field of {field:g} nm with {points} x {points} points: one HAADF image, then spectra only where a search asks for
them. The bar: of the 1 % of the points whose spectra show most of a property ({best} of them), all found with at most
5 % of the points ({most}). `python -m experiments.structure_property tune`, then `run`, then `table` make this page
again.

{worlds}

The property is read off the *noisy* spectrum by the agent's own fits, as a user would. The best are so by the same fit
of the spectrum *without noise*: nothing else is called true here. They are {best} places even where the last of them
and the next differ by less than a spectrum can tell. Image and spectra drift as the twin's instrument does. Left out is
{left_out}: nothing is there yet.

- *deep kernel*: a network on patches of 80 nm and a Gaussian process on its features and on the place;
- *components*: the same without the network, on {features} principal components of the patches and the place;
- *position*: a plain Gaussian process on the place alone, with the same acquisition;
- *variance*: the deep kernel, but where it knows least; *random*: anywhere;
- *brightest*, which nobody asked for: where the image is brightest, without any model;
- *all seen*: all points measured once, and the {most} largest values named. What it misses, noise hides.
"""
MADE = """## Settings

Of each rival it was tried with how many places to begin, and how much to widen what it believes where it asks what may
lie above the level (`first` and `doubt`: {ways}) on seeds {tuning}, in each world by itself; the best is taken. For
variance doubt has no say. Before that some ten sizes of network, priors, batches and ways to begin were tried on the
same seeds for the deep kernel alone; components, position and variance have the same. Kernel and noise of all are
fitted to each search's own data.

{settings}
"""


def write(files: Files, folder: Path, limits: str) -> str:
    """Write RESULT.md and its pictures from the searches, and return the former.

    Raises:
        ValueError: in a world no seed has been searched by all.
    """
    searches = files.done()
    found = {world: compared(searches, world) for world in SUBJECTS}
    chosen = study.settings_found(searches, list(SUBJECTS))
    settings = "\n".join(
        f"- {name}: {study.printed(plan, [chosen[world, name] for world in SUBJECTS])}" for name, plan in RIVALS.items()
    )
    ways = ", ".join(f"{first} and {doubt:g}" for first, doubt in study.WAYS)
    parts = [
        HEADING.format(
            field=FIELD_NM,
            points=POINTS,
            best=study.best_count(),
            most=BASE.points,
            features=BASE.kernel.features,
            left_out=" and ".join(f"{world}, seed {seed}" for world, seed in study.EMPTY),
            worlds="\n".join(_told(world) for world in SUBJECTS),
        ),
        *(_section(world, each) for world, each in found.items()),
        "![curves](curves.png)\n\n![places](places.png)\n",
        limits,
        MADE.format(
            ways=ways,
            tuning=_span(study.TUNING),
            settings=settings,
        ),
    ]
    text = "\n".join(parts)
    with house_style():
        _curves(found).savefig(folder / "curves.png", metadata={"Software": None})
        shown = {world: kept(world, TESTING[0], files.sets) for world in SUBJECTS}
        _places(shown, found).savefig(folder / "places.png", metadata={"Software": None})
    (folder / "RESULT.md").write_text(text, encoding="utf-8")
    return text


def compared(searches: Sequence[Search], world: str) -> Found:
    """The searches of the test seeds that all have searched, with the settings that were found.

    Raises:
        ValueError: there is no such seed.
    """
    chosen = study.settings_found(searches, list(SUBJECTS))
    by_rival: dict[str, dict[int, Search]] = {name: {} for name in NAMES}
    for each in searches:
        if each.world == world and each.seed in TESTING and each.way == chosen[world, each.rival]:
            by_rival[each.rival][each.seed] = each
    seeds = sorted(set.intersection(*(set(each) for each in by_rival.values())))
    if not seeds:
        raise ValueError(f"{world}: no seed of {_span(TESTING)} has been searched by all: run it first")
    return {name: {seed: each[seed] for seed in seeds} for name, each in by_rival.items()}


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}-{seeds[-1]}"


def _told(world: str) -> str:
    subject = SUBJECTS[world]
    budget = world_type(world).facts.budget_electrons
    return (
        f"- `{world}` after {subject.time_s:g} s: {subject.told}; {electrons(world):.2g} electrons a spectrum, so that "
        f"5 % of the points take the world's budget of {budget:.0e}."
    )


def _section(world: str, found: Found) -> str:
    seeds = list(found[OURS])
    lines = [
        f"## {world}, {len(seeds)} paired seeds ({_span(seeds)})\n",
        "| | share of the best found at 5 % of the points | deep kernel minus it | seeds with all found | "
        "points to the first | to half | to all |",
        "|---|---|---|---|---|---|---|",
    ]
    ours = shares(found[OURS])
    for name in NAMES:
        theirs = shares(found[name])
        mean, minus = interval(theirs), interval(ours - theirs)
        apart = "" if name == OURS else f"{minus.mean:+.2f} [{minus.low:+.2f}, {minus.high:+.2f}]"
        took = [points_to(found[name], count) for count in (1, -(-study.best_count() // 2), study.best_count())]
        if name == ALL_SEEN:
            took = ["", "", ""]
        complete = int((theirs == 1.0).sum())
        lines.append(
            f"| {name} | {mean.mean:.2f} [{mean.low:.2f}, {mean.high:.2f}] | {apart} | {complete} of {len(seeds)} | "
            f"{' | '.join(took)} |"
        )
    return "\n".join(lines) + "\n\nMeans with 95 % bootstrap intervals over seeds; points are medians over seeds.\n"


def shares(some: Mapping[int, Search]) -> Array:
    """The share of the best that each search found, (seeds,)."""
    return np.array([each.share_at(BASE.points) for each in some.values()])


def points_to(some: Mapping[int, Search], count: int) -> str:
    """The median over seeds of the points after which so many of the best were found."""
    took = [each.found_at[count - 1] if len(each.found_at) >= count else BASE.points + 1 for each in some.values()]
    middle = median(took)
    return f"{middle:g}" if middle <= BASE.points else f"> {BASE.points}"


def _curves(found: Mapping[str, Found]) -> Figure:
    made = figure(10.0, 3.8)
    measured = range(BASE.points + 1)
    for n, (world, by_rival) in enumerate(found.items(), start=1):
        axes = made.add_subplot(1, len(found), n)
        for name, colour in zip((*RIVALS, BRIGHTEST), CYCLE, strict=False):
            share = [[each.share_at(at) for at in measured] for each in by_rival[name].values()]
            axes.plot(measured, np.mean(share, axis=0), color=colour, label=name)
        axes.set_ylim(0.0, 1.02)
        label(axes, world, "spectra taken, of 4096", "share of the best 1 % found, mean")
        if n == 1:
            axes.legend()
    made.tight_layout()
    return made


def _places(shown: Mapping[str, Taken], found: Mapping[str, Found]) -> Figure:
    """Where the deep kernel took spectra on the first seed, beside image and truth."""
    made = figure(10.0, 6.4)
    extent = (-0.5, POINTS - 0.5, POINTS - 0.5, -0.5)
    for row, (world, taken) in enumerate(shown.items()):
        best = np.divmod(study.best(taken.true), POINTS)
        titles = (f"{world}: the image", "the property without noise, the best circled", "where spectra were taken")
        images = (taken.image, taken.true.reshape(POINTS, POINTS), taken.image)
        for column, (title, image) in enumerate(zip(titles, images, strict=True)):
            axes = made.add_subplot(2, 3, 3 * row + column + 1)
            axes.imshow(image, cmap="magma" if column == 1 else "gray", extent=extent)
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=8)
            if column:
                axes.scatter(best[1], best[0], s=14, facecolors="none", edgecolors=QUIET, linewidths=0.6)
            if column == 2:
                rows = np.array(found[world][OURS][TESTING[0]].rows)
                down, across = np.divmod(rows, POINTS)
                axes.scatter(across, down, c=np.arange(len(rows)), s=6, cmap=TIME_MAP, linewidths=0)
    made.tight_layout()
    return made
