"""The instrument's thread: what it still accepts, and what it does for the holder when the agent is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.bridge_faults.instrument import Instrument
from experiments.bridge_faults.stepped import Stepped
from experiments.small_column import LIMITS
from hardware_bridge import on_loss, wire
from hardware_bridge.messages import Acquire, Command
from hardware_bridge.words import encode

LOOK = Command(id="look", acquire=Acquire(mode="HAADF", fov_nm=256.0, pixels_x=8, pixels_y=16, dwell_s=1e-6))


class Bridge(Stepped):
    """A bridge whose clock is moved by hand, and a client that says one thing at a time."""

    def __init__(self, folder: Path, instrument: Instrument) -> None:
        self.now_s = 0.0
        self.sequence = 0
        super().__init__(folder, instrument, lambda: self.now_s, LIMITS)

    def say(self, channel: str, message: type[wire.Message], **fields: object) -> None:
        self.sequence += 1
        self.send(channel, [b"me", encode(message(session="me", sequence=self.sequence, token=1, **fields))])

    def heard(self) -> list[wire.Reply]:
        return [wire.read(wire.REPLIES, frames[1]) for frames in self.replies("control")]


@pytest.fixture
def instrument() -> Instrument:
    return Instrument()


@pytest.fixture
def bridge(tmp_path: Path, instrument: Instrument) -> Iterator[Bridge]:
    made = Bridge(tmp_path, instrument)
    made.say("control", wire.TakeLease, holder="me")
    made.turn()
    assert isinstance(made.heard()[0], wire.Leased)
    yield made
    made.close()


@pytest.mark.parametrize("waited_s", [0.39, 0.41])
def test_a_command_that_waited_while_nothing_was_heard_of_its_sender_does_not_run(
    bridge: Bridge, instrument: Instrument, waited_s: float
) -> None:
    bridge.now_s = 5.0  # a silence before it does not count: the request itself is a sign of life
    bridge.say("control", wire.Submit, command=LOOK)
    bridge.listen()
    bridge.now_s += waited_s
    bridge.turn()
    (reply,) = bridge.heard()
    if waited_s < 0.4:
        assert isinstance(reply, wire.Accepted)
    else:
        assert isinstance(reply, wire.Refused)
        assert (reply.code, reply.limit) == ("heartbeat", "a beat within 0.4 s")
    assert len(instrument.seen) == (waited_s < 0.4)


def test_beats_keep_a_command_that_waits(bridge: Bridge, instrument: Instrument) -> None:
    bridge.say("control", wire.Submit, command=LOOK)
    bridge.listen()
    bridge.now_s += 0.5
    bridge.say("safety", wire.Beat)
    bridge.turn()
    assert len(instrument.seen) == 1


def test_the_holder_goes_to_its_safe_state_when_the_agent_is_lost_after_a_stop(
    bridge: Bridge, instrument: Instrument
) -> None:
    bridge.say("safety", wire.Stop)
    bridge.turn()
    bridge.now_s += 4000.0
    bridge.turn()
    assert bridge.lease.session is None
    assert [command.set.holder.flow_nl_per_s for command in instrument.seen] == [0.0]
    assert instrument.state().holder.flow_nl_per_s == 0.0


def test_a_driver_that_fails_once_does_not_keep_the_holder_from_its_safe_state(
    bridge: Bridge, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_loss, "RAMP_STEP_S", 0.0)
    monkeypatch.setitem(bridge.guard.limits.on_loss, "flow_nl_per_s", "ramp")
    submit = instrument.submit

    def fails_once(command: Command) -> None:
        monkeypatch.setattr(instrument, "submit", submit)
        raise OSError("broken pipe")

    monkeypatch.setattr(instrument, "submit", fails_once)
    bridge.now_s += 11.0
    for _ in range(12):
        bridge.turn()
    assert len(instrument.seen) == 10  # the ramp was begun anew
    assert len({command.id for command in instrument.seen}) == 10
    assert instrument.state().holder.flow_nl_per_s == 0.0
