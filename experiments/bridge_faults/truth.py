"""What truly happened, as the driver wrote it down, and whether a bridge says the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from hardware_bridge import wire
from hardware_bridge.client import Client
from hardware_bridge.errors import Rejected
from hardware_bridge.guard import SAFE_STATE
from hardware_bridge.messages import Command, End


@dataclass
class Truth:
    """The driver's own account: which commands reached it, with how many chunks they ended, what it exposed."""

    asked: list[str] = field(default_factory=list)
    chunks: dict[str, int] = field(default_factory=dict)
    electrons: float = 0.0

    @classmethod
    def read(cls, log: Path) -> Truth:
        """Read the driver's log."""
        truth = cls()
        for line in log.read_text(encoding="ascii").splitlines():
            event = json.loads(line)
            if event["what"] == "submit":
                truth.asked.append(event["id"])
            elif event["what"] == "expose":
                truth.electrons += event["electrons"]
            else:
                truth.chunks[event["id"]] = event["chunks"]
        return truth


class Memory:
    """What a bridge, through all its crashes, has said of each command; it may not change its mind."""

    def __init__(self) -> None:
        self._said: dict[str, End | str] = {}

    def judge(self, client: Client, log: Path, names: set[str]) -> list[str]:
        """Ask the fate of all commands ever heard of, and of ``names``; returns what is wrong with the answers.

        The holder's retreat may be under way meanwhile, so the driver's log is read before and after.
        """
        truth = Truth.read(log)
        wrong = [
            f"{name} ran {truth.asked.count(name)} times" for name in {*truth.asked} if truth.asked.count(name) > 1
        ]
        fates = {name: client.fate(name) for name in {*truth.asked, *self._said, *names}}
        chunks = Truth.read(log).chunks
        for name, fate in fates.items():
            if isinstance(fate, wire.Running) and name.startswith(SAFE_STATE):
                continue
            said = fate.end if isinstance(fate, wire.Done) else type(fate).__name__
            if self._said.setdefault(name, said) != said:
                wrong.append(f"{name} was {self._said[name]} and is {said}")
            if said == "Running":
                wrong.append(f"{name} still runs")
            elif said == "NotStarted" and name in truth.asked:
                wrong.append(f"{name} is not started, and the instrument was asked")
            elif isinstance(said, End) and chunks.get(name) != said.chunks:
                wrong.append(f"{name} is done with {said.chunks} chunks, it gave {chunks.get(name)}")
        charged = client.state().electrons_charged
        if not charged >= truth.electrons * (1 - 1e-9):
            wrong.append(f"{truth.electrons:g} electrons exposed, {charged:g} charged")
        return wrong


def repeated(client: Client, command: Command) -> list[str]:
    """Send a command again: where it is done its End comes again, where it is unknown it is refused."""
    fate = client.fate(command.id)
    if isinstance(fate, wire.NotStarted):
        return []  # it would run, as it should
    try:
        client.submit(command)
        *_, end = client.watch(5.0)
    except Rejected as error:
        return [] if error.code == "unknown" and isinstance(fate, wire.Unknown) else [f"its repeat: {error}"]
    return [] if isinstance(fate, wire.Done) and end == fate.end else [f"its repeat gave {end}"]
