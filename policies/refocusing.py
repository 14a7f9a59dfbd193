"""When baselines refocus: two images, one on either side of focus, at the start of every cycle of turns."""

from __future__ import annotations

from hardware_bridge.messages import Capabilities, Mode


def answers_to_focus(capabilities: Capabilities, mode: Mode) -> bool:
    """Whether focus changes anything in images of a mode; where not, moving it is a waste."""
    return "C10_nm" not in capabilities.unresponsive.get(mode, ())


def pair_offset_nm(turn: int, every: int, offset_nm: float) -> float:
    """The purposeful defocus (added to C10) of a turn: +offset, -offset, then zero for the rest of ``every`` turns.

    With ``every`` below 3 there is no room for a pair and an image, and none is taken.
    """
    if every < 3 or turn % every > 1:
        return 0.0
    return offset_nm if turn % every == 0 else -offset_nm


def images_before(turn: int, every: int) -> int:
    """How many turns before this one were not spent on pairs."""
    if every < 3:
        return turn
    return turn // every * (every - 2) + max(turn % every - 2, 0)
