"""The whole protocol in any order, with crashes, faults and time, against a model; I1 to I11 after every rule.

`reference.py` is the model, `driven.py` the real bridge without its threads and sockets. What it cannot see has tests
of its own: that the shutter closes by itself where the guard closes it anyway (test_shutter.py), slew limits and dark
references, of which this instrument has neither (test_slew.py, test_guard.py).
"""

import math

import numpy as np
import pytest
from driven import Driven
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace
from onlooker import NAME, WINDOW_BYTES
from reference import refusal
from wild_commands import ACTS, COMMANDS, FAULTS, POINTS

from hardware_bridge import wire
from hardware_bridge.messages import Acquire, Command, Go, Holder, Optics, Settings

WHO = st.sampled_from(["a", "a", "a", "b"])
TROUBLE = st.one_of(
    st.just(""), st.just(""), st.sampled_from((*POINTS, *FAULTS, "stop", "disk", "unwatched", "vacuum"))
)
LATE = st.sampled_from([0] * 8 + [1, -1])
LIKELY = st.sampled_from([True, True, True, False])
MID = st.dictionaries(st.integers(0, 3), st.lists(st.sampled_from(ACTS), min_size=1, max_size=2), max_size=2)


class WholeProtocol(Driven, RuleBasedStateMachine):
    """Anything that clients, the network, the disk, the driver and time can do, in any order."""

    @initialize()
    def begin_as_usual(self) -> None:
        self.take_lease("a")
        self.attach("a")

    @rule(who=WHO)
    def takes_the_lease(self, who: str) -> None:
        self.take_lease(who)

    @rule(who=WHO)
    def drops_the_lease(self, who: str) -> None:
        self.drop_lease(who)

    @rule(who=WHO, kind=st.sampled_from([wire.Beat, wire.Present, wire.Blank, wire.Stop]), is_stale=st.booleans())
    def safety(self, who: str, kind: type[wire.Message], is_stale: bool) -> None:
        self._safety(who, kind, self.tokens[who] - is_stale)
        sequence = self.sequence
        may = self.lease.holds(who, self.tokens[who] - is_stale)
        if self._turn() and kind is not wire.Present:
            reply = self._answers("safety", who, sequence)
            assert isinstance(reply, wire.Alive if may or kind is not wire.Beat else wire.NotHolder)
            assert not isinstance(reply, wire.Alive) or reply.blanked

    @rule(who=WHO)
    def attach(self, who: str) -> None:
        if isinstance(self._say("data", who, wire.Attach, window_bytes=1 << 20), wire.Attached):
            self.attached[who] = 0

    @rule(who=WHO)
    def credit(self, who: str) -> None:
        self._send("data", who, wire.Credit, position=self.attached.get(who, 7))
        self._turn()

    @rule()
    def somebody_looks_on(self) -> None:
        """With room for a part or two; what they have read makes room for more (I7)."""
        if self.onlooker.is_attached:
            self._send("data", NAME, wire.Credit, position=self.onlooker.position)
            self._turn()
        elif isinstance(self._say("data", NAME, wire.Attach, window_bytes=WINDOW_BYTES), wire.Attached):
            self.onlooker.is_attached = True

    @rule(who=WHO)
    def ask(self, who: str) -> None:
        assert isinstance(self._say("control", who, wire.Hello, software="x"), wire.Welcome)
        assert isinstance(self._say("control", who, wire.Describe), wire.Described)
        is_broken = self.instrument.fault == "state breaks"
        assert isinstance(self._say("control", who, wire.GetState), wire.Failed if is_broken else wire.StateIs)
        assert isinstance(self._say("control", who, wire.Recover, command_id="never"), wire.NotStarted)

    @rule(who=WHO, channel=st.sampled_from(["control", "safety", "data"]))
    def nonsense(self, who: str, channel: str) -> None:
        """No bytes do anything (I8)."""
        before = len(self.instrument.reached)
        self.bridge.send(channel, [who.encode(), b"\xc1\x00nonsense"])
        assert self._turn()
        assert isinstance(self._answers(channel, who, 0), wire.Invalid)
        assert len(self.instrument.reached) == before or self.is_unattended

    @rule(who=WHO)
    def say_it_again(self, who: str) -> None:
        """The network delivers a request twice: it is answered again and not carried out again (I4)."""
        if who in self.last:
            before = len(self.instrument.reached)
            self.bridge.send("control", self.last[who])
            assert self._turn()
            self.bridge.replies("control")
            assert len(self.instrument.reached) == before or self.is_unattended

    @rule(command=COMMANDS, mid=MID)
    def submit_in_order(self, command: Command, mid: dict[int, list[str]]) -> None:
        self._submit_new("a", command, True, "", 0, mid)

    @rule(command=COMMANDS, trouble=TROUBLE)
    def submit_in_trouble(self, command: Command, trouble: str) -> None:
        self._submit_new("a", command, True, trouble, 0, {})

    @rule(who=WHO, command=COMMANDS, is_in_order=LIKELY, trouble=TROUBLE, late=LATE, mid=MID)
    def submit(self, who: str, command: Command, is_in_order: bool, trouble: str, late: int, mid: dict) -> None:
        self._submit_new(who, command, is_in_order, trouble, late, mid)

    def _submit_new(
        self, who: str, command: Command, is_in_order: bool, trouble: str, late: int, mid: dict[int, list[str]]
    ) -> None:
        if is_in_order:
            self._put_in_order(who)
        self._make(trouble)
        if command.id == "new":
            self.commands += 1
            command = replace(command, id=f"command-{self.commands}")
        self._submit(who, command, self.monotonic_ns() - 10**9 * late if late else 0, mid)

    @rule(places=st.lists(st.sampled_from([-120.0, 8.0, 136.0]), min_size=3, max_size=5))
    def a_place_is_looked_at_again_and_again(self, places: list[float]) -> None:
        """Fields that overlap, until a cell that they share may be given no more (I6)."""
        view = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=8, pixels_y=8, dwell_s=1e-6, max_frames=2)
        for x_nm in places:
            go, optics = Go(stage_x_nm=x_nm, stage_y_nm=-600.0), Optics(beam_current_pA=70.0)
            command = Command(id="new", go=go, set=Settings(optics=optics), acquire=view)
            self._submit_new("a", command, True, "", 0, {})

    @rule(tilts_deg=st.lists(st.sampled_from([0.0, 20.0, -30.0]), min_size=2, max_size=2),
          z_nm=st.sampled_from([1999.0, 2500.0]))  # fmt: skip
    def tilted_while_the_height_changes(self, tilts_deg: list[float], z_nm: float) -> None:
        """Whichever of the two moves first, the steeper tilt must allow the height (I1)."""
        before, after = tilts_deg
        for go in (Go(stage_z_nm=1100.0, tilt_alpha_deg=before), Go(stage_z_nm=z_nm, tilt_alpha_deg=after)):
            self._submit_new("a", Command(id="new", go=go), True, "", 0, {})

    @rule(has_waited=st.booleans(), has_worked=st.booleans())
    def a_loop_hangs_whose_process_goes_on_to_say_that_it_is_there(self, has_waited: bool, has_worked: bool) -> None:
        """That keeps the lease of somebody who waits, and of nobody else (I2, I3)."""
        self._put_in_order("a")
        if has_waited:
            self.safety("a", wire.Blank, False)
        if has_worked:
            self._submit_new("a", Command(id="new", go=Go(stage_x_nm=7.0)), False, "", 0, {})
        for _ in range(2):
            self.pass_time(6.0)
            self.safety("a", wire.Present, False)

    @rule(who=WHO, data=st.data(), is_same=st.booleans(), is_in_order=LIKELY)
    def submit_again(self, who: str, data: st.DataObject, is_same: bool, is_in_order: bool) -> None:
        """The same id again, by anybody, with the same or with other arguments (I4)."""
        if self.book.entries:
            if is_in_order:
                self._put_in_order(who)
            command = self.book.entries[data.draw(st.sampled_from(sorted(self.book.entries)))].command
            self._submit(who, command if is_same else replace(command, go=Go(stage_x_nm=33.0)), 0, {})

    @rule(seconds=st.sampled_from([0.1, 0.3, 0.5, 2.0, 9.0, 11.0, 3700.0]))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        for _ in range(3):  # the first attempt to bring the holder to its safe state may meet a fault
            if not self._turn():
                return
            self.now_s += 1.1 if self.is_unattended else 0.0
        assert not self.is_unattended or self.instrument._state.holder.flow_nl_per_s == 0.0, "I9"

    @rule(trouble=TROUBLE, is_stopped=st.booleans())
    def the_agent_is_lost(self, trouble: str, is_stopped: bool) -> None:
        self._put_in_order("a")
        holder = replace(self.instrument._state.holder, flow_nl_per_s=5.0)
        self.instrument._state = replace(self.instrument._state, holder=holder)
        if is_stopped:
            self.safety("b", wire.Stop, False)
        self._make(trouble)
        self.pass_time(11.0)

    @rule(who=WHO)
    def connection_breaks(self, who: str) -> None:
        line = self.bridge.lines["safety"]
        line.gone.add(who.encode())
        for _ in range(6):
            self.now_s += 0.45
            if not self._turn():
                return
        line.gone.clear()
        if self.lease.holder == who:
            self.lease.holder, self.is_unattended = None, True

    @rule(trouble=TROUBLE)
    def trouble(self, trouble: str) -> None:
        self._make(trouble)

    @rule()
    def bridge_crashes(self) -> None:
        self._restart()

    # ---- what always holds

    @invariant()
    def nothing_outside_the_envelope_reached_the_backend(self) -> None:
        for before, command in self.instrument.reached[-3:]:
            assert refusal(before, command) is None, "I1, I10, I11"
            if command.id.startswith("on-loss-"):
                assert command == Command(id=command.id, set=Settings(holder=Holder(flow_nl_per_s=0.0))), "I9"

    @invariant()
    def the_beam_is_blanked_when_nothing_runs(self) -> None:
        assert self.bridge.blanker.is_blanked, "I2"
        assert self.instrument._state.beam_blanked, "I2"

    @invariant()
    def one_holder_under_the_greatest_token(self) -> None:
        assert self.bridge.lease.session == self.lease.holder, "I3"
        assert self.bridge.lease.token == self.lease.token >= self.lease.given, "I3"

    @invariant()
    def every_command_ran_at_most_once_and_its_fate_is_known_as_far_as_it_can_be(self) -> None:
        ids = self._ids_reached()
        assert len(set(ids)) == len(ids), "I4"
        for name, entry in self.book.entries.items():
            fate = self.bridge.guard.fate(name)
            assert (not isinstance(fate, str)) == entry.is_done, "I5"
            assert entry.is_done or fate == "unknown", "I5"
        known = {name for name in ids if not name.startswith("on-loss-")}
        assert known <= set(self.book.entries), "I5: something ran that nobody knows of"

    @invariant()
    def the_dose_is_what_was_charged(self) -> None:
        ledger = self.bridge.guard.ledger
        assert math.isclose(ledger.electrons, self.book.electrons, rel_tol=1e-9, abs_tol=1e-3), "I6"
        np.testing.assert_allclose(ledger.fluence_e_per_A2, self.book.fluence, rtol=1e-9, atol=1e-9, err_msg="I6")


def _profile(examples: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=checks,
        report_multiple_bugs=False,
    )


TestWholeProtocol = WholeProtocol.TestCase
TestWholeProtocol.settings = _profile(250)


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestWholeProtocolForLong(WholeProtocol.TestCase):
    settings = _profile(6000)
