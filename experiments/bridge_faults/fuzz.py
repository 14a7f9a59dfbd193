"""Messages that nobody should send, and what they do to a bridge: nothing.

Half of them are valid with one field mutated, half have bytes changed, cut out, doubled or made up. What each may do at
most is told by `judge.py`; what it did is read from the lease, the dose, the journal, the beam's line and the
instrument. A journal that has grown is read again by a new bridge now and then, as after a restart. One message in six
goes the other way, from the bridge to whoever reads the stream (`parts.py`).
"""

from __future__ import annotations

import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from experiments.bridge_faults import parts
from experiments.bridge_faults.instrument import Instrument
from experiments.bridge_faults.judge import Verdict, judge
from experiments.bridge_faults.stepped import Stepped
from hardware_bridge import wire
from hardware_bridge.errors import BridgeError
from hardware_bridge.messages import Acquire, Command, Go, Holder, Optics, Settings
from hardware_bridge.words import encode

HOLDER, STRANGER = "holder-0123456789", "stranger-9876543210"
SESSION_MESSAGES = 50_000
SMALL = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=8, pixels_y=16, dwell_s=1e-6)
VALUES: tuple[object, ...] = (
    math.nan, math.inf, -math.inf, 1e308, -1e308, 1e19, -1e16, 1e-300, -0.0, 0, -1, 1, 2**31, 2**53 + 1, 2**62,
    2**62 + 1, 2**63, 2**64 - 1, -(2**63), 0.5, True, False, None, "", "a", "a\n", "a b", "\0", "é", "x" * 64, "x" * 65,
    "x" * 2000, "x" * 2001, "1", "NaN", "HRTEM", "Stop", b"", b"a", [], [1.0], {}, {"a": 1}, [[[[[]]]]],
)  # fmt: skip
# Slips of units, and of signs.
SCALES = (-1.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 10.0, 1e3, 1e6, 1e9, 1e12)


@dataclass
class Found:
    """What was sent, what came back, and what should not have happened."""

    messages: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    replies: Counter[str] = field(default_factory=Counter)
    ran: int = 0
    read: int = 0
    restarts: int = 0
    wrong: list[str] = field(default_factory=list)


class Fuzz:
    """One bridge after the other in one thread; ``found`` is what happened."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.found = Found()
        self._folder, self._dice = folder, random.Random(seed)
        self._sequence = 0
        self._before_run = 0.0
        self._instrument = Instrument()
        self._instrument.between = self._in_mid_scan
        self._begin()

    def run(self, messages: int, tell: Callable[[int], None] = lambda done: None) -> None:
        """Send so many messages; ``tell`` hears from time to time how many are done."""
        for number in range(messages):
            if number % SESSION_MESSAGES == SESSION_MESSAGES - 1:
                self._restart()
            if number % 20_000 == 0:
                tell(number)
            self._arm()
            who = HOLDER if self._dice.random() < 0.7 else STRANGER
            # Who reads the stream is not fuzzed on its line: a window that is never read would end the reading.
            channel = self._dice.choice(("control", "control", "control", "safety", "data", "stream"))
            how = "one field" if number % 2 else "bytes"
            if channel == "stream":
                self._read(number, how)
                continue
            if channel == "data":
                who = STRANGER
            data = self._valid(channel, who)
            frames = [field_mutated(data, self._dice)] if number % 2 else bytes_mutated(data, self._dice)
            self.found.messages[how] += 1
            self._check(channel, who.encode(), frames, how)
        self._restart()

    def _begin(self) -> None:
        self._bridge = Stepped(self._folder, self._instrument, clock=lambda: 0.0)

    def _arm(self) -> None:
        """Have the holder hold the lease, with nothing stopped."""
        bridge = self._bridge
        if bridge.lease.session == HOLDER and not bridge.guard._is_stopped:
            return
        if bridge.lease.session is not None:
            bridge.lease.lose(bridge.lease.session)
        for _ in range(2):  # the first is taken for a repeat where a mutated request had its very sequence number
            self._say("control", HOLDER, encode(wire.TakeLease(session=HOLDER, sequence=self._next(), holder="fuzz")))
        assert bridge.lease.session == HOLDER
        assert not bridge.guard._is_stopped

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _valid(self, channel: str, who: str) -> bytes:
        dice, token = self._dice, self._bridge.lease.token
        sequence = self._next()
        head = {"session": who, "sequence": sequence, "token": token}
        if channel == "data":
            # A window that is never read would end the reading, so it is no larger than that nothing fits into it.
            reading = {
                "window_bytes": dice.choice((0, 1)),
                "ring": dice.random() < 0.5,
                "encoding": dice.choice(("raw", "zlib")),
            }
            window = wire.Attach(**reading, **head)  # type: ignore[arg-type]
            credit = wire.Credit(position=dice.choice((0, 1, 7, 2**40)), **head)  # type: ignore[arg-type]
            return encode(dice.choice((window, credit)))
        if channel == "safety":
            return encode(dice.choice((wire.Beat, wire.Present, wire.Blank, wire.Stop))(**head))  # type: ignore[arg-type]
        if dice.random() < 0.5:
            return encode(wire.Submit(command=self._command(sequence), deadline_ns=2**61, **head))  # type: ignore[arg-type]
        kinds: tuple[wire.Message, ...] = (
            wire.Hello(software="x", **head),  # type: ignore[arg-type]
            wire.TakeLease(holder="x", **head),  # type: ignore[arg-type]
            wire.DropLease(**head),  # type: ignore[arg-type]
            wire.Describe(**head),  # type: ignore[arg-type]
            wire.GetState(**head),  # type: ignore[arg-type]
            wire.Recover(command_id=f"fuzz-{dice.randrange(sequence)}", **head),  # type: ignore[arg-type]
        )
        return encode(dice.choice(kinds))

    def _command(self, number: int) -> Command:
        optics = Optics(C10_nm=100.0, beam_current_pA=1.0)
        return Command(
            id=f"fuzz-{number}",
            go=Go(stage_x_nm=10.0 * (number % 7), stage_y_nm=-20.0, tilt_alpha_deg=1.0),
            set=Settings(optics=optics, holder=Holder(flow_nl_per_s=5.0)),
            acquire=SMALL,
        )

    def _read(self, number: int, how: str) -> None:
        """Have a reader read one part of the stream that was changed on its way."""
        sent, dice = parts.whole(self._dice, number), self._dice
        frames = list(sent.frames)
        if how == "one field":
            frames[0] = field_mutated(frames[0], dice)
        else:
            at = dice.randrange(len(frames))
            frames[at : at + 1] = bytes_mutated(frames[at], dice)
        self.found.messages[how] += 1
        self.found.read += 1
        said = parts.wrong(frames, sent.values)
        if said:
            self._wrong(said, "harmless", "stream", frames)

    def _check(self, channel: str, identity: bytes, frames: list[bytes], how: str) -> None:
        bridge, found = self._bridge, self.found
        held = (bridge.lease.session, bridge.lease.token)
        verdict = judge(channel, identity, frames, held, time.monotonic_ns())
        before, self._before_run = self._snapshot(), bridge.guard.ledger.electrons
        begun = len(self._instrument.seen)
        try:
            said = self._say(channel, identity.decode(), *frames)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            self._wrong(f"{type(error).__name__}: {error}", verdict, channel, frames)
            return
        after = self._snapshot()
        found.outcomes[verdict] += 1
        found.replies.update(type(reply).__name__ for reply in said)
        ran = len(self._instrument.seen) - begun
        found.ran += ran
        if verdict != "may act" and after != before:
            self._wrong(f"it had an effect: {before} -> {after}", verdict, channel, frames)
        if ran > 1 or not bridge.blanker.is_blanked:
            self._wrong(f"{ran} commands ran, beam blanked: {bridge.blanker.is_blanked}", verdict, channel, frames)
        is_invalid = any(isinstance(reply, wire.Invalid) for reply in said)
        if is_invalid != (verdict == "malformed") and (how == "one field" or not is_invalid):
            self._wrong(f"answered {said}", verdict, channel, frames)
        if verdict == "unsafe" and not any(isinstance(reply, wire.Refused) for reply in said):
            self._wrong(f"answered {said}", verdict, channel, frames)

    def _in_mid_scan(self, chunk: int) -> None:
        current_pA = self._instrument.state().optics.beam_current_pA or 0.0
        if current_pA > 1e-6 and not self._bridge.guard.ledger.electrons > self._before_run:
            self._wrong("the beam was on before its dose was charged", "may act", "control", [])
        if len({command.id for command in self._instrument.seen[-2:]}) != len(self._instrument.seen[-2:]):
            self._wrong("a command ran twice", "may act", "control", [])

    def _say(self, channel: str, who: str, *frames: bytes) -> list[wire.Reply]:
        self._bridge.send(channel, [who.encode(), *frames])
        self._bridge.turn()
        said = [wire.read(wire.REPLIES, r[1]) for name in ("control", "safety") for r in self._bridge.replies(name)]
        # Whoever asked for the stream gets its parts too.
        heard = [wire.read(wire.STREAM, r[1]) for r in self._bridge.replies("data")]
        said += [message for message in heard if not isinstance(message, wire.PartMessage)]
        # The wall asks the holder from time to time whether it is there: sequence 0, answered or not.
        return [reply for reply in said if not (isinstance(reply, wire.Alive) and reply.sequence == 0)]

    def _snapshot(self) -> tuple[object, ...]:
        bridge = self._bridge
        return (
            bridge.lease.session,
            bridge.lease.token,
            bridge.guard._is_stopped,
            bridge.guard.ledger.electrons,
            os.stat(bridge.journal_path).st_size,
            len(self._instrument.seen),
            bridge.blanker.changed_ns,
        )

    def _restart(self) -> None:
        """A new bridge reads the journal, and must know what the last one knew; it goes on with a new journal."""
        old, self.found.restarts = self._bridge, self.found.restarts + 1
        ids = [command.id for command in self._instrument.seen]
        if len(set(ids)) != len(ids):
            self._wrong("a command ran twice", "may act", "control", [])
        known = {name: old.guard.fate(name) for name in ids}
        electrons, token = old.guard.ledger.electrons, old.lease.token
        old.close()
        try:
            self._begin()
        except (BridgeError, OSError) as error:
            self._wrong(f"the journal could not be read again: {error}", "may act", "control", [])
        new = self._bridge
        if known != {name: new.guard.fate(name) for name in ids} or token != new.lease.token:
            self._wrong("the journal tells something else than what happened", "may act", "control", [])
        if not math.isclose(electrons, new.guard.ledger.electrons, rel_tol=1e-9):
            self._wrong("the journal tells another dose", "may act", "control", [])
        new.close()
        self._instrument.seen.clear()
        new.journal_path.unlink()
        self._begin()

    def _wrong(self, what: str, verdict: Verdict, channel: str, frames: list[bytes]) -> None:
        if len(self.found.wrong) < 100:
            message = b"|".join(frames)[:300].hex()
            self.found.wrong.append(f"{channel}, judged {verdict!r}: {what[:400]}: {message}")


def field_mutated(data: bytes, dice: random.Random) -> bytes:
    """A message with one of its fields, at whatever depth, changed, left out, renamed or added."""
    plain = msgspec.msgpack.decode(data)
    places: list[tuple[dict[str, object], str]] = []
    maps = [plain]
    for place in maps:
        places += [(place, name) for name in place]
        maps += [value for value in place.values() if isinstance(value, dict)]
    place, name = dice.choice(places)
    how = dice.randrange(10)
    value = place[name]
    if how == 0:
        del place[name]
    elif how == 1:
        place[name + "s"] = place.pop(name)
    elif how == 2:
        place[dice.choice(("colour", "", "ID", "__class__"))] = dice.choice(VALUES)
    elif how <= 5 and isinstance(value, int | float) and not isinstance(value, bool):
        place[name] = value * dice.choice(SCALES)
    elif how <= 5 and value is None:
        place[name] = dice.choice(SCALES)
    else:
        place[name] = dice.choice(VALUES)
    return msgspec.msgpack.encode(plain)


def bytes_mutated(data: bytes, dice: random.Random) -> list[bytes]:
    """A message with bytes flipped, cut out, doubled or put in; made up altogether; or in several frames."""
    kind = dice.randrange(12)
    if kind == 0:
        return [dice.randbytes(dice.choice((0, 1, 8, 300, 4000)))]
    if kind == 1:
        return [data] * dice.choice((0, 2, 3))
    if kind == 2:
        return [data[: dice.randrange(len(data))]]
    if kind == 3:
        return [bytes([dice.choice((0x91, 0x81, 0xC1, 0xDC))]) * dice.choice((3, 100, 5000))]
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed) + 1)
        step = dice.randrange(4)
        if step == 0 and at < len(changed):
            changed[at] = dice.randrange(256)
        elif step == 1:
            del changed[at : at + dice.randint(1, 8)]
        elif step == 2:
            changed[at:at] = changed[at : at + dice.randint(1, 30)]
        else:
            changed[at:at] = dice.randbytes(dice.randint(1, 8))
    return [bytes(changed)]
