"""The independent observer: a process that reads the beam's line every ms and writes down when it moved.

`python -m experiments.bridge_faults.observer BEAM LOG`, until it is killed. A beam that was on for less than a ms
leaves its time on the line, and is written as on and off again.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

PERIOD_S = 0.001
LATE_NS = 20_000_000
# The bridge's line and when it moved, the supervisor's and when it moved, as blanker.py writes them.
LINES = struct.Struct("<4q")


def main() -> None:
    """Watch for ever."""
    with Path(sys.argv[1]).open("rb") as file:
        lines = mmap.mmap(file.fileno(), LINES.size, access=mmap.ACCESS_READ)
    with Path(sys.argv[2]).open("a", encoding="ascii", buffering=1) as log:
        _watch(lines, log)


def _watch(lines: mmap.mmap, log: TextIO) -> None:
    was_on, was_moved_ns, read_ns = False, LINES.unpack_from(lines)[1], time.monotonic_ns()
    print("watching", flush=True)
    while True:
        is_open, moved_ns, is_pulled, _ = LINES.unpack_from(lines)
        is_on, now_ns = bool(is_open and not is_pulled), time.monotonic_ns()
        if now_ns - read_ns > LATE_NS:
            log.write(f"{now_ns} late {now_ns - read_ns}\n")
        if is_on != was_on:
            log.write(f"{now_ns} {'on' if is_on else 'off'}\n")
        elif moved_ns != was_moved_ns and not is_on and not is_pulled:
            log.write(f"{moved_ns} on\n{now_ns} off\n")
        was_on, was_moved_ns, read_ns = is_on, moved_ns, now_ns
        time.sleep(PERIOD_S)


@dataclass(frozen=True)
class Seen:
    """What the observer saw between two times.

    ``dark_ns`` is how long after the first the beam was last on, None where it was on at the second; ``relit`` is how
    often it came on again after it had gone off; ``late_ns`` the longest that the observer itself did not look.
    """

    dark_ns: int | None
    relit: int
    late_ns: int


def seen(log: Path, since_ns: int, until_ns: int) -> Seen:
    """Read from the observer's log what the beam did from one time to another."""
    is_on, was_on_at_start, dark_ns, relit, late_ns = False, False, 0, 0, 0
    for line in log.read_text(encoding="ascii").splitlines():
        at, what, *rest = line.split()
        at_ns = int(at)
        if at_ns > until_ns:
            break
        if what == "late":
            late_ns = max(late_ns, int(rest[0]) if at_ns > since_ns else 0)
            continue
        is_on = what == "on"
        if at_ns <= since_ns:
            was_on_at_start = is_on
        elif is_on:
            relit += 1
        else:
            dark_ns = at_ns - since_ns
    # Going on for the first time is no relighting: a command may just have been accepted.
    first = 0 if was_on_at_start else 1
    return Seen(None if is_on else dark_ns, max(0, relit - first), late_ns)


if __name__ == "__main__":
    main()
