"""A bridge that stops where it is told to, to be killed or frozen there; nothing of the bridge itself is changed.

`python -m experiments.bridge_faults.bridge_process FOLDER`. It reads `arm POINT` and `go` from its stdin; it says
`ready ENDPOINT`, `armed`, and `at POINT` when a thread of it has come there and waits for `go`.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from msgspec.structs import replace

from experiments.bridge_faults import points
from experiments.bridge_faults.agent_process import MOVE_S
from experiments.bridge_faults.instrument import ROWS, Instrument
from experiments.small_column import LIMITS
from hardware_bridge import server
from hardware_bridge.cost import ELECTRONS_PER_PA_S, frame_s
from hardware_bridge.dose import Charge
from hardware_bridge.journal import FileJournal
from hardware_bridge.messages import Command, End, InstrumentState
from hardware_bridge.observation import Chunk, Part
from hardware_bridge.wall import Wall

CHUNK_S = 0.01
THIRD = 3
LEASE_S = 2.0
DRIVER_LOG = "driver.log"


class Stops:
    """Where to stop next; any thread may come by."""

    def __init__(self) -> None:
        self._armed = ""
        self._go = threading.Event()

    def listen(self) -> None:
        """Take orders from stdin, for ever."""
        for line in sys.stdin:
            order, _, point = line.strip().partition(" ")
            if order == "arm":
                self._go.clear()
                self._armed = point
                print("armed", flush=True)
            elif order == "go":
                self._go.set()

    def at(self, point: str) -> None:
        """A thread comes by; it waits here if it was told to."""
        if point == self._armed:
            self._armed = ""
            print(f"at {point}", flush=True)
            self._go.wait()


class StoppingJournal(FileJournal):
    """The journal, with a stop before and after each write."""

    stops: Stops

    def tokens(self, token: int) -> None:
        """Write a token."""
        self.stops.at(points.TOKEN)
        super().tokens(token)

    def intent(self, command: Command, charge: Charge, before: InstrumentState) -> None:
        """Write an INTENT."""
        self.stops.at(points.BEFORE_INTENT)
        super().intent(command, charge, before)
        self.stops.at(points.INTENT)

    def result(self, end: End, charge: Charge | None) -> None:
        """Write a RESULT."""
        self.stops.at(points.NO_RESULT)
        super().result(end, charge)
        self.stops.at(points.RESULT)


class StoppingWall(Wall):
    """The safety thread, with a stop in mid scan."""

    stops: Stops

    def _watch(self) -> None:
        if self._runner.running is not None and not self._blanker.is_blanked:
            self.stops.at(points.SAFETY)
        super()._watch()


class LoggingInstrument(Instrument):
    """Writes down what truly happens to it, each thing before it begins, in a file that outlives its process."""

    def __init__(self, log: Path, stops: Stops) -> None:
        super().__init__()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._stops = stops
        self._exposed = 0
        self.between = self._pause

    def submit(self, command: Command) -> None:
        """Accept a command."""
        self._write(what="submit", id=command.id)
        super().submit(command)
        self._stops.at(points.ASKED)

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Move, where the command says so, then yield its parts."""
        assert self._running is not None
        acquire, self._exposed = self._running.acquire, 0
        if self._running.go.stage_z_nm is not None:
            time.sleep(MOVE_S / 2)
            self._stops.at(points.MOVES)
            time.sleep(MOVE_S / 2)
        for part in super().watch(timeout_s):
            if isinstance(part, End):
                if acquire is not None:  # a chunk that was cut off was exposed too, and is no chunk of the stream
                    chunks = acquire.max_frames * math.ceil(acquire.pixels_y / ROWS)
                    part = replace(part, beam_on_share=min(1.0, self._exposed / chunks))
                self._write(what="end", id=part.command_id, chunks=part.chunks)
            yield part
            if isinstance(part, Chunk) and part.header.sequence == THIRD:
                self._stops.at(points.CHUNKS)

    def _pause(self, chunk: int) -> None:
        command = self._running
        assert command is not None
        acquire = command.acquire
        assert acquire is not None
        if self._is_aborted:
            return
        self._exposed += 1
        on_s = frame_s(acquire, self.describe()) * min(ROWS, acquire.pixels_y) / acquire.pixels_y
        current_pA = self.state().optics.beam_current_pA or 0.0
        self._write(what="expose", id=command.id, electrons=current_pA * on_s * ELECTRONS_PER_PA_S)
        time.sleep(CHUNK_S)

    def _write(self, **event: object) -> None:
        os.write(self._log, json.dumps(event).encode() + b"\n")


def main() -> None:
    """Serve until killed."""
    folder, stops = Path(sys.argv[1]), Stops()
    threading.Thread(target=stops.listen, daemon=True).start()
    StoppingJournal.stops = StoppingWall.stops = stops
    instrument = LoggingInstrument(folder / DRIVER_LOG, stops)
    with patch.multiple(server, FileJournal=StoppingJournal, Wall=StoppingWall):
        server.serve(
            instrument, LIMITS, "tcp://127.0.0.1:0", journal_folder=folder, timing=server.Timing(lease_s=LEASE_S)
        )


if __name__ == "__main__":
    main()
