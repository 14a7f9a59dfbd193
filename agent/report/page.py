"""Puts the report together: one HTML file that opens without a network."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

from agent.eventlog import Header
from agent.reading import Run, open_run
from agent.report import gathered, sections, tables
from agent.report.markup import escape, said, section
from agent.report.style import house_style
from agent.report.tables import Scores
from hardware_bridge.report import Report


def write_report(folder: Path, out: Path, claims: Report | None, scores: Scores | None) -> Path:
    """Write the report of a recorded run to ``out`` and return it; a run that was cut short gets what there is.

    Raises:
        RecordError: the folder holds no record.
        OSError: ``out`` cannot be written.
    """
    with open_run(folder) as run, house_style():
        parts = _sections(run, claims, scores)
    title = run.header.config.goal.question if run.header is not None else "A run whose header is lost"
    page = Template(files("agent.report").joinpath("page.html").read_text(encoding="utf-8"))
    out.write_text(page.substitute(title=escape(title), body="\n".join(parts)), encoding="utf-8")
    return out


def _sections(run: Run, claims: Report | None, scores: Scores | None) -> list[str]:
    header, ends = run.header, _ends(run)
    if header is None:
        return [said("Without its header a record cannot be drawn; its turns are listed below."), *ends]
    parts = [tables.brief(run, header), section("Score", tables.score(scores, header.card))]
    seen = gathered.looks(run)
    if not seen:
        return [*parts, said("Nothing was seen in this run, so there are no pictures."), *ends]
    return [
        *parts,
        sections.micrographs(run),
        sections.places(run, header, seen),
        sections.belief(header, claims),
        sections.growth(run, header, claims),
        sections.stability(run, header, seen),
        sections.spectrum(run),
        sections.decisions(run, header, seen, _came(header, claims, scores)),
        *ends,
    ]


def _came(header: Header, claims: Report | None, scores: Scores | None) -> list[tuple[str, float]]:
    """What came of all predicted information: the score that the claims expect of themselves, and the score."""
    came = [("expected by the claims", gathered.gained(header.card, claims))] if claims is not None else []
    scored = scores.by_policy.get(scores.policy) if scores is not None else None
    return came + ([("scored", scored)] if scored is not None else [])


def _ends(run: Run) -> list[str]:
    """The sections that every record has, however little of it is left."""
    return [
        section("All turns", tables.turns(run, run.header.start_s if run.header is not None else 0.0)),
        section("Speed", tables.speed(run)),
        section("What went wrong", tables.problems(run)),
        section("The data", tables.data(run)),
    ]
