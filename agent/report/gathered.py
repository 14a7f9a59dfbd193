"""What the report shows, gathered from a record: looks at the specimen, tracks, estimates, doses and costs of turns."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from agent.doses import charge_turn
from agent.eventlog import Header, RecordError
from agent.perception.current import measured_pA
from agent.reading import Run
from agent.record import Record, taken
from agent.report.style import scientific
from hardware_bridge.cost import beam_current_pA
from hardware_bridge.dose import DoseLedger
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Particle, Percept, Report

Array = NDArray[np.float64]
REAL = 0.5
SAME_PLACE = 0.35  # of the width of the field
SMALLEST_DOSE = 1.0  # electrons; less is rounding
NOT_OVERHEAD = frozenset({"execute", "suggest"})


@dataclass(frozen=True)
class Look:
    """One turn that saw something. ``time_s`` is its end, counted from the start of the run."""

    record: Record
    percept: Percept
    time_s: float

    @property
    def fluence_e_per_A2(self) -> float:
        """Mean fluence of this look on its field, by the instrument's measure."""
        area_A2 = 100.0 * self.percept.width_nm * self.percept.height_nm
        return self.record.electrons / area_A2 if area_A2 else 0.0

    @property
    def real(self) -> list[Particle]:
        """The particles that are more likely particles than debris."""
        return [p for p in self.percept.particles if p.real >= REAL]


def follows(header: Header) -> bool:
    """Whether who perceived follows single particles; a reader sees cells alone."""
    return header.config.perception.name != "reader"


def looks(run: Run) -> list[Look]:
    """All turns with a percept, in order."""
    start_s = run.header.start_s if run.header is not None else 0.0
    return [Look(r, r.percept, r.percept.end_s - start_s) for r in run.records if r.percept is not None]


def seen(run: Run, look: Look) -> Observation | None:
    """What a look saw, or None where its arrays are lost."""
    try:
        observation = run.observation(look.record)
    except RecordError:
        return None
    return observation if observation is not None and observation.data is not None else None


def modes(run: Run) -> str:
    """How many turns of each mode there were, in words."""
    counts = Counter(look.percept.mode or "without exposure" for look in looks(run))
    nothing = len(run.records) - sum(counts.values())
    words = [f"{count} {mode}" for mode, count in counts.most_common()]
    return ", ".join(words + ([f"{nothing} that ran nothing"] if nothing else [])) or "none"


def key_looks(run: Run, number: int = 6) -> tuple[list[Look], list[Look]]:
    """Images to show: one place early, midway and late, then the richest images of other places."""
    images = [k for k in looks(run) if k.percept.mode == "HAADF" and k.record.arrays is not None]
    places: list[list[Look]] = []
    for look in images:
        home = next((place for place in places if _same_place(place[0], look)), None)
        if home is None:
            places.append([look])
        else:
            home.append(look)
    if not places:
        return [], []
    followed = max(places, key=lambda p: (min(len(p), 3), len(p[-1].real) + 1, p[-1].time_s - p[0].time_s))
    chosen = {look.record.turn: look for look in (followed[0], followed[len(followed) // 2], followed[-1])}
    rest = [max(p, key=lambda k: (len(k.real), k.time_s)) for p in places if p is not followed]
    rest = sorted(rest, key=lambda k: -len(k.real))[: number - len(chosen)]
    return list(chosen.values()), sorted(rest, key=lambda k: k.time_s)


def _same_place(one: Look, other: Look) -> bool:
    a, b = one.percept, other.percept
    return a.width_nm == b.width_nm and math.dist((a.x_nm, a.y_nm), (b.x_nm, b.y_nm)) <= SAME_PLACE * a.width_nm


def tracks(run: Run, number: int = 8) -> list[tuple[int, Array]]:
    """The best-followed particles: (track, (n, 3) time in s, radius and sd in nm), sized by images only."""
    found: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    last: dict[int, float] = {}
    for look in looks(run):
        for p in look.percept.particles:
            last[p.track] = p.real
            if look.percept.mode == "HAADF":
                found[p.track].append((look.time_s, p.radius_nm, p.radius_sd_nm))
    real = [(track, np.array(rows)) for track, rows in found.items() if last[track] >= REAL and len(rows) > 1]
    return sorted(real, key=lambda item: -len(item[1]))[:number]


def track_counts(run: Run) -> tuple[int, int]:
    """How many tracks are held to be particles in the end, and how many debris."""
    last = {p.track: p.real for look in looks(run) for p in look.percept.particles}
    real = sum(value >= REAL for value in last.values())
    return real, len(last) - real


def estimates(run: Run, name: str) -> Array:
    """(n, 3) time in s, value and sd of an estimate, in order."""
    rows = [
        (look.time_s, look.percept.estimates[name].value, look.percept.estimates[name].sd)
        for look in looks(run)
        if name in look.percept.estimates
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def currents(run: Run, header: Header) -> Array:
    """(n, 3) time in s, and beam current in pA measured and set, of the looks whose acquisition came to its end."""
    rows = []
    for look in looks(run):
        record, command = look.record, look.record.decision.command
        if command is None or record.aborted:
            continue
        measured = measured_pA(command, record.state, header.capabilities, record.electrons)
        set_pA = beam_current_pA(command, record.state)
        if measured is not None and set_pA > 0.0:
            rows.append((look.time_s, measured, set_pA))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def dose_map(run: Run, header: Header) -> Array:
    """Charged fluence of every cell of the dose map, (ny, nx) e/A^2, from the commands that ran."""
    ledger = DoseLedger(header.config.limits)
    for record in run.records:
        charge_turn(ledger, record, header.capabilities)
    return np.maximum(ledger.fluence_e_per_A2, 0.0)


def proposer(record: Record) -> str:
    """Who proposed what was taken."""
    proposal = taken(record)
    return proposal.proposer if proposal is not None else record.decision.by


def gained(card: Card, claims: Report) -> float:
    """How far the claims' sd fell below the prior's: the score to expect of them, in the unit of predicted information.

    Weights times the sums of sd over sqrt(pi) times the scale: the expected CRPS of a Gaussian is its sd / sqrt(pi).
    """
    return sum(
        target.weight * (sum(target.prior_sd) - sum(claims.targets[target.name].sd))
        / (math.sqrt(math.pi) * target.crps_scale)
        for target in card.targets
        if target.name in claims.targets
    )  # fmt: skip


def overhead_s(record: Record) -> float:
    """The loop's own wall time in a turn: everything but execution, the policy's decision and a person's."""
    own = sum(seconds for step, seconds in record.wall_s.items() if step not in NOT_OVERHEAD)
    return max(0.0, own - record.decision.waited_s)


def wrong(run: Run) -> list[str]:
    """All that went wrong, in words: damage to the record, then refusals, failures and gaps, alike ones together."""
    turns: dict[str, list[int]] = defaultdict(list)
    for record in run.records:
        for words in _wrong(record):
            turns[words].append(record.turn)
    return list(chain(run.problems, (f"{_spoken(where)}: {words}" for words, where in turns.items()), _unheld(run)))


def _unheld(run: Run) -> Iterator[str]:
    """Dose between two turns that neither holds: an agent that dies after a command ran leaves no record of it."""
    for before, record in pairwise(run.records):
        charged = record.state.electrons_charged - before.state.electrons_charged - record.electrons_charged
        if charged > SMALLEST_DOSE:
            yield (
                f"before turn {record.turn}: {scientific(charged, 1)} electrons were charged for a command that was "
                "cut off before its turn was written; maps and sums lack them"
            )


def _wrong(record: Record) -> list[str]:
    words = [record.failure] if record.failure else []
    if record.decision.command is None:
        words.append(f"{record.decision.verdict.replace('_', ' ')}: {record.decision.reason}")
    if record.gaps:
        words.append(f"{record.gaps} parts of the data did not arrive")
    if record.dropped:
        words.append(f"{record.dropped} parts of the data were dropped by the instrument")
    if record.aborted and not record.events:
        words.append("the acquisition was aborted")
    words += record.percept.alarms if record.percept is not None else ()
    return words


def _spoken(turns: list[int]) -> str:
    if len(turns) == 1:
        return f"turn {turns[0]}"
    shown = ", ".join(map(str, turns[:8]))
    return f"turns {shown}" + (f" and {len(turns) - 8} more" if len(turns) > 8 else "")
