"""temscript's own null microscope as a process, read and set past everything of ours, and a bridge to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from foreign import ROOT, python_of
from processes import end, wait_line

from hardware_bridge.blanker import Blanker

STAGE_HALF_M = 1e-3


class NullColumn:
    """`temscript-server --null`; its log is what an outsider sees of every request."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = folder / "requests.log"
        server = python_of("temscript").parent / "temscript-server"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [server, "--null", "-p", str(self.port), "--host", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=log
            )
        deadline = time.monotonic() + 10.0
        while True:
            try:
                assert self.get("family") == "NULL"
                return
            except (OSError, HTTPException):
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def get(self, name: str) -> Any:
        return self._ask("GET", name, None)

    def put(self, name: str, value: object) -> None:
        self._ask("PUT", name, json.dumps(value))

    def as_at_start(self) -> None:
        """What a bridge wants to find when it starts: the screen down, everything at zero."""
        self.put("screen_position", "DOWN")
        self.put("stage_position?method=GO", dict.fromkeys("xyzab", 0.0))
        self.put("beam_blanked", False)

    def ready(self) -> None:
        """What an operator does before letting anybody in: open the valves and lift the screen."""
        self.put("column_valves_open", True)
        self.put("screen_position", "UP")

    def requests(self) -> list[str]:
        """Method and path of every request so far."""
        return [line.split('"')[1].rpartition(" ")[0] for line in self.log.read_text().splitlines() if '"' in line]

    def close(self) -> None:
        end(self.process)

    def _ask(self, method: str, name: str, body: str | None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        try:
            connection.request(method, f"/v1/{name}", body)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status in (200, 204), said
            return json.loads(said) if said else None
        finally:
            connection.close()


class Bridge:
    """A bridge to a null column, and the line of its blanker."""

    def __init__(self, column: NullColumn, folder: Path, *options: str) -> None:
        serve = [python_of("temscript"), "-m", "experiments.foreign_temscript.serve", "127.0.0.1", str(column.port)]
        self.process = subprocess.Popen(
            [*serve, str(folder), "--aperture-inserted", *options],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=folder.parent,
            stdout=subprocess.PIPE,
        )
        self.endpoint = wait_line(self.process, "ready ")
        self.beam = Blanker(folder / "beam")

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.beam.close()
        end(self.process)
