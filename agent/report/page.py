"""Puts the report together: one HTML file that opens without a network."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from statistics import median
from string import Template

from agent.eventlog import Header
from agent.reading import Run, open_run
from agent.record import Record
from agent.report import gathered, pictures
from hardware_bridge.report import Report
from hardware_bridge.words import Name, Number, Word


class Scores(Word, frozen=True, kw_only=True):
    """Scores S of the run's policy and of others on the same seed and dose, and of the run by target."""

    policy: Name
    by_policy: dict[Name, Number]
    by_target: dict[Name, Number]


def write_report(folder: Path, out: Path, claims: Report | None, scores: Scores | None) -> Path:
    """Write the report of a recorded run to ``out`` and return it; a run that was cut short gets what there is.

    Raises:
        RecordError: the folder holds no record.
    """
    run = open_run(folder)
    try:
        parts = list(_sections(run, claims, scores))
    finally:
        run.close()
    page = Template(files("agent.report").joinpath("page.html").read_text(encoding="utf-8"))
    title = run.header.config.goal.question if run.header is not None else "A run without its header"
    out.write_text(page.substitute(title=escape(title), body="\n".join(parts)), encoding="utf-8")
    return out


def _sections(run: Run, claims: Report | None, scores: Scores | None) -> list[str]:
    header = run.header
    if header is None:
        return [_problems(run)]
    seen = gathered.looks(run)
    parts = [_facts(run, header), _scores(scores)]
    if not seen:
        return [*parts, "<p>Nothing was seen in this run.</p>", _problems(run), _data(run), _turns(run)]
    chosen = gathered.key_looks(run)
    if chosen:
        picture = pictures.embedded(pictures.micrographs(run, chosen), "HAADF images", raster=True)
        note = (
            "HAADF, with specimen time and fluence. Circles: particles at the radius claimed; dashed: probably debris."
        )
        parts.append(_section("What it saw", picture, note))
    picture = pictures.embedded(pictures.maps(run, header.card, claims), "maps of the specimen", raster=True)
    parts.append(_section("Where, and at what dose", picture, "Specimen frame, registered on the images."))
    note = "Error bars are one standard deviation. The band is what was known of a cell before the run."
    parts.append(
        _section("Growth", pictures.embedded(pictures.growth(run, header.card, claims), "growth curves"), note)
    )
    note = "Focus from pairs of images at two defoci; drift relative to the instrument's coordinates."
    parts.append(_section("Stability", pictures.embedded(pictures.stability(run), "focus and drift"), note))
    parts += [_spectrum(run), _section("Decisions", pictures.embedded(pictures.timeline(run), "timeline"), "")]
    return [*parts, _speed(run), _problems(run), _data(run), _turns(run)]


def _section(title: str, content: str, note: str) -> str:
    said = f"<p class=note>{escape(note)}</p>" if note else ""
    return f"<section><h2>{escape(title)}</h2>{content}{said}</section>"


def _facts(run: Run, header: Header) -> str:
    end_s = run.records[-1].end_s if run.records else header.start_s
    electrons = sum(record.electrons_charged for record in run.records)
    facts = (
        ("instrument", f"{header.capabilities.name}, {header.capabilities.beam_energy_keV:g} kV"),
        ("policy", header.config.policy.name),
        ("seed", str(header.seed)),
        ("begun", header.created),
        ("time", f"{end_s - header.start_s:.0f} of {header.end_s - header.start_s:.0f} s on the specimen's clock"),
        ("electrons", f"{electrons:.3g} of {header.max_electrons:.3g} charged"),
        ("turns", f"{len(run.records)} ({gathered.modes(run)})"),
    )
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts) + "</dl>"


def _scores(scores: Scores | None) -> str:
    if scores is None:
        return "<p class=note>This run has no score: nobody knows its truth, or it has not been scored.</p>"
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{value:+.3f}</td></tr>" for name, value in scores.by_policy.items())
    parts = ", ".join(f"{escape(name.replace('_', ' '))} {value:+.2f}" for name, value in scores.by_target.items())
    note = "1 is the exact truth with the beam off, 0 no better than the prior. Same seed, dose and perception for all."
    return _section("Score", f"<table class=scores>{rows}</table><p>{parts}</p>", note)


def _spectrum(run: Run) -> str:
    found = pictures.spectrum(run)
    if found is None:
        return _section("Spectrum", "<p>No spectrum was taken.</p>", "")
    made, look = found
    known = look.percept.estimates
    said = [f"{name.replace('_', ' ')} {known[name].value:.3g} ± {known[name].sd:.2g}" for name in sorted(known)]
    note = f"Turn {look.record.turn}, {look.record.electrons:.2g} electrons: " + "; ".join(said)
    return _section("Spectrum", pictures.embedded(made, "EELS spectrum"), note)


def _speed(run: Run) -> str:
    decided = [r.wall_s["suggest"] for r in run.records if "suggest" in r.wall_s]
    if not decided:
        return ""
    overhead = median(gathered.overhead_s(r) for r in run.records)
    seen = [r.wall_s["perceive"] for r in run.records if "perceive" in r.wall_s]
    rest = overhead - (median(seen) if seen else 0.0)
    total = sum(sum(r.wall_s.values()) for r in run.records)
    text = (
        f"Median decision {1e3 * median(decided):.1f} ms; overhead a turn (all but exposure and decision) "
        f"{1e3 * overhead:.1f} ms, of which perception all but {1e3 * rest:.1f} ms; {total:.1f} s of wall time in all."
    )
    return _section("Speed", f"<p>{text}</p>", "")


def _problems(run: Run) -> str:
    wrong = [f"turn {r.turn}: {r.failure}" for r in run.records if r.failure]
    wrong += [f"turn {r.turn}: {r.gaps} chunks are missing" for r in run.records if r.gaps]
    wrong += [f"turn {r.turn}: refused, {r.decision.reason}" for r in run.records if r.decision.command is None]
    items = "".join(f"<li>{escape(text)}</li>" for text in [*run.problems, *wrong])
    return _section("What went wrong", f"<ul>{items}</ul>" if items else "<p>Nothing.</p>", "")


def _data(run: Run) -> str:
    names = sorted(str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file())
    listed = "".join(f"<li><code>{escape(name)}</code></li>" for name in names if not name.endswith(".html"))
    code = "<pre>import hyperspy.api as hs\nsignals = hs.load(&quot;arrays/*.hspy&quot;)</pre>"
    return _section("Data", f"{code}<details><summary>files</summary><ul>{listed}</ul></details>", "")


def _turns(run: Run) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in ("turn", "s", "by", "mode", "place (nm)", "why", "information", "electrons", "verdict")
    )
    rows = "".join(_turn(record) for record in run.records)
    return f"<section><details><summary>All turns</summary><table><tr>{head}</tr>{rows}</table></details></section>"


def _turn(record: Record) -> str:
    percept = record.percept
    information, sd = gathered.chosen_information(record)
    others = [p.reason for p in record.decision.proposals[1:]]
    cells = (
        str(record.turn),
        f"{record.end_s:.1f}",
        gathered.proposer(record),
        (percept.mode or "") if percept is not None else "",
        f"{percept.x_nm:.0f}, {percept.y_nm:.0f}" if percept is not None else "",
        record.failure or record.decision.reason,
        f"{information:.4f} ± {sd:.4f}",
        f"{record.electrons_charged:.2e}",
        record.decision.verdict,
    )
    title = escape("Alternatives: " + "; ".join(others) if others else "No alternatives")
    return f'<tr title="{title}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
