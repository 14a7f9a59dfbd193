"""What the report shows, gathered from a record: looks at the specimen, tracks, focus, and what each turn cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.reading import Run
from agent.record import Record
from hardware_bridge.dose import DoseLedger, predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Limits
from hardware_bridge.report import Percept

Array = NDArray[np.float64]
REAL = 0.5


@dataclass(frozen=True)
class Look:
    """One turn that saw something."""

    record: Record
    percept: Percept

    @property
    def time_s(self) -> float:
        """When it ended, on the instrument's clock."""
        return self.percept.end_s

    @property
    def fluence_e_per_A2(self) -> float:
        """Mean fluence on the field."""
        area_A2 = 100.0 * self.percept.width_nm * self.percept.height_nm
        return self.record.electrons / area_A2 if area_A2 else 0.0


def looks(run: Run) -> list[Look]:
    """All turns with a percept, in order."""
    return [Look(record, record.percept) for record in run.records if record.percept is not None]


def modes(run: Run) -> str:
    """How many looks of each mode there were, in words."""
    found = Counter(look.percept.mode for look in looks(run) if look.percept.mode is not None)
    return ", ".join(f"{count} {mode}" for mode, count in found.most_common()) or "none"


def key_looks(run: Run, number: int = 6) -> list[Look]:
    """Images that tell most: the richest place early, midway and late, then other rich images."""
    images = [look for look in looks(run) if look.percept.mode == "HAADF" and look.record.arrays is not None]
    if not images:
        return []
    places: dict[tuple[int, int], list[Look]] = defaultdict(list)
    for look in images:
        places[round(look.percept.x_nm / 256), round(look.percept.y_nm / 256)].append(look)
    best = max(places.values(), key=lambda seen: (len(seen[-1].percept.particles) + 1) * min(len(seen), 3))
    chosen = [best[0], best[len(best) // 2], best[-1]]
    others = sorted(images, key=lambda look: -len(look.percept.particles))
    for look in others:
        if len(chosen) >= number:
            break
        if all(abs(look.percept.x_nm - c.percept.x_nm) + abs(look.percept.y_nm - c.percept.y_nm) > 250 for c in chosen):
            chosen.append(look)
    unique = {look.record.turn: look for look in chosen}
    return [unique[turn] for turn in sorted(unique)]


def tracks(run: Run, number: int = 8) -> list[tuple[int, Array]]:
    """The best-followed tracks: (track, (n, 3) time in s, radius and sd in nm)."""
    found: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    doubt: dict[int, float] = {}
    for look in looks(run):
        for p in look.percept.particles:
            found[p.track].append((look.time_s, p.radius_nm, p.radius_sd_nm))
            doubt[p.track] = p.real
    real = [(track, np.array(rows)) for track, rows in found.items() if doubt[track] >= REAL and len(rows) > 1]
    return sorted(real, key=lambda item: -len(item[1]))[:number]


def estimates(run: Run, name: str) -> Array:
    """(n, 3) time in s, value and sd of an estimate, in order."""
    rows = [
        (look.time_s, look.percept.estimates[name].value, look.percept.estimates[name].sd)
        for look in looks(run)
        if name in look.percept.estimates
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def dose_map(run: Run, limits: Limits) -> Array:
    """Charged fluence of every cell of the dose map, (ny, nx) e/A^2, from the commands that ran."""
    assert run.header is not None
    ledger = DoseLedger(limits)
    for record in run.records:
        if record.decision.command is None or record.electrons_charged <= 0.0:
            continue
        charge = predict_charge(record.decision.command, limits, record.state, run.header.capabilities)
        try:
            ledger.add(charge)
        except Rejected:
            continue
        ledger.refund(charge, min(1.0, record.electrons_charged / charge.electrons) if charge.electrons else 0.0)
    return ledger.fluence_e_per_A2


def chosen_information(record: Record) -> tuple[float, float]:
    """Predicted information, with sd, of the proposal that was taken; zeros where none was."""
    for proposal in record.decision.proposals:
        if record.decision.command is not None and proposal.command.id == record.decision.command.id:
            return proposal.information, proposal.information_sd
    return 0.0, 0.0


def proposer(record: Record) -> str:
    """Who proposed what was taken."""
    for proposal in record.decision.proposals:
        if record.decision.command is not None and proposal.command.id == record.decision.command.id:
            return proposal.proposer
    return record.decision.by


def overhead_s(record: Record) -> float:
    """The loop's own wall time in a turn: everything but execution and the policy's decision."""
    return sum(seconds for step, seconds in record.wall_s.items() if step not in {"execute", "suggest"})
