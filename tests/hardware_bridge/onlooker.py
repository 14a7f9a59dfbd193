"""Somebody who looks on through a window too small for all there is: what they miss must be told them (I7)."""

from msgspec.structs import replace

from hardware_bridge import wire

NAME = "c"
WINDOW_BYTES = 600


class Onlooker:
    """Keeps the account of one subscriber that gets parts only where there is room; begins where nothing was sent."""

    def __init__(self) -> None:
        self.is_attached = False
        self.position = self.meant = self.dropped = 0
        self._taken: list[wire.PartMessage] = []

    def take(self, message: wire.PartMessage) -> None:
        """A part came."""
        self._taken.append(message)

    def compare(self, streams: dict[str, list[wire.PartMessage]]) -> None:
        """What came of one command, beside what somebody got who gets everything."""
        if not self.is_attached:
            self._taken = []  # of a subscription that is not followed any more
            return
        everything = [_bare(part) for part in next(iter(streams.values()), [])]
        for message in self._taken if everything else ():
            # Its position says which part it is: the End of a command that was sent twice comes twice.
            index = message.position - self.meant
            there = everything[index] if 0 <= index < len(everything) else None
            assert there == _bare(message), "I7: parts were given up and not counted"
            assert message.dropped_total - self.dropped == message.position - self.position, "I7"
            self.position, self.dropped = message.position + 1, message.dropped_total
        if not everything and self._taken:
            self.__init__()  # type: ignore[misc]  # nobody saw what there was: begin anew
        self._taken = []
        self.meant += len(everything)


def _bare(part: wire.PartMessage) -> wire.PartMessage:
    return replace(part, session="x", sequence=0, position=0, dropped_total=0)
