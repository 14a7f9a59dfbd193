"""What a driver gets from FrameDriver: beam for exposures only, a blank that nothing overtakes, honest counts."""

import threading

import numpy as np
import pytest
from bench import CAPABILITIES, LIMITS
from msgspec.structs import replace
from numpy.typing import NDArray

from experiments.small_column import STATE
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.errors import BridgeError, Rejected, Unreachable
from hardware_bridge.frame_driver import FrameDriver
from hardware_bridge.geometry import merged
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Acquire, Capabilities, Command, Go, InstrumentState, Range
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk

DWELL_S = 0.01


def exposure(name: str, frames: int) -> Command:
    acquire = Acquire(mode="HRTEM", fov_nm=80.0, pixels_x=8, pixels_y=8, dwell_s=DWELL_S, max_frames=frames)
    return Command(id=name, go=Go(stage_x_nm=50.0), acquire=acquire)


class Camera(FrameDriver):
    """Its clock goes by exposures; ``log`` is what was done, in order; ``frame`` is what the camera gives."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s, self.place, self.is_on = 0.0, STATE.go, False
        self.log: list[str] = []
        self.frame = np.ones((8, 8), np.uint16)
        self.fails = False

    def describe(self) -> Capabilities:
        return replace(CAPABILITIES, modes=("HRTEM",), detector_fraction={"HRTEM": 0.1})

    def state(self) -> InstrumentState:
        locks = replace(STATE.interlocks, detectors_inserted=("HRTEM",))
        return replace(STATE, clock_s=self.now_s, go=self.place, beam_blanked=not self.is_on, interlocks=locks)

    def prepare(self, command: Command) -> None:
        if command.go.stage_y_nm is not None:
            raise Rejected("cannot", "go.stage_y_nm", str(command.go.stage_y_nm), "nothing")

    def move(self, command: Command) -> None:
        self.log.append("move")
        self.place = merged(self.place, command.go)

    def expose(self, acquire: Acquire) -> NDArray[np.generic]:
        assert self.is_on
        self.log.append("expose")
        self.now_s += acquire.dwell_s
        if self.fails:
            raise Unreachable("the camera is gone")
        return self.frame

    def beam(self, on: bool) -> None:
        self.log.append("on" if on else "off")
        self.is_on = on

    def clock_s(self) -> float:
        return self.now_s


LIMITS_HERE = replace(
    LIMITS,
    ranges=LIMITS.ranges | {"dwell_s": Range(low=DWELL_S, high=DWELL_S)},
    max_fluence_e_per_A2=1e9,
    max_dose_rate_e_per_A2_s=1e9,
    max_detector_e_per_s={"HRTEM": 1e9},
)


def test_the_beam_is_on_for_the_exposures_and_for_nothing_else() -> None:
    camera = Camera()
    seen = execute(camera, exposure("a", 2), 1.0)
    assert camera.log == ["move", "on", "expose", "off", "on", "expose", "off", "off"]
    assert seen.data is not None
    assert seen.data.shape == (8, 8)
    assert [axis.scale for axis in seen.axes] == [10.0, 10.0]
    assert seen.state.go.stage_x_nm == 50.0
    assert seen.electrons == pytest.approx(50.0 * 2 * DWELL_S * ELECTRONS_PER_PA_S)
    assert [line.end_s - line.start_s for line in seen.statistics] == pytest.approx([DWELL_S, DWELL_S])


def test_after_a_blank_no_exposure_begins_and_the_share_of_the_beam_is_told() -> None:
    camera = Camera()
    camera.submit(exposure("a", 4))
    parts = camera.watch(1.0)
    assert [isinstance(next(parts), Chunk) for _ in range(2)] == [False, True]
    blanking = threading.Thread(target=camera.blank)
    blanking.start()
    blanking.join()
    (end,) = parts
    assert camera.log.count("expose") == 1
    assert (end.aborted, end.reason, end.chunks, end.beam_on_share) == (True, "blanked", 1, 0.25)  # type: ignore[union-attr]
    assert not execute(camera, exposure("b", 1), 1.0).aborted


def test_what_prepare_refuses_does_not_start() -> None:
    camera = Camera()
    with pytest.raises(Rejected, match="stage_y_nm"):
        camera.submit(Command(id="a", go=Go(stage_y_nm=1.0)))
    assert camera.log == []
    execute(camera, exposure("b", 1), 1.0)


def test_a_frame_of_another_shape_or_type_is_an_error() -> None:
    camera = Camera()
    for wrong in (np.ones((8, 7), np.uint16), np.ones((8, 8), np.float32)):
        camera.frame = wrong  # type: ignore[assignment]
        with pytest.raises(BridgeError, match=r"in place of \(8, 8\) uint16"):
            execute(camera, exposure("a", 1), 1.0)
        assert not camera.is_on


def test_a_camera_that_fails_leaves_the_beam_off_and_the_command_unknown() -> None:
    camera = Camera()
    camera.fails = True
    guard = Guard(camera, LIMITS_HERE)
    with pytest.raises(Unreachable, match="camera is gone"):
        execute(guard, exposure("a", 1), 1.0)
    assert not camera.is_on
    assert guard.fate("a") == "unknown"
    camera.fails = False
    assert not execute(guard, exposure("b", 1), 1.0).aborted
