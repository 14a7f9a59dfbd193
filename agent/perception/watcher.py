"""The watcher: sees every frame of a stream as it comes, keeps a line on each, and tells what happens suddenly.

The loop decides at its own pace; this is the part of perception that keeps pace with the detector. Of each frame it
notes (one line of the per-frame table, ``whole_frames.ROW``):

  mean, sd          over all pixels
  x_px, y_px        centre of mass of the counts, from bins (see ``change``), in pixels of the last two axes
  change            the largest abs(z) of a bin, or of the sum, against a slow reference; NaN while that is learned
  saturated_share   of the pixels, at the top of an integer type
  missing_share     of the rows; such a frame has no centre and no change

and it tells of (``FrameEvent``):

  change            a bin, or the sum, passes the limit that quiet frames pass ``false_alarms_per_hour`` times at most
  lost_signal       the mean falls below ``lost_share`` of the reference, and not by chance
  saturation        ``saturated_share`` of the pixels or more are at the top

once where it begins; it is over once 16 frames in a row did not show it. What stays for ``learn_frames`` is the new
state of things, and learned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.perception.change import Array, Reference, bin_edges, binned, limit_of
from agent.perception.whole_frames import ROW, Frames
from hardware_bridge.messages import Start
from hardware_bridge.report import EventKind, FrameEvent
from hardware_bridge.words import Fraction, Positive, Size, Word

Table = NDArray[np.void]
Flags = dict[EventKind, NDArray[np.bool_]]

HOLD = 16
MOST_EVENTS = 100
"""Told of one acquisition; the table has them all."""


class WatchSettings(Word, frozen=True, kw_only=True):
    """When the watcher speaks, and how long it learns (in frames) and remembers what is usual."""

    false_alarms_per_hour: Positive = 1.0
    learn_frames: Size = 64
    memory_frames: Size = 512
    lost_share: Fraction = 0.2
    saturated_share: Fraction = 0.01


class Watcher:
    """Sees the frames of one acquisition after another: ``begin``, then ``see`` for all that comes."""

    def __init__(self, settings: WatchSettings | None = None) -> None:
        self.settings = settings or WatchSettings()
        self._reference = Reference(1, 1, counts=True)
        self._start: Start | None = None
        self._top: int | None = None
        self._pixels = 0
        self._middles = np.zeros(0), np.zeros(0)
        self.limit: float | None = None
        self._first: tuple[int, float] | None = None
        self._unusual = self._usual = 0
        self._seen = 0
        self._last: dict[EventKind, int] = {}
        self._told = 0

    def begin(self, start: Start, same_view: bool) -> None:
        """A new acquisition begins; with the ``same_view`` as the last it goes on as if there had been no break.

        What was told is then not told again, and what stays is learned, however short the acquisitions are.
        """
        before, self._start = self._start, start
        self._top = int(np.iinfo(start.dtype).max) if start.dtype != "float32" else None
        shape = [axis.size for axis in start.axes]
        self._pixels = int(np.prod(shape))
        self._middles = _middles(self._pixels // shape[-1]), _middles(shape[-1])
        self._told = 0
        self._first = None
        if not same_view or before is None or (before.axes, before.dtype) != (start.axes, start.dtype):
            self._last.clear()
            self._restart()

    def see(self, frames: Frames) -> tuple[Table, list[FrameEvent]]:
        """Look at frames; returns their lines of the table and what has begun in them."""
        assert self._start is not None
        table = np.zeros(frames.count, dtype=ROW)
        table["epoch"] = self._start.epoch
        table["frame"] = frames.first + np.arange(frames.count)
        table["start_s"], table["end_s"] = frames.start_s, frames.end_s
        if frames.row_seen is not None:
            self._note_incomplete(frames, table)
            return table, []
        bins = self._measure(frames, table)
        events: list[FrameEvent] = []
        done = 0
        while done < len(bins):
            done += self._compare(table[done:], bins[done:], events)
        self._told += len(events)
        return table, events

    def _restart(self) -> None:
        """Forget what is usual and learn it anew."""
        assert self._start is not None
        settings = self.settings
        self._reference = Reference(settings.learn_frames, settings.memory_frames, self._start.dtype != "float32")
        self.limit = None
        self._first = None
        self._unusual = self._usual = 0

    def _measure(self, frames: Frames, table: Table) -> NDArray[np.float32]:
        """Fill in what each frame shows by itself; returns the bins of all (n, N)."""
        bins = np.empty((frames.count, *map(len, self._middles)), dtype=np.float32)
        # One frame at a time: it stays in the processor's cache from the first sum to the last.
        for index, frame in enumerate(frames.data):
            flat = frame.reshape(-1, frame.shape[-1])
            values = flat.astype(np.float32)
            bins[index] = binned(values)
            mean = float(bins[index].sum(dtype=np.float64)) / values.size
            values -= np.float32(mean)
            square = float(np.dot(values.ravel(), values.ravel()))
            line = table[index]
            line["mean"], line["sd"] = mean, (square / values.size) ** 0.5
            line["saturated_share"] = self._saturated_share(flat)
        self._note_centre(bins, table)
        return bins.reshape(len(bins), -1)

    def _note_incomplete(self, frames: Frames, table: Table) -> None:
        assert frames.row_seen is not None
        seen = frames.data[0, frames.row_seen]
        table["mean"], table["sd"] = seen.mean(dtype=np.float64), seen.std(dtype=np.float64)
        table["saturated_share"] = self._saturated_share(seen)
        table["missing_share"] = 1.0 - frames.row_seen.mean()
        for name in ("x_px", "y_px", "change"):
            table[name] = np.nan

    def _saturated_share(self, values: NDArray[np.generic]) -> float:
        return np.count_nonzero(values == self._top) / values.size if self._top is not None else 0.0

    def _compare(self, table: Table, bins: NDArray[np.float32], events: list[FrameEvent]) -> int:
        """Compare frames with the reference, as many as can be at once, and let it learn; returns how many."""
        reference = self._reference
        # As long as things are unusual the reference may start anew after every frame.
        count = 1 if self._unusual else min(reference.room, len(bins))
        scores = reference.scores(bins[:count])
        largest = np.abs(scores).max(axis=1)
        limit = self.limit if self.limit is not None else np.inf
        least = self.settings.lost_share * reference.total / self._pixels
        lost = (scores[:, -1] < -limit) & (table["mean"][:count] < least)
        flags: Flags = {
            "lost_signal": lost,
            "change": (largest > limit) & ~lost,
            "saturation": table["saturated_share"][:count] >= self.settings.saturated_share,
        }
        unusual = flags["change"] | lost
        if unusual.any():
            count = int(unusual.argmax()) + 1
        table["change"][:count] = largest[:count]
        for kind, flag in flags.items():
            for index in flag[:count].nonzero()[0].tolist():
                if self._begins(kind, index) and self._told + len(events) < MOST_EVENTS:
                    events.append(self._event(kind, table[index], scores[index]))
        self._learn(table[:count], bins[:count], unusual[:count])
        self._seen += count
        return count

    def _begins(self, kind: EventKind, index: int) -> bool:
        """Whether something that shows now did not just before."""
        now, before = self._seen + index, self._last.get(kind)
        self._last[kind] = now
        return before is None or now - before > HOLD

    def _learn(self, table: Table, bins: NDArray[np.float32], unusual: NDArray[np.bool_]) -> None:
        """Let the reference take in the usual frames; where the unusual stays, begin anew with it."""
        self._first = self._first or (int(table["frame"][0]), float(table["start_s"][0]))
        self._reference.learn(bins[~unusual & np.isfinite(bins).all(axis=1)])
        if unusual[-1]:
            self._unusual, self._usual = self._unusual + 1, 0
        elif self._unusual:
            self._usual += 1
            self._unusual = self._unusual if self._usual <= HOLD else 0
        if self._unusual >= self.settings.learn_frames:
            self._restart()
        elif self.limit is None and not np.isnan(self._reference.total):
            frame, start_s = self._first
            spacing_s = (float(table["end_s"][-1]) - start_s) / (int(table["frame"][-1]) - frame + 1)
            self.limit = limit_of(self.settings.false_alarms_per_hour * spacing_s / 3600.0, bins.shape[1] + 1)

    def _event(self, kind: EventKind, line: np.void, scores: Array) -> FrameEvent:
        settings = self.settings
        place: dict[str, float] = {}
        if kind == "change":
            value, limit = float(line["change"]), self.limit or 0.0
            place = self._place(np.abs(scores[:-1]))
        elif kind == "lost_signal":
            value, limit = float(line["mean"]) * self._pixels / self._reference.total, settings.lost_share
        else:
            value, limit = float(line["saturated_share"]), settings.saturated_share
        return FrameEvent(
            kind=kind,
            epoch=int(line["epoch"]),
            frame=int(line["frame"]),
            time_s=float(line["start_s"]),
            value=value,
            limit=limit,
            **place,
        )

    def _place(self, scores: Array) -> dict[str, float]:
        """The middle of the bin that changed most, in pixels of the last two axes; nothing where the sum alone did."""
        down, across = self._middles
        index = int(scores.argmax())
        if self.limit is None or scores[index] <= self.limit:
            return {}
        row, column = divmod(index, len(across))
        return {"y_px": float(down[row]), "x_px": float(across[column])}

    def _note_centre(self, bins: NDArray[np.float32], table: Table) -> None:
        """Centre of mass of the bins, each as if its counts were in its middle."""
        rows = bins.sum(axis=2, dtype=np.float64)
        down, across = self._middles
        with np.errstate(invalid="ignore", divide="ignore"):  # an empty frame has no centre
            table["y_px"] = rows @ down / rows.sum(axis=1)
            table["x_px"] = bins.sum(axis=1, dtype=np.float64) @ across / rows.sum(axis=1)


def _middles(size: int) -> Array:
    edges = bin_edges(size)
    return (edges[:-1] + edges[1:] - 1) / 2.0


def told(event: FrameEvent) -> str:
    """An event in words."""
    when = f"in frame {event.frame} at {event.time_s:.6g} s"
    if event.kind == "lost_signal":
        return f"lost signal {when}: {event.value:.0%} of what it was"
    if event.kind == "saturation":
        return f"saturation {when}: {event.value:.1%} of the pixels"
    place = "" if event.x_px is None else f", at pixel ({event.x_px:.0f}, {event.y_px:.0f})"
    return f"sudden change {when}: {event.value:.1f} sd, limit {event.limit:.1f}{place}"
