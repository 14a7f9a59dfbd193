"""One wide picture of a run, for a README or a talk.

Use: python -m agent.report.poster RUN OUT.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from agent.eventlog import Header, RecordError
from agent.reading import Run, open_run
from agent.report import curves, gathered, images, maps
from agent.report.style import MEAN_MAP, figure, house_style
from hardware_bridge.report import Report

REPORT_JSON = "report.json"


def write_poster(folder: Path, out: Path, claims: Report) -> Path:
    """Draw a field with its particles, the map of looks, the belief map and growth curves, 1600 x 700 pixels.

    Raises:
        RecordError: the folder holds no record, or nothing in it can be drawn.
    """
    with open_run(folder) as run, house_style():
        if run.header is None:
            raise RecordError(f"{folder}: the header of the run is lost")
        _draw(run, run.header, claims, out)
    return out


def _draw(run: Run, header: Header, claims: Report, out: Path) -> None:
    followed, _ = gathered.key_looks(run)
    observation = gathered.seen(run, followed[-1]) if followed else None
    fields = maps.believed(header.card, claims)
    if observation is None or not fields:
        raise RecordError(f"{run.folder}: there is no image or no field to show")
    look, seen, card = followed[-1], gathered.looks(run), header.card
    made = figure(16.0, 7.0)
    made.set_layout_engine("constrained")
    panels = made.subplot_mosaic("IIVB;IIGG", width_ratios=(1.0, 1.0, 1.15, 1.15), height_ratios=(1.25, 1.0))
    images.micrograph(panels["I"], look, observation)
    debris = len(look.percept.particles) - len(look.real)
    beside = f", {debris} debris (dashed)" if debris else ""
    panels["I"].set_title(f"HAADF at {look.time_s:.0f} s: {len(look.real)} particles{beside}")
    shown = maps.visits(panels["V"], seen, header)
    made.colorbar(shown, ax=panels["V"], shrink=0.85, label="specimen time (s)")
    panels["V"].set_title("Where it looked")
    mesh = maps.cells(panels["B"], card, claims.targets[fields[0].name].mean, MEAN_MAP)
    made.colorbar(mesh, ax=panels["B"], shrink=0.85)
    panels["B"].set_title(f"{maps.spoken(fields[0].name)} claimed at {card.times_s[-1]:g} s")
    curves.radii(panels["G"], gathered.tracks(run, 8))
    panels["G"].set_title("Growth of the particles seen most often, ± 1 sd")
    made.savefig(out, format="png")


def main(arguments: list[str]) -> int:
    """Write the poster of the run in the first argument to the second."""
    if len(arguments) != 2:
        print("usage: python -m agent.report.poster RUN OUT.png", file=sys.stderr)
        return 2
    folder, out = map(Path, arguments)
    try:
        claims = msgspec.json.decode((folder / REPORT_JSON).read_bytes(), type=Report)
        print(write_poster(folder, out, claims))
    except (OSError, RecordError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
