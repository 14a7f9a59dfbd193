"""What `adaptem twin` does: shows the worlds of the twin, or fits a twin to what was recorded."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.calibrate.twin.evidence import Evidence

Say = Callable[[str], None]


def gallery(given: argparse.Namespace, say: Say) -> str:
    """Write the page of pictures of the worlds; returns where it is.

    Raises:
        ValueError: there is no folder to write it in, or no such world.
    """
    from agent import assemble
    from agent.gallery.page import write_gallery

    if not given.out.parent.is_dir():
        raise ValueError(f"--out: there is no folder {given.out.parent}")
    exhibits = [assemble.exhibit(world, given.seed) for world in given.world or assemble.worlds()]
    return f"written to {write_gallery(exhibits, given.out, say)}"


def fit(given: argparse.Namespace, say: Say) -> str:
    """Fit a twin to what was recorded, and write it where that is asked for; returns what was found.

    Raises:
        ValueError: naming the option or the file, and what is wrong with it.
    """
    from agent.calibrate.twin import report
    from agent.calibrate.twin.procedure import calibrate

    if given.out is not None and not given.out.parent.is_dir():
        raise ValueError(f"--out: there is no folder {given.out.parent}")
    if given.share is not None and not 0.0 < given.share <= 1.0:
        raise ValueError(f"--share = {given.share:g} must be above 0 and at most 1")
    fitted = calibrate(_recorded(given), ", ".join(path.name for path in given.data), given.share, say)
    found = report.table(fitted.found)
    if given.out is None:
        return found
    report.write(fitted.found, given.out)
    return (
        f"{found}\nwritten to {given.out}: put its tables into a configuration; all numbers are in the JSON beside it"
    )


def _recorded(given: argparse.Namespace) -> Evidence:
    """What a run or files hold.

    Raises:
        ValueError: naming the option or the file, and what is wrong with it.
    """
    from agent import assemble
    from agent.calibrate.twin import evidence
    from agent.reading import open_run

    known = {name: getattr(given, name) for name in evidence.FACTS if getattr(given, name) is not None}
    for name, value in known.items():
        if not 0.0 < value < 1e6:
            raise ValueError(f"--{name.replace('_', '-')} = {value:g} must be above 0 and below 1e6")
    if len(given.data) == 1 and given.data[0].is_dir():
        if known or given.dark:
            raise ValueError(f"{given.data[0]}: a run knows its own pixel size, times and dark references")
        with open_run(given.data[0]) as run:
            return evidence.of_run(run)
    images, darks = ([assemble.read_images(path) for path in paths] for paths in (given.data, given.dark))
    return evidence.of_files(images, darks, known)
