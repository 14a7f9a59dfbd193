"""The surveyor: patches in the specimen frame with tracks that last, elements of spectra, and bad data said."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed
from scipy.special import ndtr

from agent.perception.elements import EDGES_eV
from agent.perception.surveyor import Surveyor, SurveyorSettings, there
from hardware_bridge.messages import Axis

PIXELS, PIXEL_NM = 128, 2.0
NONE = np.zeros((0, 3))


def image(bench, boxes, at=(0.0, 0.0), seed=0):
    """An image centred on a point of the specimen frame, with boxes (x, y, edge) in nm there, and noise."""
    rng = np.random.default_rng(seed)
    seen = bench.observe(NONE, rng, at=at, pixels=PIXELS, fov_nm=PIXELS * PIXEL_NM)
    steps = (np.arange(PIXELS) + 0.5 - PIXELS / 2) * PIXEL_NM
    data = 0.3 * rng.normal(size=(PIXELS, PIXELS))
    for x, y, edge in boxes:
        data += np.outer(abs(steps + at[1] - y) < edge / 2, abs(steps + at[0] - x) < edge / 2)
    return replace(seen, data=data.astype(np.float32))


def spectrum(bench, element=""):
    """A spectrum image of 2 x 2 points, with the edge of an element."""
    seen = image(bench, [])
    energy = -20.0 + 2.0 * np.arange(1024)
    raised = 1.0 + ndtr((energy - EDGES_eV[element]) / 5.0) if element else np.ones(1024)
    data = np.random.default_rng(1).poisson(1e5 * (np.maximum(energy, 50.0) / 200.0) ** -3.0 * raised, (2, 2, 1024))
    acquire = changed(seen.command.acquire, mode="EELS", pixels_x=2, pixels_y=2, fov_nm=4.0)
    axes = [
        *(Axis(name=name, size=2, offset=0.0, scale=2.0, unit="nm") for name in "yx"),
        Axis(name="energy_loss", size=1024, offset=-20.0, scale=2.0, unit="eV"),
    ]
    return replace(
        seen,
        command=changed(seen.command, acquire=acquire),
        kind="spectrum",
        data=data.astype(np.float32),
        axes=tuple(axes),
        row_seen=np.ones(2, dtype=bool),
        row_start_s=np.zeros(2),
    )


def test_patches_are_where_they_are_and_keep_their_tracks(bench) -> None:
    surveyor = Surveyor(bench.capabilities, SurveyorSettings())
    boxes = [(20.0, -30.0, 40.0), (200.0, 0.0, 30.0)]
    first = surveyor(image(bench, boxes))
    (there_first,) = first.particles
    assert (there_first.x_nm, there_first.y_nm) == pytest.approx((20.0, -30.0), abs=1.0)
    assert there_first.radius_nm == pytest.approx(40.0 / np.sqrt(np.pi), rel=0.05)
    second = surveyor(image(bench, boxes, at=(100.0, 10.0), seed=1))
    assert (second.x_nm, second.y_nm) == (100.0, 10.0)
    tracks = {round(p.x_nm): p.track for p in second.particles}
    assert len(tracks) == 2
    assert tracks[min(tracks)] == there_first.track != tracks[max(tracks)]


def test_a_spectrum_names_what_it_shows(bench) -> None:
    settings = SurveyorSettings(elements=("Fe", "Ni", "Ti"))
    surveyor = Surveyor(bench.capabilities, settings)
    percept = surveyor(spectrum(bench, "Fe"))
    assert percept.mode == "EELS"
    assert there(percept.estimates, settings) == ["Fe"]
    assert percept.events == ("edges of Fe",)
    assert percept.estimates["step_Fe"].value == pytest.approx(1.0, abs=0.1)
    assert surveyor(spectrum(bench)).events == ("no edge",)


def test_what_cannot_be_read_is_not_usable(bench) -> None:
    surveyor = Surveyor(bench.capabilities, SurveyorSettings())
    good = image(bench, [])
    assert surveyor(good).quality["usable"] == 1.0
    assert surveyor(replace(good, row_seen=np.zeros(PIXELS, dtype=bool))).quality["usable"] == 0.0
    holes = spectrum(bench)
    assert surveyor(replace(holes, data=np.full_like(holes.data, np.nan))).quality["usable"] == 0.0
    assert surveyor(replace(holes, data=None)).particles == ()
    moved = replace(good, command=changed(good.command, acquire=None), kind=None, data=None)
    assert surveyor(moved).mode is None


def shifted(seen, by_eV, peak=1e6):
    """The same with a zero loss of that many counts, and all of it moved along the axis."""
    data = np.roll(np.asarray(seen.data), round(by_eV / 2.0), axis=2)
    energy = -20.0 + 2.0 * np.arange(1024)
    zero_loss = peak * np.exp(-0.5 * ((energy - by_eV) / 2.0) ** 2)
    return replace(seen, data=np.random.default_rng(2).poisson(data + zero_loss).astype(np.float32))


def test_energies_count_from_the_zero_loss_that_was_seen_last(bench) -> None:
    """The edge of a spectrum that is 20 eV off is missed in part, until a reference tells."""
    settings = SurveyorSettings(elements=("Fe", "Co"))
    surveyor = Surveyor(bench.capabilities, settings)
    without = shifted(spectrum(bench, "Fe"), 20.0, peak=0.0)
    lost = surveyor(without)
    assert "zero_loss_eV" not in lost.estimates
    told = surveyor(shifted(spectrum(bench, "Fe"), 20.0, peak=3e9)).estimates["zero_loss_eV"]
    assert told.value == pytest.approx(20.0, abs=0.1)
    found = surveyor(without)
    assert found.estimates["step_Fe"].value == pytest.approx(1.0, abs=0.1)
    assert lost.estimates["step_Fe"].value < found.estimates["step_Fe"].value - 0.05


def test_references_are_no_specimen(bench) -> None:
    surveyor = Surveyor(bench.capabilities, SurveyorSettings())
    boxes = image(bench, [(20.0, -30.0, 40.0)])
    dark = replace(boxes, command=changed(boxes.command, acquire=changed(boxes.command.acquire, blanked=True)))
    assert surveyor(dark).particles == ()
    assert surveyor(dark).quality["usable"] == 0.0
    flat = replace(boxes, command=changed(boxes.command, id="gain-reference-0"))
    assert surveyor(flat).particles == ()
