"""What needs asking and what does not: the mode, what people have granted, and who has paused or taken over.

every      each command is asked
outside    commands outside the envelope are asked; all of them where there is no envelope
supervise  nothing is asked, and what lies outside the envelope does not run; people steer
none       the same, and nobody steers
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from agent.console.words import Grant, Mode
from hardware_bridge.messages import Command, Range


def kind_of(command: Command) -> str:
    """The kind of action that a grant may cover: the mode of what is acquired, or ``move``."""
    return command.acquire.mode if command.acquire is not None else "move"


@dataclass
class Standing:
    """What holds until somebody changes it; names are empty where nobody did."""

    mode: Mode
    paused_by: str = ""
    taken_by: str = ""
    stopped_by: str = ""
    stop_failure: str = ""
    grants: tuple[Grant, ...] = ()
    envelope: dict[str, Range] = field(default_factory=dict)
    steering: tuple[str, ...] = ()
    steered_by: str = ""

    @property
    def waits_without_end(self) -> bool:
        """Whether silence is no answer now."""
        return bool(self.paused_by or self.taken_by)

    @property
    def unasked(self) -> bool:
        """Whether the envelope alone decides."""
        return self.mode in ("supervise", "none") and not self.taken_by

    def why_ask(self, outside: str, has_envelope: bool) -> str:
        """Say why a command must be asked, apart from what is granted; empty where it need not be."""
        if self.unasked:
            return ""
        if self.taken_by:
            return f"{self.taken_by} has taken over"
        if self.mode == "every":
            return "every decision is asked"
        return outside if has_envelope else "there is no envelope"

    def cover(self, command: Command, now_s: float) -> Grant | None:
        """Use up one grant that covers a command; None where none does, or somebody has taken over."""
        self.grants = tuple(grant for grant in self.grants if _lives(grant, now_s))
        if self.taken_by:
            return None
        for grant in self.grants:
            if grant.kind in (None, kind_of(command)):
                rest = replace(grant, left=grant.left - 1) if grant.left is not None else grant
                self.grants = tuple(rest if each is grant else each for each in self.grants)
                return rest
        return None


def _lives(grant: Grant, now_s: float) -> bool:
    return (grant.left is None or grant.left > 0) and (grant.until_s is None or now_s < grant.until_s)
