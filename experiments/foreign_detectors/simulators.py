"""Starts LiberTEM's simulators of both detectors; every frame tells its own number.

`python -m experiments.foreign_detectors.simulators merlin|dectris --frames N` prints `ready DATA_PORT:CONTROL_PORT`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"  # read when it is first imported

import libertem_dectris
import numpy as np
import zmq
from libertem_live.detectors.dectris.sim import DectrisSim
from libertem_live.detectors.merlin.sim import CameraSim

HOST = "127.0.0.1"
SIDE = 256
DIGITS, BASE = 4, 64  # six counted bits a pixel


def merlin(folder: Path, frames: int, dwell_us: int | None, left_out: int | None) -> tuple[int, int]:
    """Write a recording of SIDE x SIDE pixels of 6 bits, whose first pixels hold the frame's number, and replay it."""
    image = np.random.default_rng(1).integers(0, 40, (SIDE, SIDE)).astype(np.uint8)
    with (folder / "run.mib").open("wb") as recording:
        for number in range(frames):
            if number != left_out:
                image.flat[:DIGITS] = [number // BASE**digit % BASE for digit in range(DIGITS)]
                recording.write(mib_header(number + 1) + image.tobytes())
    (folder / "run.hdr").write_text(
        f"HDR,\nFrames in Acquisition (Number):\t{frames}\nFrames per Trigger (Number):\t{frames}\n"
        "Counter Depth (number):\t6\nEnd\t"
    )
    written = frames if left_out is None else frames - 1
    simulator = CameraSim(
        path=str(folder / "run.hdr"),
        nav_shape=(1, written),
        host=HOST,
        data_port=0,
        control_port=0,
        trigger_port=0,
        wait_trigger=True,
        cached="MEM" if dwell_us is None else "NONE",
        dwelltime=dwell_us,
    )
    simulator.start()
    simulator.wait_for_listen()
    return simulator.server_t.port, simulator.control_t.port


def mib_header(number: int) -> bytes:
    """The 384 bytes before every frame of a recording; the last field is the counter's depth."""
    head = f"MQ1,{number:06d},00384,01,{SIDE:04d},{SIDE:04d},U08,   1x1,01,2026-01-01 00:00:00.000000,0.001000,0,0,0,"
    thresholds = "1.200000E+2,5.110000E+2," + "0.000000E+0," * 6
    converters = "3RX," + ",".join(["000"] * 28) + ","
    return f"{head}{thresholds}{converters}MQ1A,2026-01-01T00:00:00.000000000Z,1000000ns,6,".encode().ljust(384, b"\0")


def dectris(folder: Path, frames: int, dwell_us: int | None, left_out: int | None) -> tuple[int, int]:
    """Start a simulator of frames whose every pixel is the frame's number; one frame may be left out of its stream."""
    if left_out is None:
        simulator = DectrisSim(port=0, zmqport=0, num_mock_frames=frames, dwelltime=dwell_us)
    else:
        record(folder / "stream", frames)
        simulator = DectrisSim(port=0, zmqport=0, path=str(folder / "stream"), data_filter=without(left_out))
    simulator.start()
    simulator.wait_for_listen()
    return simulator.zmqport, simulator.port


def record(path: Path, frames: int) -> None:
    """Write the messages of a run, each after its length, as the simulator reads them."""
    simulator = libertem_dectris.DectrisSim.new_mocked(f"tcp://{HOST}", frames, 0, True)
    steps = (simulator.send_headers, simulator.send_frames, simulator.send_footer)
    sending = threading.Thread(target=lambda: [step() for step in steps])
    with zmq.Context() as context, context.socket(zmq.PULL) as socket, path.open("wb") as file:
        socket.connect(simulator.get_uri())
        sending.start()
        while True:
            parts = socket.recv_multipart()
            for part in parts:
                file.write(struct.pack("<q", len(part)) + part)
            if b"dseries_end" in parts[0]:
                break
        sending.join()


def without(number: int) -> Callable[[bytes], bytes | None]:
    """A filter that leaves out the four messages of one frame."""
    left = 0

    def passed(data: bytes) -> bytes | None:
        nonlocal left
        if not left and data.startswith(b'{"frame":') and json.loads(data)["frame"] == number:
            left = 4
        if left:
            left -= 1
            return None
        return data

    return passed


def main() -> None:
    """Start one and wait to be ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector", choices=["merlin", "dectris"])
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--dwell-us", type=int, default=None)
    parser.add_argument("--leave-out", type=int, default=None, help="a frame that the detector loses")
    asked = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that its own processes end with it
    start = {"merlin": merlin, "dectris": dectris}[asked.detector]
    with tempfile.TemporaryDirectory(prefix="detector-") as folder:
        data_port, control_port = start(Path(folder), asked.frames, asked.dwell_us, asked.leave_out)
        print(f"ready {data_port}:{control_port}", flush=True)
        while True:
            time.sleep(1.0)


if __name__ == "__main__":
    main()
