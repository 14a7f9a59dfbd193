"""The real bridge, stepped by hand with its faults, and beside it the model of what it must do."""

import math
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from faulty import Crash, Faulty
from msgspec.structs import replace
from onlooker import NAME, Onlooker
from reference import LIMITS, Book, Entry, Lease, charge, refusal
from wild_commands import FAULTS, POINTS

from experiments.bridge_faults.stepped import Stepped
from hardware_bridge import desk, runner, wall, wire
from hardware_bridge.frames import unpack
from hardware_bridge.messages import Command
from hardware_bridge.words import encode

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


class Driven:
    """Two clients, one instrument, one bridge after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._patches = pytest.MonkeyPatch()
        for module in (desk, wall, runner):
            self._patches.setattr(module, "time", self)
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.now_s = 1000.0
        self.instrument = Faulty(self)
        self.lease, self.book = Lease(), Book()
        self.tokens = {"a": 0, "b": 0}
        self.last: dict[str, list[bytes]] = {}
        self.attached: dict[str, int] = {}
        self.onlooker = Onlooker()
        self.sequence = self.commands = 0
        self.is_stopped = self.is_disk_full = self.is_unattended = False
        self.crash_at = ""
        self.mid: dict[int, list[str]] = {}
        self.running: tuple[str, Entry] | None = None
        self.is_cut, self.has_broken, self.exposed = False, False, 0
        self.wrong = ""
        self._begin()

    def monotonic(self) -> float:
        return self.now_s

    def monotonic_ns(self) -> int:
        return int(1e9 * self.now_s)

    def teardown(self) -> None:
        self._close()
        self._patches.undo()
        shutil.rmtree(self.folder)

    # ---- the bridge and what happens to it

    def _begin(self) -> None:
        self.bridge = Stepped(self.folder, self.instrument, self.monotonic, LIMITS)
        write = self.bridge.journal._write

        def writes(entry: object) -> None:
            self.point(f"before {type(entry).__name__}")
            if self.is_disk_full:
                raise OSError("disk full")
            write(entry)
            self.point(f"after {type(entry).__name__}")

        self.bridge.journal._write = writes  # type: ignore[method-assign]
        self.bridge.replies("control"), self.bridge.replies("safety"), self.bridge.replies("data")

    def _close(self) -> None:
        run = self.bridge.guard._running
        if run is not None and run.parts is not None:
            run.parts.close()  # type: ignore[attr-defined]
        self.bridge.close()

    def point(self, name: str) -> None:
        if name == self.crash_at:
            self.crash_at = ""
            raise Crash(name)

    def _turn(self) -> bool:
        """Let the bridge work; False where it died of it and was started anew."""
        self._expire()
        has_crashed = False
        try:
            self.bridge.turn()
        except Crash:
            has_crashed = True
        assert not self.wrong, self.wrong
        if has_crashed:  # outside of the handler, so that nothing of the dead process is held by its traceback
            self._restart()
        return not has_crashed

    def _restart(self) -> None:
        """The supervisor blanks, somebody starts the bridge again; what is on disk is all that it knows."""
        self.bridge.blanker.pull()
        self.instrument.die()
        self._close()
        whole = self.bridge.journal_path.read_bytes()
        self.bridge.journal_path.write_bytes(whole + b"0123456789abcdef {torn")
        self.lease = Lease(given=self.lease.given)
        self.is_stopped = self.is_unattended = self.is_disk_full = False
        self.crash_at, self.mid, self.attached, self.last, self.onlooker = "", {}, {}, {}, Onlooker()
        written = [msgspec.json.decode(line[17:]) for line in whole.splitlines()]
        begun = {e["command"]["id"] for e in written if e["type"] == "Intent"}
        begun -= {e["command_id"] for e in written if e["type"] == "Withdrawn"}
        for name in set(self.book.entries) - begun:
            assert name not in self._ids_reached(), "I5: the backend saw what the journal does not know"
            del self.book.entries[name]
        ended = {e["end"]["command_id"] for e in written if e["type"] == "Result"}
        if self.running is not None and self.running[1].chunks:
            self.running[1].share = self.exposed / self.running[1].chunks
        elif self.running is not None:
            self.running[1].share = 0.0
        for name, entry in self.book.entries.items():
            entry.is_result_written = name in ended
            entry.is_done |= entry.is_result_written
        self.book.forget_memory()
        self.running = None
        self._begin()
        self.lease.token = self.bridge.lease.token
        assert self.lease.token >= self.lease.given, "I3: a token that was given is forgotten"

    def _expire(self) -> None:
        if self.lease.expire(self.now_s):
            self.is_unattended = True

    def _ids_reached(self) -> list[str]:
        return [command.id for _, command in self.instrument.reached]

    # ---- what clients say

    def _say(self, channel: str, who: str, kind: type[wire.Message], **fields: object) -> wire.Reply | None:
        """Send one message, let the bridge work, and return the answer; None where it died."""
        self._send(channel, who, kind, **fields)
        sequence = self.sequence
        if not self._turn():
            return None
        return self._answers(channel, who, sequence)

    def _send(self, channel: str, who: str, kind: type[wire.Message], **fields: object) -> None:
        self.sequence += 1
        frames = [who.encode(), encode(kind(session=who, sequence=self.sequence, **fields))]
        if channel == "control":
            self.last[who] = frames
        self.bridge.send(channel, frames)

    def _answers(self, channel: str, who: str, sequence: int) -> wire.Reply:
        answers = [
            reply
            for identity, data, *_ in self.bridge.replies(channel)
            if identity == who.encode()
            if (reply := wire.read(wire.REPLIES, data)).sequence in (sequence, 0)
            if not (isinstance(reply, wire.Alive) and reply.sequence == 0)  # the wall asks whether the holder is there
        ]
        assert len(answers) == 1, answers
        return answers[0]

    def take_lease(self, who: str) -> None:
        was, before = self.lease.holder, self.lease.token
        self._expire()
        reply = self._say("control", who, wire.TakeLease, holder=who)
        if reply is None:
            return
        may = self.lease.take(who, self.now_s)
        is_new = self.lease.token != before
        if may and is_new and self.is_disk_full:
            assert isinstance(reply, wire.Refused)
            self.lease.holder = None
            return
        assert isinstance(reply, wire.Leased if may else wire.NotHolder), (was, reply)
        if not may:
            assert (reply.holder, reply.silent_s >= 0) == (self.lease.holder, True)  # type: ignore[union-attr]
            return
        assert not is_new or reply.token > self.lease.given, "I3: the token did not grow"
        self.tokens[who] = self.lease.given = reply.token
        if is_new:
            self.is_stopped = self.is_unattended = False

    def drop_lease(self, who: str) -> None:
        self._expire()
        may = self.lease.holds(who, self.tokens[who])
        reply = self._say("control", who, wire.DropLease, token=self.tokens[who])
        if reply is not None:
            assert isinstance(reply, wire.Noted if may else wire.NotHolder)
            if may:
                self.lease.holder = None

    def _safety(self, who: str, kind: type[wire.Message], token: int) -> None:
        self._send("safety", who, kind, token=max(0, token))
        may = self.lease.holds(who, max(0, token))
        if kind is wire.Beat and may:
            self.lease.beat(self.now_s)
        elif kind is wire.Present and may:
            self.lease.present_s = self.now_s
        elif kind in (wire.Blank, wire.Stop):
            self.is_stopped |= kind is wire.Stop
            self.is_cut = True
            if may:
                self.lease.wait(self.now_s)

    def _put_in_order(self, who: str) -> None:
        """Whoever this is may command, and nothing stands in the way."""
        state = self.instrument._state
        self.instrument._state = replace(state, interlocks=replace(state.interlocks, vacuum_ok=True))
        self.instrument.fault = self.crash_at = ""
        self.is_disk_full, self.bridge.supervisor.is_there = False, True
        for other in "ab":
            if self.lease.holder == other and (other != who or self.is_stopped):
                self.drop_lease(other)
        self.take_lease(who)

    def _make(self, trouble: str) -> None:
        if trouble in POINTS:
            self.crash_at = trouble
        elif trouble in FAULTS:
            self.instrument.fault = trouble
        elif trouble == "stop":
            self.safety("b", wire.Stop, False)
        elif trouble == "disk":
            self.is_disk_full = True
        elif trouble == "unwatched":
            self.bridge.supervisor.is_there = False
        elif trouble == "vacuum":
            state = self.instrument._state
            self.instrument._state = replace(state, interlocks=replace(state.interlocks, vacuum_ok=False))

    def _submit(self, who: str, command: Command, deadline_ns: int, mid: dict[int, list[str]]) -> None:
        self._expire()
        token, before = self.tokens[who], len(self.instrument.reached)
        expected = self._expected(who, command, deadline_ns)
        if expected not in ("Invalid", "NotHolder"):
            self.lease.work(self.now_s)
        entry = self._entry(command) if expected in ("runs", "breaks") else None
        if entry is not None:
            self.book.entries[command.id] = entry
        if entry is not None and expected == "runs":
            self.mid, self.running = {k: list(v) for k, v in mid.items()}, (who, entry)
            self.is_cut, self.has_broken, self.exposed = False, False, 0
        reply = self._say("control", who, wire.Submit, command=command, deadline_ns=deadline_ns, token=token)
        self.running = None
        if reply is None:
            return
        parts = self._streams()
        kinds = {"runs": "Accepted", "repeat": "Accepted", "breaks": "Failed"}
        assert type(reply).__name__ == kinds.get(expected, expected), (expected, reply)
        reached = [c for _, c in self.instrument.reached[before:] if not c.id.startswith("on-loss-")]
        assert reached == ([command] if expected == "runs" else []), "I1, I4: nothing else, once, and unchanged"
        if entry is not None and expected == "runs":
            self._ended(command.id, entry, parts)

    def _expected(self, who: str, command: Command, deadline_ns: int) -> str:
        fault, known = self.instrument.fault, self.book.entries.get(command.id)
        if command.go.stage_x_nm is not None and math.isnan(command.go.stage_x_nm):
            return "Invalid"
        if not self.lease.holds(who, self.tokens[who]):
            return "NotHolder"
        if 0 < deadline_ns < self.monotonic_ns():
            return "Expired"
        if not self.bridge.supervisor.is_there or self.is_stopped or command.id.startswith("on-loss-"):
            return "Refused"
        if known is not None:
            return "repeat" if known.is_done and known.command == command else "Refused"
        if fault == "state breaks":
            return "Failed"
        state = self.instrument._state
        if refusal(state, command) or self.book.refusal(charge(state, command)) or self.is_disk_full:
            return "Refused"
        return {"submit refuses": "Refused", "submit breaks": "breaks"}.get(fault, "runs")

    def _entry(self, command: Command) -> Entry:
        acquire = command.acquire
        chunks = acquire.max_frames * math.ceil(acquire.pixels_y / 8) if acquire else 0
        return Entry(command, charge(self.instrument._state, command), chunks)

    def _ended(self, name: str, entry: Entry, streams: dict[str, list[wire.PartMessage]]) -> None:
        """What the world knows of a command that ran: its fate, and every part of its stream (I5, I7)."""
        if not self.has_broken:
            entry.is_done, entry.is_result_written = True, not self.is_disk_full
            entry.share = self.exposed / entry.chunks if entry.chunks else 0.0
        fate = self._say("control", "b", wire.Recover, command_id=name)
        assert isinstance(fate, wire.Done if entry.is_done else wire.Unknown)
        if isinstance(fate, wire.Done):
            assert fate.end.chunks == self.exposed, "I2: a blank came too late, or nobody asked for it"
            assert fate.end.aborted == self.is_cut
        for parts in streams.values():
            kinds = [type(part).__name__ for part in parts]
            assert kinds.count("StartPart") == (entry.command.acquire is not None), "I7"
            assert kinds.count("ChunkPart") + parts[-1].dropped_total == self.exposed, "I7"
            assert ("EndPart" if entry.is_done else "FailedPart") in kinds, "I7"

    def _streams(self) -> dict[str, list[wire.PartMessage]]:
        """Every part that each subscriber was sent; none may be missing (I7)."""
        streams: dict[str, list[wire.PartMessage]] = {who: [] for who in self.attached}
        for identity, *frames in self.bridge.replies("data"):
            message = unpack(frames)[0]
            assert isinstance(message, wire.PartMessage)
            if identity == NAME.encode():
                self.onlooker.take(message)
                continue
            assert message.position == self.attached[identity.decode()], "I7"
            self.attached[identity.decode()] += 1
            streams[identity.decode()].append(message)
        self.onlooker.compare(streams)
        return streams

    def in_mid_scan(self, chunk: int) -> None:
        """Called by the instrument before each chunk is exposed."""
        try:
            self._mid_scan(chunk)
        except AssertionError as error:
            self.wrong = str(error)  # the bridge would take it for a driver that failed
            raise

    def _mid_scan(self, chunk: int) -> None:
        assert self.running is not None
        who, entry = self.running
        assert self.bridge.guard.ledger.electrons >= self.book.electrons * (1 - 1e-9), "I6: not charged before"
        for act in self.mid.pop(chunk, ()):
            self._act(act, who, entry)
            self._expire()
            self.bridge.listen()
            is_live = self.lease.holder == who and self.lease.is_live(self.now_s)
            self.is_cut |= not is_live or not self.bridge.supervisor.is_there
        assert self.instrument.is_aborted == self.is_cut, "I2"
        assert not self.is_cut or self.bridge.blanker.is_blanked, "I2"
        self.exposed += not self.is_cut

    def _act(self, act: str, who: str, entry: Entry) -> None:
        if act in ("beat", "blank", "stop"):
            kind = {"beat": wire.Beat, "blank": wire.Blank, "stop": wire.Stop}[act]
            self._safety(who if act == "beat" else "b", kind, self.tokens[who if act == "beat" else "b"])
        elif act in ("silence", "pause"):
            self.now_s += 0.5 if act == "silence" else 11.0
        elif act == "drop":
            if self.lease.holds(who, self.tokens[who]):
                self.lease.holder = None
            self._send("control", who, wire.DropLease, token=self.tokens[who])
        elif act == "unwatched":
            self.bridge.supervisor.is_there = False
        elif act == "breaks":
            self.has_broken = True
            raise OSError("broken pipe")
        elif act == "crash":
            raise Crash("mid scan")
        elif act == "state":
            self._send("control", "b", wire.GetState)
        elif act == "repeat":
            if self.lease.holds(who, self.tokens[who]):
                self.lease.work(self.now_s)
            self._send("control", who, wire.Submit, command=entry.command, token=self.tokens[who])
        else:
            self.is_disk_full = True
