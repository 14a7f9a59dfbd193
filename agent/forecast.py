"""How much disk a run will take, said before it starts; one that would not fit is not started.

Foreseen from what the policy would do first, turn after turn until time or turns are over, and at most from the
largest view in its settings. Images are counted with two bytes a value, spectra with four; how large the patterns of a
detector are nobody tells beforehand. Nor how many events there will be: at most, the frames saved around them fill
``watch.most_bytes``; those that end acquisitions early make more turns than are foreseen.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.eventlog import Header, RecordError, encode_value
from agent.perception.whole_frames import ROW
from agent.record import Decision
from agent.spool import RESERVE_BYTES
from hardware_bridge.messages import Acquire, Capabilities, InstrumentState
from policies.interface import Proposal

SPECTRA = frozenset({"EELS", "EDS"})
SIDE_BYTES = 72
"""Of the table beside a stack of arrays, an item."""
FILE_BYTES = 40_000
"""A file of arrays before anything is in it, with room for the first items of its tables."""
LINE_BYTES = 2_200
"""Of a turn's line beside decision and state: a percept with few particles, the window, times."""
MORE_BYTES = 20_000
"""And what a line with a hundred particles has more: counted at most."""
JOURNAL_BYTES = 3_050
"""A command in the journal of a twin that is served for the run."""
PAGE_BYTES = 500_000
"""Claims, scores and the report with its pictures."""


@dataclass(frozen=True)
class Forecast:
    """Bytes that a run is expected to write and at most, in how many turns, and what is free where it writes."""

    turns: int
    likely_bytes: float
    most_bytes: float
    clips_bytes: float
    free_bytes: float
    folder: Path

    def check(self) -> None:
        """Refuse what does not fit.

        Raises:
            RecordError: the run may need more than there is.
        """
        left = self.free_bytes - RESERVE_BYTES
        if self.most_bytes <= left:
            return
        clips = f", {spoken(self.clips_bytes)} of it watch.most_bytes" if self.clips_bytes else ""
        raise RecordError(
            f"{self.folder}: the run may write {spoken(self.most_bytes)}{clips}, and only {spoken(max(left, 0.0))} can "
            "be used there: make room, or lower budget.turns, budget.duration_s or watch.most_bytes"
        )

    def __str__(self) -> str:
        turns = "1 turn" if self.turns == 1 else f"{self.turns} turns"
        return (
            f"disk: about {spoken(self.likely_bytes)} in {turns}, at most {spoken(self.most_bytes)}; "
            f"{spoken(self.free_bytes)} free"
        )


def forecast(
    header: Header, state: InstrumentState, proposals: Sequence[Proposal], views: Sequence[Acquire], folder: Path
) -> Forecast:
    """Foresee the disk use of a run from the first proposals of its policy and all views that it may take.

    Raises:
        OSError: the folder is not there.
    """
    config, capabilities = header.config, header.capabilities
    watched = config.watch is not None
    served = config.instrument.kind == "bridge" and config.instrument.endpoint is None
    acquires = [p.command.acquire for p in proposals if p.command.acquire is not None]
    record_bytes = len(encode_value(_decision(proposals))) + len(encode_value(state)) + LINE_BYTES
    record_bytes += JOURNAL_BYTES if served else 0
    once_bytes = len(encode_value(header)) + PAGE_BYTES + FILE_BYTES * bool(acquires)
    seen = [_turn_bytes(acquire, capabilities, watched) for acquire in acquires]
    largest = max([*seen, *(_turn_bytes(view, capabilities, watched) for view in views)], default=0.0)
    turns = _turns(header, proposals[0].time_s) if proposals else 0
    most_turns = max((_turns(header, proposal.time_s) for proposal in proposals), default=0)
    clips_bytes = config.watch.most_bytes if config.watch is not None and config.watch.save else 0.0
    return Forecast(
        turns=turns,
        likely_bytes=once_bytes + turns * (record_bytes + (seen[0] if seen else 0.0)),
        most_bytes=once_bytes + most_turns * (record_bytes + MORE_BYTES + largest) + clips_bytes,
        clips_bytes=clips_bytes,
        free_bytes=shutil.disk_usage(folder).free,
        folder=folder,
    )


def spoken(count: float) -> str:
    """A number of bytes as a person says it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000.0:
            return f"{count:.3g} {unit}"
        count /= 1000.0
    return f"{count:.3g} TB"


def _turns(header: Header, time_s: float) -> int:
    most = header.config.budget.turns or math.inf
    return int(min(most, math.ceil((header.end_s - header.start_s) / max(time_s, 1e-6))))


def _turn_bytes(acquire: Acquire, capabilities: Capabilities, watched: bool) -> float:
    """The newest frame as it is kept, and a line of the table for each frame where streams are watched."""
    spectrum = acquire.mode in SPECTRA
    at_each = capabilities.values_per_pixel.get(acquire.mode, capabilities.energy_channels if spectrum else 1)
    values, each = acquire.pixels_y * acquire.pixels_x * at_each, 4 if spectrum else 2
    rows = acquire.pixels_y * (8 + 1)  # when each row was begun, and whether it came
    return values * each + rows + SIDE_BYTES + (acquire.max_frames * ROW.itemsize if watched else 0)


def _decision(proposals: Sequence[Proposal]) -> Decision:
    return Decision(
        proposals=tuple(proposals),
        verdict="approved",
        by="the envelope",
        reason=proposals[0].reason if proposals else "",
        waited_s=0.0,
        command=proposals[0].command if proposals else None,
    )
