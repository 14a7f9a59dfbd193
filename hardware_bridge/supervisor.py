"""The supervisor: a process of its own that blanks the beam when the bridge dies or freezes.

It holds its own line of the blanker and needs nothing of the bridge but a pipe, which the system closes when the bridge
dies, and the time stamp that the bridge's safety thread keeps fresh. `python -m hardware_bridge.supervisor FILE`.
"""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from hardware_bridge.blanker import Blanker
from hardware_bridge.errors import Unreachable
from hardware_bridge.own_code import command_of, environment

PERIOD_S = 0.02
FROZEN_S = 0.35
START_S = 10.0


def watch(blanker: Blanker, lifeline: int) -> None:
    """Watch a bridge until the pipe at ``lifeline`` closes, then blank; blank also while the bridge is frozen."""
    while True:
        blanker.supervisor_is_alive()
        if select.select([lifeline], [], [], PERIOD_S)[0]:
            blanker.pull()
            return
        if blanker.bridge_silent_s() > FROZEN_S:
            blanker.pull()


def main() -> int:
    """Run as a process."""
    # What ends a service is often sent to all of its processes at once; the supervisor must outlive the bridge.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    blanker = Blanker(Path(sys.argv[1]))
    watch(blanker, sys.stdin.fileno())
    return 0


class Supervisor:
    """The bridge's end: starts the process and keeps the pipe open for as long as the bridge lives."""

    def __init__(self, blanker: Blanker) -> None:
        """Start and wait until it watches.

        Raises:
            Unreachable: it did not start within 10 s.
        """
        blanker.bridge_is_alive()
        self._blanker = blanker
        self._process = subprocess.Popen(
            command_of("hardware_bridge.supervisor", str(blanker.path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment(),
            # In a group of its own: a terminal stops, ends or hangs up on the whole group of the bridge.
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        begun_ns = time.monotonic_ns()
        while blanker.supervisor_silent_s() * 1e9 > time.monotonic_ns() - begun_ns:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise Unreachable("the supervisor that blanks the beam when the bridge dies did not start")
            time.sleep(0.005)

    def is_watching(self) -> bool:
        """Whether it is there to blank."""
        return self._process.poll() is None and self._blanker.supervisor_silent_s() < 2.0

    def close(self) -> None:
        """Let it blank and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


if __name__ == "__main__":
    sys.exit(main())
