"""What is taken from files and observations, and how images are put together that can be compared."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed

from agent.calibrate.twin.evidence import of_files, of_frames, of_observation
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import Optics


def test_files_are_places_and_given_facts_count_first(make_file):
    a = make_file(np.zeros((3, 40, 50), np.uint16), 0.5, {"dwell_s": 1e-6})
    b = make_file(np.zeros((1, 40, 50)), None)
    evidence = of_files([a, b], [b], {"dwell_s": 2e-6, "every_s": 0.5})
    assert [frame.place for frame in evidence.images] == [(0.0,), (0.0,), (0.0,), (1.0,)]
    assert [frame.start_s for frame in evidence.images] == [0.0, 0.5, 1.0, 0.0]
    assert evidence.images[0].end_s == pytest.approx(2e-6 * 2000)
    assert (evidence.images[0].pixel_nm, evidence.images[3].pixel_nm) == (0.5, None)
    assert (evidence.images[0].full_counts, evidence.images[3].full_counts) == (65535.0, np.inf)
    assert (evidence.images[0].dwell_s, len(evidence.darks), evidence.column) == (2e-6, 1, None)
    assert len(evidence.repeats()[0]) == 3
    assert len(evidence.stay()) == 3


def test_an_observation_brings_what_is_known_of_it(make_observation, capabilities):
    observation = make_observation(4)
    frame = of_observation(observation, capabilities)
    assert np.array_equal(frame.counts, observation.data)
    assert (frame.pixel_nm, frame.dwell_s, frame.end_s) == (8.0, 2e-6, observation.end_s)
    assert frame.start_s == observation.row_start_s[0]
    assert frame.optics.C10_nm == observation.state.optics.C10_nm
    # The instrument counted more electrons than its set current makes: its own measure counts.
    sent = frame.current_pA * frame.dwell_s * ELECTRONS_PER_PA_S
    assert sent * 32 * 32 == pytest.approx(observation.electrons * 32 * 2e-6 / (32 * 2e-6 + 1e-5), rel=1e-6)


def test_what_is_no_whole_image_is_left_out(make_observation, capabilities):
    assert of_observation(make_observation(3), capabilities) is None  # its last row is missing
    assert of_observation(make_observation(4, mode="EELS"), capabilities) is None
    assert of_observation(make_observation(4, pixels=16), capabilities) is None


def test_repeats_end_where_place_or_focus_changes(make_observation, capabilities):
    frame = of_observation(make_observation(4), capabilities)
    other = replace(frame, place=(1.0,))
    defocused = replace(frame, optics=changed(Optics(), C10_nm=300.0))
    evidence = of_frames([frame, frame, defocused, frame, other, replace(frame, blanked=True)])
    assert [len(group) for group in evidence.repeats()] == [2, 1, 1, 1]
    assert len(evidence.stay()) == 4
    assert len(evidence.darks) == 1
