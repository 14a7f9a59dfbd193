"""A DECTRIS detector, read by LiberTEM's receiver (libertem_dectris) and armed over its REST interface."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import libertem_dectris
import numpy as np
from libertem_live.detectors.dectris.DEigerClient import DEigerClient

from experiments.foreign_detectors.source import Burst, stack_frames
from hardware_bridge.errors import Unreachable

HOST = "127.0.0.1"
START_S = 10.0


class Dectris:
    """Implements ``Source``; the receiver itself checks that the frame numbers of the stream follow each other."""

    name = "dectris"

    def __init__(self, data_port: int, control_port: int, frames: int, dwell_s: float) -> None:
        """Connect; ``frames`` and ``dwell_s`` are what the detector's software is set to."""
        self.frames, self.dwell_s = frames, dwell_s
        self._rest = DEigerClient(HOST, port=control_port)
        height, width, bits = (
            int(self._rest.detectorConfig(name)["value"])
            for name in ("y_pixels_in_detector", "x_pixels_in_detector", "bit_depth_image")
        )
        self.shape, self.dtype = (height, width), np.dtype(f"uint{bits}")
        self._uri = f"tcp://{HOST}:{data_port}"
        self._stack = stack_frames(dwell_s)
        self._folder = tempfile.TemporaryDirectory(prefix="dectris-")
        self._runs = 0
        self._receiver: libertem_dectris.DectrisConnection | None = None

    def run(self) -> Iterator[Burst]:
        """Arm, then yield what the receiver hands over."""
        receiver = self._connected()
        self._rest.sendDetectorCommand("arm")
        armed = receiver.wait_for_arm(START_S)
        if armed is None:
            raise Unreachable(f"the detector sent nothing for {START_S:g} s after it was armed")
        if armed[0].get_num_frames() != self.frames:
            raise Unreachable(f"the detector is set to {armed[0].get_num_frames()} frames a run, not to {self.frames}")
        reader = libertem_dectris.CamClient(receiver.get_socket_path())
        first = 0
        try:
            while (stack := receiver.get_next_stack(self._stack)) is not None:
                images = np.empty((len(stack), *self.shape), self.dtype)
                reader.decode_range_into_buffer(stack, images, 0, len(stack))
                reader.done(stack)
                yield first, images
                first += len(images)
        except Exception as error:  # noqa: BLE001 - the receiver does not export the class of its error
            # What it collected since its last stack is gone with it, and it is of no more use.
            self._close_receiver()
            raise Unreachable(f"frames from {first} on did not come: {error}") from None
        finally:
            reader.close()

    def cancel(self) -> None:
        """Ask for the end of the run; the simulator takes note of it and goes on."""
        self._rest.sendDetectorCommand("abort")

    def close(self) -> None:
        """Give the receiver back."""
        self._close_receiver()
        self._folder.cleanup()

    def _connected(self) -> libertem_dectris.DectrisConnection:
        if self._receiver is None:
            self._runs += 1
            self._receiver = libertem_dectris.DectrisConnection(
                uri=self._uri,
                frame_stack_size=self._stack,
                handle_path=str(Path(self._folder.name) / f"receiver-{self._runs}"),
                num_slots=256,
                bytes_per_frame=self.dtype.itemsize * self.shape[0] * self.shape[1],
            )
            self._receiver.start_passive()
        return self._receiver

    def _close_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None
