"""Every recorded run is training data: what was offered, taken, seen and gained at each turn, read from its record.

A run that is empty, damaged or not at its end is no episode; it is named, and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from agent import assemble
from agent.eventlog import Header, RecordError
from agent.reading import Run, open_run
from agent.record import Record, taken
from agent.run import REPORT_JSON
from hardware_bridge.observation import Observation
from policies.training.trajectory import SEEN, Array, Rest, Trajectory, candidates_of, situation_of


@dataclass
class Episodes:
    """Trajectories of recorded runs, one after the other; ``skipped`` tells which are none, and why, once it was read.

    ``unscored`` are those of which nobody knows the truth: their rewards are 0.
    """

    folders: Sequence[Path]
    skipped: list[str] = field(default_factory=list)
    unscored: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Trajectory]:
        self.skipped.clear()
        self.unscored.clear()
        for folder in self.folders:
            try:
                yield self._read(folder)
            except (RecordError, OSError) as error:
                self.skipped.append(f"{folder}: skipped: {error}")

    def _read(self, folder: Path) -> Trajectory:
        with open_run(folder) as run:
            header = _whole(run)
            observed = [run.observation(record) for record in run.records]
            rewards, is_scored = _rewards(header, run.records)
        if not is_scored:
            self.unscored.append(str(folder))
        room = max(len(record.decision.proposals) for record in run.records)
        last = run.records[-1]
        spent = last.state.electrons_charged - header.electrons_at_start
        return Trajectory(
            name=folder.name,
            observations={**_decisions(header, run.records, room), **_seen(observed)},
            actions=np.array([_action(record, room) for record in run.records], dtype=np.int64),
            rewards=rewards,
            terminated=last.end_s >= header.end_s or spent >= header.max_electrons,
            header=msgspec.json.encode(header).decode(),
            events=tuple(msgspec.json.encode(run.event(record)).decode() for record in run.records),
        )


def _whole(run: Run) -> Header:
    """The header of a run that is whole and at its end; raises RecordError for any other."""
    if run.problems:
        raise RecordError(f"its record is not whole: {run.problems[0]}")
    if run.header is None or not run.records:
        raise RecordError("it has no turns")
    if not (run.folder / REPORT_JSON).exists():
        raise RecordError(f"it is not at its end; adaptem run --resume {run.folder} goes on with it")
    return run.header


def _decisions(header: Header, records: Sequence[Record], room: int) -> dict[str, Array]:
    """Situations and candidates of each turn, and how things stood after the last."""
    numbers, offered = [], []
    charged = header.electrons_at_start
    for record in records:
        numbers.append(_situation(header, record.turn, record.start_s, charged))
        offered.append(candidates_of(record.decision.proposals, room))
        charged = record.state.electrons_charged
    last = records[-1]
    numbers.append(_situation(header, last.turn + 1, last.end_s, charged))
    offered.append(candidates_of((), room))
    return {
        "situation": np.array(numbers),
        "candidates": np.stack([candidates for candidates, _ in offered]),
        "there": np.stack([there for _, there in offered]),
    }


def _situation(header: Header, turn: int, clock_s: float, charged: float) -> list[float]:
    left = header.max_electrons - (charged - header.electrons_at_start)
    rest = Rest(turn=turn, time_left_s=header.end_s - clock_s, electrons_left=left)
    return situation_of(rest, header.end_s - header.start_s, header.max_electrons)


def _action(record: Record, room: int) -> int:
    """Which candidate ran as it was offered; ``room`` where none did."""
    proposal = taken(record)
    if proposal is None or record.percept is None or proposal.command != record.decision.command:
        return room
    return record.decision.proposals.index(proposal)


def _rewards(header: Header, records: Sequence[Record]) -> tuple[np.ndarray, bool]:
    """By how much each turn raised the score (T,), and whether there is a truth to score with."""
    unknown = assemble.unknown_truth(header.capabilities, header.card, header.seed)
    reporter = assemble.perception(header.capabilities, header.card, header.config).reporter
    scored = None if unknown else assemble.scored(reporter.report(), header.card, header.seed)
    if scored is None:
        return np.zeros(len(records)), False
    before, rewards = scored[0], []
    for record in records:
        if record.percept is not None:
            reporter.add(record.percept)
        now = assemble.scored(reporter.report(), header.card, header.seed)
        assert now is not None
        rewards.append(now[0] - before)
        before = now[0]
    return np.array(rewards), True


def _seen(observed: Sequence[Observation | None]) -> dict[str, Array]:
    """Of each kind of data, what each turn gave, at the decision after it, and which of its rows arrived when."""
    seen: dict[str, Array] = {}
    for kind in SEEN:
        given = {turn + 1: each for turn, each in enumerate(observed) if each is not None and each.kind == kind}
        data = {step: each.data for step, each in given.items() if each.data is not None}
        if not data:
            continue
        flat = {step: array.reshape(*array.shape[:2], -1) for step, array in data.items()}
        sizes = np.zeros((len(observed) + 1, 3), np.int32)
        for step, array in flat.items():
            sizes[step] = array.shape
        seen |= {
            kind: _stacked(flat, len(observed) + 1),
            f"{kind}_shape": sizes,
            f"{kind}_row_seen": _stacked({n: given[n].row_seen.astype(np.int8) for n in flat}, len(observed) + 1),
            f"{kind}_row_start_s": _stacked({n: given[n].row_start_s for n in flat}, len(observed) + 1),
        }
    return seen


def _stacked(arrays: Mapping[int, Array], length: int) -> Array:
    """Arrays by step with room for the largest, (length, ...), in a type that holds all of them."""
    shape = tuple(np.max([array.shape for array in arrays.values()], axis=0))
    roomy = np.zeros((length, *shape), np.result_type(*(array.dtype for array in arrays.values())))
    for step, array in arrays.items():
        roomy[step][tuple(map(slice, array.shape))] = array
    return roomy
