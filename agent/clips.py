"""Reads what the spool wrote: frames around events and lines of the per-frame table, checked by their hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from agent.eventlog import RecordError
from agent.record import Clip


def read_clip(folder: Path, clip: Clip) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The frames of a clip of a run (n, ...), or its lines of the table (n,), and their numbers (n,).

    Raises:
        RecordError: they are missing or altered.
    """
    ranges = [np.arange(first, last + 1) for first, last in clip.ranges]
    numbers = np.concatenate([np.zeros(0, dtype=np.int64), *ranges])
    items = _items(folder, clip)
    raw = np.ascontiguousarray(items).reshape(-1).view(np.uint8).data
    if len(items) != clip.frames or xxhash.xxh3_64_hexdigest(raw) != clip.xxh3:
        raise RecordError(f"{clip.file}: items {clip.offset} and up are not what was written: their hash does not fit")
    return numbers, items


def missing_clips(folder: Path, clips: Iterable[Clip]) -> Iterator[str]:
    """Say which clips are lost, and of which frames are missing; what was written is not read for it."""
    for clip in clips:
        if clip.missed:
            why = clip.failure or "they came faster than they could be kept"
            yield f"{clip.file}: {clip.missed} frames of epoch {clip.epoch} could not be saved: {why}"
        try:
            count = len(_items(folder, clip))
        except RecordError as error:
            yield str(error)
        else:
            if count < clip.frames:
                yield f"{clip.file}: {clip.frames - count} of {clip.frames} items are lost"


def _items(folder: Path, clip: Clip) -> NDArray[Any]:
    if not clip.frames:
        return np.zeros(0)
    try:
        stack: NDArray[Any] = np.load(folder / clip.file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RecordError(f"{clip.file}: cannot be read: {error}") from None
    return stack[clip.offset : clip.offset + clip.frames]
