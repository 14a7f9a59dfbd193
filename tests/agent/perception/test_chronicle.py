"""The reporter's memory: sightings, misses, ends of tracks, looks."""

import math

import pytest

from agent.perception.chronicle import Chronicle
from hardware_bridge.report import Card, Particle, Percept

CARD = Card(
    world="growth",
    version=1,
    extent_nm=2048.0,
    cells=8,
    times_s=(300.0, 600.0),
    duration_s=600.0,
    budget_electrons=4e8,
    max_fluence_e_per_A2=20.0,
    targets=(),
)


def particle(track, x=0.0, y=0.0, radius=10.0, real=0.9, snr=12.0):
    return Particle(
        track=track,
        x_nm=x,
        y_nm=y,
        radius_nm=radius,
        x_sd_nm=3.0,
        y_sd_nm=3.0,
        radius_sd_nm=0.3,
        snr=snr,
        real=real,
    )


def image(start_s, particles, *, mode="HAADF", x=0.0, y=0.0):
    return Percept(
        command_id="c",
        mode=mode,
        start_s=start_s,
        end_s=start_s + 2.0,
        x_nm=x,
        y_nm=y,
        width_nm=512.0,
        height_nm=512.0,
        quality={"detection_limit_nm": 4.0, "incident_electrons": 2e6} if mode == "HAADF" else {},
        particles=tuple(particles),
    )


def test_a_track_that_is_gone_has_ended() -> None:
    chronicle = Chronicle(CARD)
    for start_s, here in ((100.0, True), (200.0, True), (300.0, False), (400.0, False)):
        chronicle.add(image(start_s, [particle(1)] if here else []))
    track = chronicle.tracks[1]
    assert track.sightings[-1][0] < track.ended_s < track.missed_s[0]
    assert track.history().radius_nm.tolist() == [10.0, 10.0]


@pytest.mark.parametrize("where", [{"x": 600.0}, {"y": -600.0}])
def test_a_track_outside_the_field_is_not_missed(where) -> None:
    chronicle = Chronicle(CARD)
    chronicle.add(image(0.0, [particle(1)]))
    chronicle.add(image(100.0, [], **where))
    assert chronicle.tracks[1].ended_s == math.inf


def test_what_could_be_overlooked_is_not_missed() -> None:
    chronicle = Chronicle(CARD)
    chronicle.add(image(0.0, [particle(1, radius=4.5)]))
    chronicle.add(image(100.0, []))
    assert not chronicle.tracks[1].missed_s


def test_what_was_seen_once_and_never_again_is_hardly_believed() -> None:
    chronicle = Chronicle(CARD)
    chronicle.add(image(0.0, [particle(1, snr=5.5), particle(2, x=60.0, snr=20.0)]))
    for start_s in (50.0, 100.0, 150.0):
        chronicle.add(image(start_s, [particle(2, x=60.0, snr=20.0)]))
    assert chronicle.tracks[1].trust < 0.2
    assert chronicle.tracks[2].trust == 1.0


def test_spectra_change_what_a_track_is() -> None:
    chronicle = Chronicle(CARD)
    chronicle.add(image(0.0, [particle(1, real=0.7)]))
    chronicle.add(image(10.0, [particle(1, real=0.05), particle(9)], mode="EELS"))
    assert chronicle.tracks[1].real == 0.05
    assert len(chronicle.tracks[1].sightings) == 1
    # A spectrum sights nothing by itself.
    assert 9 not in chronicle.tracks


def test_looks_are_remembered_with_their_time() -> None:
    chronicle = Chronicle(CARD)
    chronicle.add(image(200.0, [], x=512.0))
    looked = chronicle.chart.at(chronicle.looked_driver_s, 512.0, 0.0)
    # Times count from the first percept on.
    assert looked == pytest.approx(0.025, abs=0.01)
    chronicle.add(image(500.0, [], x=512.0))
    assert chronicle.chart.at(chronicle.looked_driver_s, 512.0, 0.0) == pytest.approx(301.0 - 20.0, abs=1.0)
    assert chronicle.chart.at(chronicle.looked_driver_s, -512.0, 0.0) == -math.inf
    assert chronicle.images == 2
