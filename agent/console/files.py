"""Files that a console hands out: the arrays of the run for HyperSpy, and its report so far."""

from __future__ import annotations

import zipfile
from pathlib import Path

from agent.console.words import NotFound
from agent.streams import FOLDER

HSPY, REPORT = "run-hyperspy.zip", "report.html"


def write(folder: Path, name: str, out: Path) -> None:
    """Write one of them: a ZIP of files that ``hyperspy.api.load`` opens, or a page.

    Raises:
        NotFound: there is no such file, or nothing to put in it yet.
        RecordError: the record cannot be read.
    """
    if name == HSPY:
        _arrays(folder, out)
    elif name == REPORT:
        from agent.report import write_report  # loads what draws, which takes a while

        write_report(folder, out, None, None)
    else:
        raise NotFound(f"file {name}: known are {HSPY}, {REPORT}")


def _arrays(folder: Path, out: Path) -> None:
    files = sorted((folder / FOLDER).glob("*.hspy"))
    if not files:
        raise NotFound("no arrays yet: nothing was seen in this run")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # they are compressed already
        for file in files:
            archive.write(file, f"{folder.name}/{file.name}")
