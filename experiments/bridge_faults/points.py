"""The named points of a command's life at which agent and bridge are killed, frozen or hung."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

How = Literal["SIGKILL", "SIGSTOP", "deadlock"]

LEASED = "lease taken, nothing submitted"
SUBMITTED = "submitted, nothing read"
MOVING = "in mid move"
SCANNING = "in mid scan"
ENDED = "End read"
THINKING = "thinking, blanked"
AGENT = (LEASED, SUBMITTED, MOVING, SCANNING, ENDED, THINKING)

TOKEN = "token given, not on disk"
BEFORE_INTENT = "command checked, no INTENT"
INTENT = "INTENT on disk, instrument not asked"
ASKED = "instrument asked, no reply"
CHUNKS = "between two chunks"
NO_RESULT = "End given, no RESULT"
RESULT = "RESULT on disk, End not sent"
SAFETY = "in the safety thread, in mid scan"
MOVES = "in mid move, beam off"
BRIDGE = (TOKEN, BEFORE_INTENT, INTENT, ASKED, MOVES, CHUNKS, NO_RESULT, RESULT, SAFETY)


@dataclass(frozen=True)
class Fault:
    """Who is hit, where, and how."""

    victim: Literal["agent", "bridge"]
    point: str
    how: How


# A loop that hangs while it thinks, blanked, does what a loop that thinks does.
FAULTS = (
    *(Fault("agent", point, how) for point in AGENT for how in ("SIGKILL", "SIGSTOP")),
    *(Fault("agent", point, "deadlock") for point in AGENT if point != THINKING),
    *(Fault("bridge", point, how) for point in BRIDGE for how in ("SIGKILL", "SIGSTOP")),
)
