"""What a console shows beside its question: the run, its turns, the newest picture, spectrum and belief.

The loop puts them here as they come and any number of screens takes them; nothing waits for a screen. Images are shown
with at most 1024 pixels along an edge, binned, in 256 steps between two counts that are told with them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agent.doses import charge_turn
from agent.perception.elements import EDGES_eV
from agent.record import Record, taken
from hardware_bridge.dose import DoseLedger
from hardware_bridge.geometry import field_centre_nm, merged
from hardware_bridge.messages import Capabilities, Command, Go, InstrumentState
from hardware_bridge.observation import Observation
from hardware_bridge.report import Report
from hardware_bridge.words import Count, Name, NotNegative, Number, Text, Word
from policies.interface import Setup, Verdict

SHOWN_PIXELS = 1024
BELIEF_S = 1.0
"""Beliefs are worked out again after so long at the earliest: it holds up the loop."""
DOSE_CELLS = 64
DARK, BRIGHT = 0.002, 0.998


class RunTold(Word, frozen=True, kw_only=True):
    """What changes in a run only where somebody steers it."""

    title: Text
    instrument: Text
    world: Text
    extent_nm: Number
    cells: Count
    start_s: Number
    end_s: Number
    max_electrons: Number
    max_fluence_e_per_A2: Number
    turns: Count | None
    policy: Text = ""
    policies: tuple[Name, ...] = ()
    targets: tuple[Name, ...] = ()


class TurnTold(Word, frozen=True, kw_only=True):
    """One turn as the timeline, the map and the dose gauge show it."""

    turn: Count
    clock_s: Number
    verdict: Verdict
    by: Text
    reason: Text
    failure: Text
    mode: Text
    x_nm: Number
    y_nm: Number
    width_nm: NotNegative
    height_nm: NotNegative
    electrons: Number
    fluence_max_e_per_A2: NotNegative
    information: Number | None
    alarms: tuple[Text, ...]


class PictureTold(Word, frozen=True, kw_only=True):
    """Heads the bytes of a picture, rows first: what it is of, and the counts that 0 and 255 stand for.

    ``x_nm`` and ``y_nm`` are its middle in the specimen frame, where the stage says that it is. Of a picture that is
    being taken ``rows`` are there.
    """

    number: Count
    turn: Count
    mode: Text
    x_nm: Number
    y_nm: Number
    width: Count
    height: Count
    binned: Count
    pixel_nm: NotNegative
    low: Number
    high: Number
    clock_s: Number
    rows: Count | None = None


class SpectrumTold(Word, frozen=True, kw_only=True):
    """A spectrum, summed over the field: counts in channels from ``offset_eV`` in steps of ``step_eV``.

    ``edges`` are where in it the edges of elements that perception knows begin, in eV.
    """

    turn: Count
    mode: Text
    offset_eV: Number
    step_eV: Number
    counts: tuple[Number, ...]
    edges: dict[Text, Number] = {}


class FieldTold(Word, frozen=True, kw_only=True):
    """What is believed of one field at the end of the run: mean and sd of each cell (rows, columns)."""

    name: Name
    unit: Text
    mean: tuple[Number, ...]
    sd: tuple[Number, ...]


class DoseTold(Word, frozen=True, kw_only=True):
    """What each cell of the chart of doses was charged, (rows, columns) in e/A^2, from one corner in nm on."""

    rows: Count
    columns: Count
    cell_nm: Number
    x_nm: Number
    y_nm: Number
    charged: tuple[Number, ...]


@dataclass(frozen=True)
class Taken:
    """What a picture was taken with: the command, where the stage was, and when it ended."""

    command: Command
    go: Go
    clock_s: float

    @classmethod
    def of(cls, observation: Observation) -> Taken:
        """With what an observation was made."""
        return cls(observation.command, observation.state.go, observation.end_s)


class Picture:
    """A picture as it goes to screens: a header and its bytes."""

    def __init__(self, told: PictureTold, pixels: NDArray[np.uint8]) -> None:
        head = msgspec.json.encode(told)
        self.number = told.number
        self.message = len(head).to_bytes(4, "little") + head + pixels.tobytes()


class Feed:
    """The newest of everything, for all threads. ``changed`` are called, from the loop's thread, when there is more."""

    def __init__(self, title: str, setup: Setup, turns: int | None) -> None:
        self.run = RunTold(
            title=title,
            instrument=setup.capabilities.name,
            world=setup.card.world,
            extent_nm=setup.card.extent_nm,
            cells=setup.card.cells,
            start_s=setup.start_s,
            end_s=setup.end_s,
            max_electrons=setup.max_electrons,
            max_fluence_e_per_A2=setup.limits.max_fluence_e_per_A2,
            turns=turns,
            targets=tuple(target.name for target in setup.card.targets),
        )
        self.turns: list[TurnTold] = []
        self.picture: Picture | None = None
        self.spectrum: SpectrumTold | None = None
        self.belief: tuple[FieldTold, ...] = ()
        self.state: InstrumentState | None = None
        self.heard_s = time.monotonic()
        self.ended = False
        self.rewound = 0  # how often turns were taken back: screens begin anew
        self.changed: list[Callable[[], None]] = []
        self._setup, self._lock = setup, threading.Lock()
        self._ledger = DoseLedger(setup.limits)
        self._pictures, self._believed_s = 0, 0.0

    def add(self, record: Record) -> None:
        """Tell of one more turn."""
        self.turns.append(_turn(record, self._setup.capabilities))
        charge_turn(self._ledger, record, self._setup.capabilities)
        self.heard(record.state)

    def rewind(self) -> None:
        """Take all turns back, and what they showed: another part of a record is to be shown."""
        self.turns, self._ledger = [], DoseLedger(self._setup.limits)
        self.spectrum, self.belief = None, ()
        self.rewound += 1

    def dose(self) -> DoseTold:
        """What was charged where: of blocks of cells the most, so that no more than 64 lie along an edge."""
        charged, limits = self._ledger.fluence_e_per_A2, self._setup.limits
        by = -(-max(charged.shape) // DOSE_CELLS)
        padded = np.pad(charged, [(0, -size % by) for size in charged.shape])
        most = padded.reshape(padded.shape[0] // by, by, -1, by).max(axis=(1, 3))
        return DoseTold(
            rows=most.shape[0],
            columns=most.shape[1],
            cell_nm=by * limits.dose_cell_nm,
            x_nm=limits.dose_map.x.low,
            y_nm=limits.dose_map.y.low,
            charged=tuple(float(f"{value:.3g}") for value in most.ravel()),
        )

    def plan(self, title: str, setup: Setup, policy: str, policies: tuple[str, ...]) -> None:
        """Tell what is wanted of the run from here on."""
        budget = {"end_s": setup.end_s, "max_electrons": setup.max_electrons}
        self.run = replace(self.run, title=title, policy=policy, policies=policies, **budget)
        self._tell()

    def heard(self, state: InstrumentState) -> None:
        """Tell what the instrument read back."""
        self.state, self.heard_s = state, time.monotonic()
        self._tell()

    def end(self) -> None:
        """Tell that nothing more will come."""
        self.ended = True
        self._tell()

    def see(self, observation: Observation, belief: Callable[[], Report]) -> None:
        """Show what came in a turn, and what is believed after it."""
        self.look(observation, len(self.turns))
        now_s = time.monotonic()
        if now_s - self._believed_s > BELIEF_S:
            self.believe(belief())
            self._believed_s = time.monotonic()
        self.heard(observation.state)

    def look(self, observation: Observation, turn: int) -> None:
        """Show the image or the spectrum of a turn."""
        if observation.data is not None and observation.kind == "frame":
            self.show(observation.data, Taken.of(observation), turn)
        elif observation.data is not None and observation.kind == "spectrum":
            self.spectrum = _spectrum(observation, turn)

    def believe(self, report: Report) -> None:
        """Show what is believed."""
        self.belief = _fields(report, self._setup)

    def show(self, image: NDArray[np.generic], of: Taken, turn: int, rows: int | None = None) -> None:
        """Make a picture (H, W) of a turn the newest; of one that is being taken only ``rows`` are there."""
        acquire = of.command.acquire
        x_nm, y_nm = field_centre_nm(of.go, self._setup.capabilities)
        self._pictures += 1
        binned = -(-max(image.shape) // SHOWN_PIXELS)
        values = _binned(np.asarray(image, dtype=np.float32), binned)
        there = values if rows is None else values[: max(1, rows // binned)]
        low, high = (float(value) for value in np.quantile(there[::2, ::2], (DARK, BRIGHT)))
        scale = 255.0 / max(high - low, 1e-9)
        told = PictureTold(
            number=self._pictures,
            turn=turn,
            mode=acquire.mode if acquire is not None else "",
            x_nm=x_nm,
            y_nm=y_nm,
            width=values.shape[1],
            height=values.shape[0],
            binned=binned,
            pixel_nm=acquire.fov_nm / acquire.pixels_x * binned if acquire is not None else 0.0,
            low=low,
            high=high,
            clock_s=of.clock_s,
            rows=None if rows is None else rows // binned,
        )
        self.picture = Picture(told, np.clip((values - low) * scale, 0.0, 255.0).astype(np.uint8))
        self._tell()

    def _tell(self) -> None:
        for changed in tuple(self.changed):
            changed()


def _turn(record: Record, capabilities: Capabilities) -> TurnTold:
    percept, decision = record.percept, record.decision
    of = taken(record)
    acquire = decision.command.acquire if decision.command is not None else None
    mode: str = acquire.mode if acquire is not None and percept is None else ""
    x_nm, y_nm, width_nm, height_nm = 0.0, 0.0, 0.0, 0.0
    if percept is not None:
        mode = percept.mode or ""
        x_nm, y_nm, width_nm, height_nm = percept.x_nm, percept.y_nm, percept.width_nm, percept.height_nm
    elif decision.command is not None and acquire is not None:  # it failed there
        x_nm, y_nm = field_centre_nm(merged(record.state.go, decision.command.go), capabilities)
        width_nm, height_nm = acquire.fov_nm, acquire.fov_nm * acquire.pixels_y / acquire.pixels_x
    return TurnTold(
        turn=record.turn,
        clock_s=record.end_s,
        verdict=decision.verdict,
        by=decision.by,
        reason=decision.reason,
        failure=record.failure,
        mode=mode,
        x_nm=x_nm,
        y_nm=y_nm,
        width_nm=width_nm,
        height_nm=height_nm,
        electrons=record.electrons_charged,
        fluence_max_e_per_A2=record.state.fluence_max_e_per_A2,
        information=of.information if of is not None else None,
        alarms=percept.alarms if percept is not None else (),
    )


def _spectrum(observation: Observation, turn: int) -> SpectrumTold:
    assert observation.data is not None
    axis, counts = observation.axes[-1], observation.data.reshape(-1, observation.data.shape[-1]).sum(axis=0)
    mode = observation.command.acquire.mode if observation.command.acquire is not None else ""
    end_eV = axis.offset + axis.scale * len(counts)
    known = EDGES_eV.items() if mode != "EDS" else ()
    return SpectrumTold(
        turn=turn,
        mode=mode,
        edges={name: onset_eV for name, onset_eV in known if axis.offset < onset_eV < end_eV},
        offset_eV=axis.offset,
        step_eV=axis.scale,
        counts=tuple(float(count) for count in counts),
    )


def _fields(report: Report, setup: Setup) -> tuple[FieldTold, ...]:
    """The fields of a report at their last time; fields have their values in the order of time, row and column."""
    told = []
    for target in setup.card.targets:
        claimed, size = report.targets.get(target.name), setup.card.cells**2
        if target.kind == "field" and claimed is not None and len(claimed.mean) >= size:
            mean, sd = claimed.mean[-size:], claimed.sd[-size:]
            told.append(FieldTold(name=target.name, unit=target.unit, mean=mean, sd=tuple(map(float, sd))))
    return tuple(told)


def _binned(image: NDArray[np.float32], by: int) -> NDArray[np.float32]:
    """Means of squares of ``by`` x ``by`` pixels; what is left over at the far edges is not shown."""
    if by == 1:
        return image
    rows, columns = (size // by for size in image.shape)
    squares = image[: rows * by, : columns * by].reshape(rows, by, columns, by)
    means: NDArray[np.float32] = squares.mean(axis=(1, 3), dtype=np.float32)
    return means
