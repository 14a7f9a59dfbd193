from collections.abc import Callable
from dataclasses import replace as with_data

import msgspec
import numpy as np
import pytest

from agent.console.feed import Feed, PictureTold, Taken
from agent.doses import charge_turn
from agent.record import Record
from hardware_bridge.dose import DoseLedger
from hardware_bridge.messages import Capabilities, Limits
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, prior_report
from policies.interface import Setup


@pytest.fixture
def feed(limits: Limits, capabilities: Capabilities, card: Card) -> Feed:
    setup = Setup(capabilities=capabilities, limits=limits, card=card, start_s=0.0, end_s=600.0, max_electrons=1e9)
    return Feed("how fast?", setup, 5)


def opened(feed: Feed) -> tuple[PictureTold, np.ndarray]:
    assert feed.picture is not None
    message = feed.picture.message
    size = int.from_bytes(message[:4], "little")
    told = msgspec.json.decode(message[4 : 4 + size], type=PictureTold)
    return told, np.frombuffer(message[4 + size :], dtype=np.uint8).reshape(told.height, told.width)


def test_a_picture_in_256_steps(feed: Feed, make_observation: Callable[..., Observation]) -> None:
    ramp = np.tile(np.arange(100, 200, dtype=np.uint16), (40, 1))
    feed.show(ramp, Taken.of(make_observation(1)), 0)
    told, shown = opened(feed)
    assert (told.width, told.height, told.binned, told.mode) == (100, 40, 1, "HAADF")
    assert told.x_nm == 0.0
    assert told.pixel_nm == pytest.approx(256.0 / 32)
    expected = (np.arange(100, 200) - told.low) / (told.high - told.low) * 255
    assert np.abs(shown[7] - np.clip(expected, 0, 255)).max() <= 1.0


def test_large_pictures_are_binned_and_it_is_told(feed: Feed, make_observation: Callable[..., Observation]) -> None:
    large = np.zeros((2050, 1500), dtype=np.float32)
    large[0:3, 0:3] = 9.0
    large[3:6, 0:3] = np.arange(9).reshape(3, 3)
    feed.show(large, Taken.of(make_observation(1)), 0)
    told, shown = opened(feed)
    assert (told.binned, shown.shape) == (3, (683, 500))
    assert told.pixel_nm == pytest.approx(3 * 256.0 / 32)


def test_an_even_picture_is_shown(feed: Feed, make_observation: Callable[..., Observation]) -> None:
    feed.show(np.full((8, 8), 3.0), Taken.of(make_observation(1)), 0)
    assert opened(feed)[1].max() == 0


def test_turns_spectra_and_beliefs(
    feed: Feed, card: Card, make_observation: Callable[..., Observation], make_record: Callable[..., Record]
) -> None:
    calls: list[int] = []
    feed.changed.append(lambda: calls.append(1))
    spectrum = make_observation(2, "EELS")
    feed.see(spectrum, lambda: prior_report(card))
    feed.see(make_observation(3), lambda: pytest.fail("a belief is not asked for again so soon"))
    assert spectrum.data is not None
    assert feed.spectrum is not None
    assert feed.spectrum.counts == pytest.approx(tuple(spectrum.data.sum(axis=(0, 1))))
    assert (feed.spectrum.offset_eV, feed.spectrum.step_eV) == (400.0, 2.0)
    assert [(field.name, field.mean) for field in feed.belief] == [("count", (1.0,) * 4)]
    feed.add(make_record(0, spectrum))
    feed.add(make_record(1, None, failure="lost"))
    assert [(turn.mode, turn.failure, turn.information) for turn in feed.turns] == [
        ("HAADF", "", 0.02), ("HAADF", "lost", 0.02),
    ]  # fmt: skip
    assert len(calls) >= 4


def test_without_data_there_is_no_picture(feed: Feed, card: Card, make_observation: Callable[..., Observation]) -> None:
    nothing = with_data(make_observation(1), data=None, kind=None)
    feed.see(nothing, lambda: prior_report(card))
    assert feed.picture is None


def test_the_dose_is_the_ledgers(
    feed: Feed,
    make_observation: Callable[..., Observation],
    make_record: Callable[..., Record],
    limits: Limits,
    capabilities: Capabilities,
) -> None:
    records = [make_record(turn, make_observation(turn)) for turn in range(3)]
    ledger = DoseLedger(limits)
    for record in records:
        feed.add(record)
        charge_turn(ledger, record, capabilities)
    told = feed.dose()
    assert (told.rows, told.columns, told.cell_nm, told.x_nm) == (35, 35, 64.0, -1100.0)
    assert np.array(told.charged).reshape(35, 35) == pytest.approx(ledger.fluence_e_per_A2, rel=1e-2)
    assert max(told.charged) > 0.0
    feed.rewind()
    assert max(feed.dose().charged) == 0.0


def test_a_large_chart_of_doses_is_told_in_blocks(
    feed: Feed,
    limits: Limits,
    capabilities: Capabilities,
    card: Card,
    make_observation: Callable[..., Observation],
    make_record: Callable[..., Record],
) -> None:
    narrow = msgspec.structs.replace(limits, dose_cell_nm=8.0)
    setup = Setup(capabilities=capabilities, limits=narrow, card=card, start_s=0.0, end_s=600.0, max_electrons=1e9)
    fine = Feed("fine", setup, None)
    record = make_record(0, make_observation(0))
    fine.add(record)
    feed.add(record)
    told = fine.dose()
    assert (told.rows, told.cell_nm) == (55, 40.0)
    assert max(told.charged) == pytest.approx(max(feed.dose().charged))
