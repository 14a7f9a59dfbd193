"""What the bridge is measured against: bare pyzmq, and a bare ring in shared memory with a notice a frame.

One frame a message, no hash, no header but a number; the reader of the ring copies each frame out.

    python -m experiments.benchmarks.stream_bare ADDRESS HEIGHT WIDTH DTYPE [RING]
"""

from __future__ import annotations

import argparse
import mmap
import os
import time
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

from experiments.benchmarks.stream_camera import pool

WINDOW_BYTES = 48 << 20
CREDIT_SHARE = 8

Frames = NDArray[np.generic]


def send(address: str, frames: Frames, ring: Path | None) -> None:
    """Send frames to whoever connects, until it goes."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    slots = max(2, WINDOW_BYTES // frames[0].nbytes)
    with context.socket(zmq.PAIR) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, slots)
        socket.bind(address)
        print("ready", flush=True)
        socket.recv()  # the reader is there
        if ring is None:
            while not socket.poll(0):
                for frame in frames:
                    socket.send(frame.data, copy=False)
        else:
            _fill(socket, frames, np.asarray(np.memmap(ring, frames.dtype, "r+", shape=(slots, *frames.shape[1:]))))
    context.destroy(0)


def _fill(socket: zmq.Socket[bytes], frames: Frames, places: Frames) -> None:
    sent = read = 0
    while True:
        while sent - read >= len(places) or socket.poll(0):
            credit = socket.recv()
            if not credit:
                return
            read = int.from_bytes(credit, "little")
        np.copyto(places[sent % len(places)], frames[sent % len(frames)])
        socket.send((sent % len(places)).to_bytes(8, "little"))
        sent += 1


def receive(address: str, shape: tuple[int, int], dtype: str, seconds: float, ring: Path | None) -> float:
    """Frames a second that come, over ``seconds``."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.PAIR) as socket:
        slots = max(2, WINDOW_BYTES // (shape[0] * shape[1] * np.dtype(dtype).itemsize))
        socket.setsockopt(zmq.LINGER, 100)
        socket.setsockopt(zmq.RCVHWM, slots)
        socket.connect(address)
        socket.send(b"here")
        places = np.asarray(np.memmap(ring, dtype, "r", shape=(slots, *shape))) if ring is not None else None
        count, begun_s = 0, 0.0
        while not begun_s or time.perf_counter() - begun_s < seconds:
            message = socket.recv(copy=False)
            if places is not None:
                _ = places[int.from_bytes(message.bytes, "little")].copy()
                if count % max(1, slots // CREDIT_SHARE) == 0:
                    socket.send((count + 1).to_bytes(8, "little"))
            else:
                _ = np.frombuffer(message.buffer, dtype).reshape(shape)
            count += 1
            begun_s = begun_s or time.perf_counter()
        rate = (count - 1) / (time.perf_counter() - begun_s)
        socket.send(b"")
    context.destroy(100)
    return rate


def make_ring(path: Path, frame_bytes: int) -> None:
    """A file with all its memory."""
    slots = max(2, WINDOW_BYTES // frame_bytes)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.posix_fallocate(descriptor, 0, -(-slots * frame_bytes // mmap.PAGESIZE) * mmap.PAGESIZE)
    os.close(descriptor)


def main() -> None:
    """Send."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.stream_bare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name in ("address", "height", "width", "dtype"):
        parser.add_argument(name)
    parser.add_argument("ring", nargs="?", type=Path)
    given = parser.parse_args()
    send(given.address, pool((int(given.height), int(given.width)), given.dtype), given.ring)


if __name__ == "__main__":
    main()
