"""Images on the screens while they are taken, and the loop none the wiser."""

import itertools

import msgspec
import numpy as np
import pytest

from agent import twins
from agent.assemble import CHOICES, DEFAULT_CONFIG, card_of
from agent.config import load
from agent.console import rows
from agent.console.feed import Feed, PictureTold
from agent.console.rows import Rows
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Acquire, Command, Go, Mode
from hardware_bridge.microscope import execute
from policies.interface import Setup

PIXELS = 256


def looks(mode: Mode = "HAADF") -> Command:
    acquire = Acquire(mode=mode, fov_nm=256.0, pixels_x=PIXELS, pixels_y=PIXELS, dwell_s=2e-6)
    return Command(id=f"look-{mode}", go=Go(stage_x_nm=40.0, stage_y_nm=0.0), acquire=acquire)


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> tuple[Rows, Guard, list[tuple[PictureTold, np.ndarray]]]:
    """A twin with its rows shown, the same twin bare, and what was shown."""
    config = load(DEFAULT_CONFIG, ["instrument.kind=twin"], CHOICES)
    seen, bare = (Guard(twins.driver(config, 7), config.limits) for _ in range(2))
    setup = Setup(
        capabilities=bare.describe(), limits=config.limits, card=card_of(config), start_s=0.0, end_s=600.0,
        max_electrons=1e9,
    )  # fmt: skip
    feed, told = Feed("rows", setup, None), []

    def take() -> None:
        if feed.picture is not None and (not told or told[-1][0].number != feed.picture.number):
            message = feed.picture.message
            size = int.from_bytes(message[:4], "little")
            head = msgspec.json.decode(message[4 : 4 + size], type=PictureTold)
            told.append((head, np.frombuffer(message[4 + size :], np.uint8).reshape(head.height, head.width)))

    feed.changed.append(take)
    ticks = itertools.count()
    monkeypatch.setattr(rows.time, "monotonic", lambda: 0.1 * next(ticks))
    return Rows(seen, feed), bare, told


def test_rows_are_shown_as_they_come(pictures: tuple[Rows, Guard, list[tuple[PictureTold, np.ndarray]]]) -> None:
    microscope, bare, told = pictures
    observation = execute(microscope, looks(), 5.0)
    assert observation.data is not None
    assert len(told) > 2
    there = [head.rows for head, _ in told]
    assert there == sorted(there, key=lambda rows: rows or 0)
    for head, shown in told:
        assert head.rows is not None
        assert 0 < head.rows < PIXELS
        assert (head.x_nm, head.mode) == (40.0, "HAADF")
        scale = 255.0 / max(head.high - head.low, 1e-9)
        taken = np.clip((observation.data[: head.rows].astype(np.float32) - head.low) * scale, 0.0, 255.0)
        assert np.array_equal(shown[: head.rows], taken.astype(np.uint8))
    other = execute(bare, looks(), 5.0)
    assert np.array_equal(other.data, observation.data)  # type: ignore[arg-type]
    assert (other.electrons_charged, other.end_s) == (observation.electrons_charged, observation.end_s)


def test_spectra_have_no_rows_to_show(pictures: tuple[Rows, Guard, list[tuple[PictureTold, np.ndarray]]]) -> None:
    microscope, _, told = pictures
    execute(microscope, looks("EELS"), 5.0)
    assert told == []
