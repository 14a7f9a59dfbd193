"""What the page says in words and tables: the run in brief, its score, all turns, speed, and the data."""

from __future__ import annotations

import json
from collections import Counter
from statistics import median

import numpy as np

from agent.eventlog import Header
from agent.reading import Run
from agent.record import Record, taken
from agent.report import gathered
from agent.report.maps import spoken
from agent.report.markup import code, details, facts, listed, said, table
from agent.report.style import scientific
from hardware_bridge.report import Card
from hardware_bridge.words import Name, Number, Word

OPENING = """import hyperspy.api as hs

signals = hs.load({arrays})  # one stack of images or spectra for every mode and field of view
print(signals)"""


class Scores(Word, frozen=True, kw_only=True):
    """Scores S of the run's policy and of others on the same seed and dose, and of the run by target."""

    policy: Name
    by_policy: dict[Name, Number]
    by_target: dict[Name, Number]


def brief(run: Run, header: Header) -> str:
    """The run in brief."""
    choice, end_s = header.config.instrument, run.records[-1].end_s if run.records else header.start_s
    electrons = sum(record.electrons_charged for record in run.records)
    real, debris = gathered.track_counts(run)
    where = f"{header.capabilities.name} {header.capabilities.version}, {header.capabilities.beam_energy_keV:g} kV"
    return facts(
        (
            ("Instrument", f"{where}, {'over the bridge' if choice.kind == 'bridge' else 'in process'}"),
            ("Specimen", choice.specimen.rsplit("/", 1)[-1] if choice.specimen else f"world {header.card.world}"),
            ("Policy", f"{header.config.policy.name}, {header.config.review.mode}"),
            ("Seed", str(header.seed)),
            ("Begun", header.created),
            ("Duration", f"{end_s - header.start_s:.0f} of {header.end_s - header.start_s:.0f} s of specimen time"),
            ("Turns", f"{len(run.records)}: {gathered.modes(run)}"),
            ("Electrons", f"{scientific(electrons)} charged of {scientific(header.max_electrons)} allowed"),
            *(
                [("Found", f"{real} particles and {debris} pieces of debris were tracked")]
                if gathered.follows(header)
                else []
            ),
            *([("Events", events(run))] if header.config.watch is not None else []),
            ("Ended", ending(run, header)),
        )
    )


def events(run: Run) -> str:
    """What the watcher of the streams saw, and what was saved of it."""
    kinds = Counter(event.kind.replace("_", " ") for record in run.records for event in record.events)
    early = sum(record.aborted and bool(record.events) for record in run.records)
    watched = sum(clip.frames for clip in run.clips if clip.what == "table")
    saved = sum(clip.frames for clip in run.clips if clip.what == "frames")
    words = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common()) or "none"
    return f"{words} in {watched} frames watched; {early} ended an acquisition early; {saved} frames were saved"


def ending(run: Run, header: Header) -> str:
    """Why the record ends where it ends, as far as it can be told."""
    if not run.records:
        return "before the first turn"
    spent = sum(record.electrons_charged for record in run.records)
    if run.records[-1].end_s >= header.end_s - 10.0:
        return "its time was over"
    if spent >= 0.98 * header.max_electrons:
        return "its electrons were spent"
    if header.config.budget.turns is not None and len(run.records) >= header.config.budget.turns:
        return f"after the {header.config.budget.turns} turns it was given"
    return "before time and electrons were used up: stopped, interrupted, or still going on"


def score(scores: Scores | None, card: Card) -> str:
    """The score beside those of others, and by target."""
    if scores is None:
        return said("This run has no score: nobody knows the truth of its specimen, or it was not scored.")
    ranked = sorted(scores.by_policy.items(), key=lambda item: -item[1])
    rows = [(f"{name} (this run)" if name == scores.policy else name, f"{value:+.3f}") for name, value in ranked]
    words = (
        "The score compares the claims with what would be there without the beam: 1 is exact with certainty, 0 is no "
        "better than what was known before the run, below 0 is misled. All had the same seed, dose and time to spend "
        "(and turns, where they were limited) and the same perception."
    )
    weights = {target.name: target.weight for target in card.targets}
    parts = [
        (spoken(name), f"{value:+.3f}", f"{weights[name]:.0%}" if name in weights else "")
        for name, value in scores.by_target.items()
    ]
    number = scores.by_policy.get(scores.policy)
    own = f"<p class=score>S = {number:+.3f}</p>" if number is not None else ""
    tables = table(("Policy", "S"), rows, frozenset({1})) + table(
        ("Target", "S of it", "weight"), parts, frozenset({1, 2})
    )
    return f"{own}<div class=pair>{tables}</div>{said(words)}"


def turns(run: Run, start_s: float) -> str:
    """All turns with what was chosen, why, what was expected, and what became of it."""
    head = (
        "turn", "time (s)", "proposer", "mode", "place (nm)", "field (nm)", "reason", "predicted information",
        "electrons", "features", "verdict", "what went wrong or was noticed", "alternatives",
    )  # fmt: skip
    rows = [_turn(record, start_s) for record in run.records]
    return details(f"All {len(rows)} turns", table(head, rows, frozenset({0, 1, 4, 5, 7, 8, 9})))


def _turn(record: Record, start_s: float) -> tuple[str, ...]:
    percept, chosen = record.percept, taken(record)
    others = [p for p in record.decision.proposals if p is not chosen]
    noticed = [record.failure] if record.failure else []
    noticed += [f"{record.gaps} parts missing"] if record.gaps else []
    noticed += percept.events if percept is not None else ()
    reason = chosen.reason if chosen is not None else ""
    decided = record.decision.reason
    return (
        str(record.turn),
        f"{record.end_s - start_s:.1f}",
        gathered.proposer(record),
        (percept.mode or "none") if percept is not None else "",
        f"{percept.x_nm:.0f}, {percept.y_nm:.0f}" if percept is not None else "",
        f"{percept.width_nm:.0f}" if percept is not None else "",
        reason if decided in ("", reason) else f"{reason} [{record.decision.by}: {decided}]",
        f"{chosen.information:.4f} ± {chosen.information_sd:.4f}" if chosen is not None else "",
        scientific(record.electrons_charged),
        str(len(percept.particles)) if percept is not None else "",
        record.decision.verdict,
        "; ".join(noticed),
        "\n".join(f"{p.information:.4f} {p.proposer}: {p.reason}" for p in others),
    )


def speed(run: Run) -> str:
    """How long decisions and the loop took, by the wall clock."""
    timed = [record for record in run.records if record.wall_s]
    if not timed:
        return said("No times were recorded.")
    steps: dict[str, list[float]] = {}
    for record in timed:
        for step, seconds in record.wall_s.items():
            steps.setdefault(step, []).append(1e3 * seconds)
    overhead = [1e3 * gathered.overhead_s(record) for record in timed]
    total_s = sum(sum(record.wall_s.values()) for record in timed)
    own = [step for step in steps if step not in gathered.NOT_OVERHEAD]
    decided = f"{median(steps['suggest']):.1f} ms" if "suggest" in steps else "not recorded"
    words = (
        f"A decision took {decided} at the median. The loop's own overhead, all but decision and exposure "
        f"({', '.join(own) or 'nothing else was timed'}), was {median(overhead):.1f} ms a turn at the median. "
        f"All turns took {total_s:.1f} s on the wall clock."
    )
    rows = [
        (step, f"{median(ms):.1f}", f"{np.percentile(ms, 95):.1f}", f"{sum(ms) / 1e3:.2f}")
        for step, ms in steps.items()
    ]
    head = ("step", "median (ms)", "95th percentile (ms)", "in all (s)")
    return said(words) + table(head, rows, frozenset({1, 2, 3}))


def problems(run: Run) -> str:
    """What went wrong, or that nothing did."""
    found = gathered.wrong(run)
    return listed(found) if found else said("Nothing: no refusal, no failure, no gap in the data or the record.")


def data(run: Run) -> str:
    """How to open the data, and which files there are."""
    files = sorted(path for path in run.folder.rglob("*") if path.is_file() and path.suffix != ".html")
    rows = [(str(path.relative_to(run.folder)), f"{path.stat().st_size / 1e3:,.0f}") for path in files]
    shown = details(f"{len(rows)} files in this run", table(("file", "kB"), rows, frozenset({1})))
    return (
        said("The arrays are HDF5 in HyperSpy's layout, with calibrated axes; the event log has one line a turn.")
        + code(OPENING.format(arrays=json.dumps(f"{run.folder.name}/arrays/*.hspy")))
        + shown
    )
