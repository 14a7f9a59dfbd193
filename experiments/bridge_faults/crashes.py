"""Crash points, enumerated: a script of commands is played again and again, and crashes before each of its effects.

After every crash a new bridge reads the journal. What it says of each command is held against what the instrument did
and what clients had been told; then everything is sent once more.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from experiments.bridge_faults.stepped import Stepped
from experiments.bridge_faults.tracing import FAILING, REFUSED, Crash, TracedInstrument, Tracer
from experiments.small_column import LIMITS
from hardware_bridge import wire
from hardware_bridge.blanker import Blanker
from hardware_bridge.frames import unpack
from hardware_bridge.journal import JournalDamaged, Past, read
from hardware_bridge.messages import Acquire, Command, End, Go, Holder, Optics, Settings
from hardware_bridge.server import BEAM, JOURNAL
from hardware_bridge.words import encode

LOOK = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=8, pixels_y=24, dwell_s=1e-6)
COMMANDS = {
    command.id: command
    for command in (
        Command(id="first", acquire=LOOK, go=Go(stage_x_nm=50.0), set=Settings(optics=Optics(beam_current_pA=20.0))),
        Command(id="blanked", acquire=LOOK),
        Command(id=REFUSED, acquire=LOOK),
        Command(id=FAILING, acquire=LOOK),
        Command(id="move", go=Go(stage_y_nm=-50.0), set=Settings(holder=Holder(flow_nl_per_s=7.0))),
        Command(id="second-life", acquire=LOOK),
        Command(id="stopped", acquire=LOOK),
        Command(id="after", acquire=LOOK),
    )
}
TORN = b"0123456789abcdef {"


@dataclass
class Found:
    """What was tried: effects of the script in order, crashes and torn ends, fates of what ran, and what was wrong."""

    effects: list[str] = field(default_factory=list)
    crashes: int = 0
    torn: int = 0
    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Told:
    """What clients have been told: the greatest token, the commands accepted, and those whose End they got."""

    token: int = 0
    accepted: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)


def enumerated(folder: Path, every: int = 1) -> Found:
    """Crash before every effect, and after the last; tear what was not sure to be on disk at every byte.

    ``every`` leaves out all but every so many effects, for a quick look.
    """
    logging.disable(logging.CRITICAL)  # drivers fail here as they should
    found = Found()
    whole = World(folder / "whole", Tracer())
    whole.play()
    found.effects = whole.tracer.effects
    for number in range(0, len(found.effects) + 1, every):
        world = World(folder / str(number), Tracer(number))
        world.play()
        where = f"before {number}, {found.effects[number]}" if number < len(found.effects) else "after, the last"
        if world.tracer.effects != found.effects[:number]:
            found.wrong.append(f"{where}: not the same effects as without a crash")
        found.crashes += 1
        told = world.told()
        for torn, journal in enumerate(world.torn_journals()):
            found.torn += torn > 0
            found.wrong += [f"{where}, torn {torn}: {wrong}" for wrong in world.read_back(journal, told)]
        found.fates[where.partition(", ")[2], world.fate()] += 1
        found.wrong += [f"{where}: {wrong}" for wrong in world.restart()]
    logging.disable(logging.NOTSET)
    return found


class World:
    """An instrument, the bridges that drive it one after the other, and the clients who speak with them."""

    def __init__(self, folder: Path, tracer: Tracer) -> None:
        folder.mkdir()
        self.tracer = tracer
        self._folder = folder
        self._instrument = TracedInstrument(tracer)
        self._lives: list[Stepped] = []
        self._now_s = 0.0
        self._sequence = 0
        self._current = "nothing"

    def play(self) -> None:
        """Play the script, or as much of it as there is before the crash."""
        try:
            with patch("hardware_bridge.wall.PROBE_S", math.inf), self.tracer.tracing():
                self._script()
        except Crash:
            pass
        for bridge in self._lives:
            for box in (bridge.desk._answers, bridge.wall._done, bridge.runner._jobs):
                box.close()

    def _script(self) -> None:
        self._begin()
        self._lease("anna")
        self._submit("anna", "first")
        self._submit("anna", "blanked", wire.Blank)
        self._submit("anna", REFUSED)
        self._submit("anna", FAILING)
        self._submit("anna", "first")
        self._submit("anna", "move")
        self._lives[-1].close()
        with (self._folder / JOURNAL).open("ab") as file:
            file.write(TORN)
        self._begin()
        self._lease("bert")
        self._submit("bert", "second-life")
        self._current, self._now_s = "on-loss-2-1-1", 100.0
        self._lives[-1].turn()
        self._lease("carl")
        self._submit("carl", "stopped", wire.Stop)
        self._say("control", wire.DropLease(**self._head("carl")))

    def _begin(self) -> None:
        self._lives.append(Stepped(self._folder, self._instrument, lambda: self._now_s))

    def _head(self, who: str) -> dict[str, Any]:
        self._sequence += 1
        return {"session": who, "sequence": self._sequence, "token": self._lives[-1].lease.token}

    def _say(self, channel: str, message: wire.Message) -> None:
        self._lives[-1].send(channel, [message.session.encode(), encode(message)])
        self._lives[-1].turn()

    def _lease(self, who: str) -> None:
        self._say("control", wire.TakeLease(holder=who, **self._head(who)))
        self._say("data", wire.Attach(window_bytes=1 << 20, **self._head(who)))

    def _submit(self, who: str, name: str, in_between: type[wire.Blank | wire.Stop] | None = None) -> None:
        def between(chunk: int) -> None:
            if in_between is not None and chunk == 1:
                self._lives[-1].send("safety", [who.encode(), encode(in_between(**self._head(who)))])
                self._lives[-1].listen()

        self._current, self._instrument.between = name, between
        self._say("control", wire.Submit(command=COMMANDS[name], **self._head(who)))

    def torn_journals(self) -> Iterator[bytes]:
        """The journal as it is, then cut at every byte that was not sure to be on disk, then with zeros there."""
        path = self._folder / JOURNAL
        whole = path.read_bytes() if path.exists() else b""
        synced = min(self.tracer.synced, len(whole))
        yield whole
        for cut in range(synced, len(whole)):
            yield whole[:cut]
        if synced < len(whole):
            yield whole[:synced] + bytes(len(whole) - synced)

    def read_back(self, data: bytes, told: Told) -> list[str]:
        """Read a journal, and say what it tells otherwise than it was."""
        path = self._folder / "torn.journal"
        path.write_bytes(data)
        try:
            past, _ = read(path)
        except JournalDamaged as error:
            return [str(error)]
        return self._compared(past, told)

    def fate(self) -> str:
        """What the journal tells of the command that was on its way."""
        path = self._folder / JOURNAL
        return _fate(read(path)[0] if path.exists() else Past(), self._current)

    def _compared(self, past: Past, told: Told) -> list[str]:
        wrong = []
        asked, ended = {command.id for command in self._instrument.seen}, self._instrument.ended
        for name in {*COMMANDS, *asked, *past.settled}:
            fate = _fate(past, name)
            end = past.settled[name].end if fate == "Done" else None
            if fate == "NotStarted" and name in asked | told.accepted:
                wrong.append(f"{name} is not started")
            if fate != "Done" and name in told.done:
                wrong.append(f"{name} is {fate}, and its End had been told")
            if end is not None and (name not in ended or ended[name].chunks != end.chunks):
                wrong.append(f"{name} is done with {end.chunks} chunks")
        if past.token < told.token:
            wrong.append(f"token {past.token}, and {told.token} had been given away")
        if (charged := past.ledger(LIMITS).electrons) < self._instrument.exposed * (1 - 1e-9):
            wrong.append(f"{charged:g} electrons charged, {self._instrument.exposed:g} exposed")
        return wrong

    def told(self) -> Told:
        """What clients have been told until now."""
        told = Told()
        for bridge in self._lives:
            for frames in bridge.lines["control"].outbox:
                reply = wire.read(wire.REPLIES, frames[1])
                if isinstance(reply, wire.Leased):
                    told.token = max(told.token, reply.token)
                elif isinstance(reply, wire.Accepted):
                    told.accepted.add(reply.command_id)
            for frames in bridge.lines["data"].outbox:
                part = unpack(frames[1:])[1]
                if isinstance(part, End):
                    told.done.add(part.command_id)
        return told

    def restart(self) -> list[str]:
        """Go on as after a crash: the supervisor pulls its line, a new bridge begins, everything is sent once more."""
        instrument, self.tracer = self._instrument, Tracer()
        instrument.tracer = self.tracer
        instrument.die()
        beam = Blanker(self._folder / BEAM)
        beam.pull()
        wrong, before = [], list(instrument.seen)
        self._begin()
        bridge = self._lives[-1]
        wrong += self._compared(bridge.journal.past, self.told())
        fates = {name: bridge.guard.fate(name) for name in COMMANDS}
        self._lease("dora")
        for name in COMMANDS:
            if not beam.is_blanked:
                wrong.append(f"the beam is on before {name}")
            self._submit("dora", name)
        beam.close()
        bridge.close()
        ran = [command.id for command in instrument.seen]
        wrong += [f"{name} ran {ran.count(name)} times" for name in {*ran} if ran.count(name) > 1]
        again = {command.id for command in instrument.seen[len(before) :]}
        due = {name for name, fate in fates.items() if fate == "not started"} - {REFUSED}
        if again != due:
            wrong.append(f"sent once more, {sorted(again)} ran and not {sorted(due)}")
        return wrong + self.read_back((self._folder / JOURNAL).read_bytes(), self.told())


def _fate(past: Past, name: str) -> str:
    if name not in past.settled:
        return "NotStarted"
    return "Unknown" if past.settled[name].end is None else "Done"
