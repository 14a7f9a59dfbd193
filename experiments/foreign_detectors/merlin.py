"""A Merlin detector, read by LiberTEM's receiver (libertem_qd_mpx) and steered over its control socket."""

from __future__ import annotations

import itertools
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import libertem_qd_mpx
import numpy as np
from libertem_live.detectors.merlin.control import MerlinControl
from numpy.typing import NDArray

from experiments.foreign_detectors.source import Burst, stack_frames
from hardware_bridge.errors import Unreachable

HOST = "127.0.0.1"
START_S = 10.0
TYPES = {1: "uint8", 6: "uint8", 12: "uint16", 24: "uint32"}
STACK_HEAD = 24


class Merlin:
    """Implements ``Source``; the numbers are those of the frames' own headers (MQ1, from 1)."""

    name = "merlin"

    def __init__(self, data_port: int, control_port: int, frames: int, dwell_s: float) -> None:
        """Connect; ``frames`` and ``dwell_s`` are what the detector's software is set to."""
        self.frames, self.dwell_s = frames, dwell_s
        self._control_port = control_port
        with self._control() as control:
            self.shape = (int(control.get("IMAGEY")), int(control.get("IMAGEX")))
            self.dtype = np.dtype(TYPES[int(control.get("COUNTERDEPTH"))])
        self._folder = tempfile.TemporaryDirectory(prefix="merlin-")
        self._stack = stack_frames(dwell_s)
        self._receiver = libertem_qd_mpx.QdConnection(
            data_host=HOST,
            data_port=data_port,
            frame_stack_size=self._stack,
            shm_handle_path=str(Path(self._folder.name) / "receiver"),
            bytes_per_frame=self.dtype.itemsize * self.shape[0] * self.shape[1] + 4096,
            num_slots=256,
        )
        self._receiver.start_passive()

    def run(self) -> Iterator[Burst]:
        """Start and trigger, then yield what the receiver hands over."""
        with self._control() as control:
            control.cmd("STARTACQUISITION")
            control.cmd("SOFTTRIGGER")
        header = self._receiver.wait_for_arm(START_S)
        if header is None:
            raise Unreachable(f"the detector sent nothing for {START_S:g} s after its trigger")
        if header.frames_in_acquisition() != self.frames:
            said = f"the detector is set to {header.frames_in_acquisition()} frames a run, not to {self.frames}"
            raise Unreachable(said)
        reader = libertem_qd_mpx.CamClient(self._receiver.get_socket_path())
        try:
            while (stack := self._receiver.get_next_stack(self._stack)) is not None:
                images = np.empty((len(stack), *self.shape), self.dtype)
                reader.decode_range_into_buffer(stack, images, 0, len(stack))
                numbers = frame_numbers(stack.serialize(), len(stack)) - 1
                reader.done(stack)
                yield from split(numbers, images)
        finally:
            reader.close()

    def cancel(self) -> None:
        """Ask for the end of the run; the simulator takes note of it and goes on."""
        with self._control() as control:
            control.cmd("STOPACQUISITION")

    def close(self) -> None:
        """Give the receiver back."""
        self._receiver.close()
        self._folder.cleanup()

    def _control(self) -> MerlinControl:
        return MerlinControl(host=HOST, port=self._control_port)


def frame_numbers(stack: bytes, count: int) -> NDArray[np.int64]:
    """The numbers that a stack's frames have in their own headers, (count,).

    The receiver keeps them in what it hands over but has no call for them. Each frame's part begins with the length of
    its message (8 bytes) and its number (4 bytes); all are equally long, since every field of an MQ1 header is.

    Raises:
        Unreachable: that is not how this version of the receiver writes it.
    """
    length = stack[STACK_HEAD : STACK_HEAD + 8]
    step = stack.find(length, STACK_HEAD + 8) - STACK_HEAD if count > 1 else 0
    places = [STACK_HEAD + step * index for index in range(count)]
    if struct.unpack_from("<Q", stack, 16)[0] != count or any(stack[at : at + 8] != length for at in places):
        raise Unreachable("the receiver's stacks are not written as in libertem-qd-mpx 0.3.2: no frame numbers")
    return np.array([struct.unpack_from("<I", stack, at + 8)[0] for at in places], dtype=np.int64)


def split(numbers: NDArray[np.int64], images: NDArray[np.generic]) -> Iterator[Burst]:
    """Cut a stack where its numbers do not follow each other."""
    cuts = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
    for begin, end in itertools.pairwise(cuts):
        yield int(numbers[begin]), images[begin:end]
