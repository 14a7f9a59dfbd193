"""The guard lets only safe commands through, once each, and knows what it does not know."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import LIMITS, Bench, scan
from msgspec.structs import replace

from experiments.small_column import STATE
from hardware_bridge.dose import predict_charge
from hardware_bridge.errors import Malformed, Rejected, Unreachable
from hardware_bridge.guard import Guard
from hardware_bridge.journal import FileJournal
from hardware_bridge.messages import Capabilities, Command, End, Go, Holder, InstrumentState, Optics, Settings, Start
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk, Part


class Failing(Bench):
    """Breaks off after the first chunk, without an End or with an error."""

    error: Exception | None = None

    def watch(self, timeout_s: float) -> Iterator[Part]:
        for part in super().watch(timeout_s):
            yield part
            if isinstance(part, Chunk):
                if self.error is not None:
                    raise self.error
                return


@pytest.mark.parametrize("error", [None, Unreachable("the detector is gone"), OSError("broken pipe")], ids=repr)
def test_a_driver_that_fails_in_mid_scan_leaves_it_unknown_blanked_and_charged_in_full(error: Exception | None) -> None:
    bench = Failing()
    bench.error = error
    guard = Guard(bench, LIMITS)
    full = predict_charge(scan("a"), LIMITS, bench.state(), bench.describe())
    with pytest.raises(type(error) if error else Malformed):
        execute(guard, scan("a"), 1.0)
    assert guard.fate("a") == "unknown"
    assert bench.blanks >= 1
    assert guard.state().electrons_charged == pytest.approx(full.electrons)
    with pytest.raises(Rejected, match="unknown"):
        guard.submit(scan("a"))


def test_a_driver_that_fails_when_asked_leaves_it_unknown_too() -> None:
    class Broken(Bench):
        def submit(self, command: object) -> None:
            raise OSError("broken pipe")

    guard = Guard(Broken(), LIMITS)
    with pytest.raises(OSError, match="broken pipe"):
        guard.submit(scan("a"))
    assert guard.fate("a") == "unknown"
    assert guard.state().electrons_charged > 0


def test_an_abort_is_reconciled_to_the_time_the_beam_was_on() -> None:
    bench = Bench()
    guard = Guard(bench, LIMITS)
    guard.submit(scan("a", rows=256))
    parts = guard.watch(1.0)
    for _ in range(1 + 8):  # Start and a quarter of the 32 chunks
        next(parts)
    guard.blank()
    end = list(parts)[-1]
    assert isinstance(end, End)
    assert (end.aborted, end.beam_on_share) == (True, 0.25)
    full = predict_charge(scan("a", rows=256), LIMITS, Bench().state(), bench.describe())
    assert guard.state().electrons_charged == pytest.approx(full.electrons / 4)
    assert end.state.electrons_charged == guard.state().electrons_charged


def test_a_watch_left_early_is_taken_up_by_the_next_one() -> None:
    guard = Guard(Bench(), LIMITS)
    guard.submit(scan("a"))
    first = next(guard.watch(1.0))
    rest = list(guard.watch(1.0))
    assert [first, *rest][0] is first
    assert isinstance(rest[-1], End)
    assert rest[-1].chunks == sum(isinstance(part, Chunk) for part in rest)


def test_a_probe_left_on_after_a_scan_is_blanked() -> None:
    bench = Bench(parks=True)
    execute(Guard(bench, LIMITS), scan("a"), 1.0)
    assert bench.state().beam_blanked


def test_a_command_that_came_back_is_not_run_again_and_a_later_one_is() -> None:
    bench = Bench()
    guard = Guard(bench, LIMITS)
    for name in ("a", "a", "b", "a", "b"):
        execute(guard, scan(name), 1.0)
    assert [command.id for command in bench.seen] == ["a", "b"]


@pytest.mark.parametrize("lock", ["vacuum_ok", "valves_open", "screen_up"])
def test_an_interlock_that_opens_during_the_move_lets_nothing_be_exposed(lock: str) -> None:
    class Leaking(Bench):
        def submit(self, command: Command) -> None:
            super().submit(command)
            self._state = replace(self._state, interlocks=replace(self._state.interlocks, **{lock: False}))

    guard = Guard(Leaking(), LIMITS)
    guard.submit(replace(scan("a"), go=Go(stage_x_nm=60.0)))
    *starts, end = guard.watch(1.0)
    assert isinstance(end, End)
    assert [type(part) for part in starts] == [Start]
    assert (end.aborted, end.chunks, guard.state().electrons_charged) == (True, 0, 0.0)
    assert end.reason == f"{lock} = false refused (interlock): limit true before any acquisition"


def test_after_stop_only_a_new_session_may_command() -> None:
    guard = Guard(Bench(), LIMITS)
    guard.stop()
    with pytest.raises(Rejected, match="stopped"):
        guard.submit(scan("a"))
    guard.begin_session()
    execute(guard, scan("a"), 1.0)


def test_limits_that_are_no_limits_are_refused() -> None:
    with pytest.raises(Malformed, match="max_electrons"):
        Guard(Bench(), replace(LIMITS, max_electrons=float("inf")))


def test_whoever_could_not_go_on_watching_leaves_it_unknown_blanked_and_charged_in_full() -> None:
    bench = Bench()
    guard = Guard(bench, LIMITS)
    guard.abandon()  # nothing runs, nothing happens
    assert bench.blanks == 0
    guard.submit(scan("a"))
    parts = guard.watch(1.0)
    next(parts), next(parts)
    guard.abandon()
    assert (guard.fate("a"), guard.pending) == ("unknown", None)
    assert (bench.blanks, bench.state().beam_blanked) == (1, True)
    full = predict_charge(scan("a"), LIMITS, Bench().state(), bench.describe())
    assert guard.state().electrons_charged == pytest.approx(full.electrons)


OFF = Command(id="on-loss-1-1", set=Settings(holder=Holder(flow_nl_per_s=0.0)))


def test_the_holder_reaches_its_safe_state_after_a_stop_and_nobody_else_may_use_its_ids() -> None:
    bench = Bench()
    guard = Guard(bench, LIMITS)
    with pytest.raises(Rejected, match="id_reserved"):
        guard.submit(OFF)
    guard.stop()
    assert not guard.secure(OFF, 1.0).aborted
    assert bench.seen == [OFF]
    with pytest.raises(Rejected, match="stopped"):
        guard.submit(scan("a"))
    with pytest.raises(Rejected, match="range"):
        guard.secure(replace(OFF, set=Settings(holder=Holder(flow_nl_per_s=51.0))), 1.0)


def test_the_holder_reaches_its_safe_state_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_once(descriptor: int) -> None:
        monkeypatch.undo()
        raise OSError("disk full")

    journal = FileJournal(tmp_path / "j")
    bench = Bench()
    guard = Guard(bench, LIMITS, journal)
    monkeypatch.setattr("os.fdatasync", full_once)
    guard.secure(OFF, 1.0)
    assert bench.seen == [OFF]
    execute(guard, scan("a"), 1.0)
    journal.close()
    again = FileJournal(tmp_path / "j")  # a result without its intent would be damage
    assert set(again.past.settled) == {"a"}
    again.close()


@pytest.mark.parametrize("act", ["blank", "stop"])
def test_a_blank_while_a_command_is_being_checked_ends_it_before_it_exposes(act: str) -> None:
    class Pressed(Bench):
        then: Callable[[], None] = staticmethod(lambda: None)

        def submit(self, command: Command) -> None:
            self.then()  # comes after the guard has looked whether somebody stopped
            super().submit(command)

    bench = Pressed()
    guard = Guard(bench, LIMITS)
    bench.then = getattr(guard, act)
    guard.submit(scan("a"))
    (*_, end) = guard.watch(1.0)
    assert isinstance(end, End)
    assert (end.aborted, end.chunks, guard.state().electrons_charged) == (True, 0, 0.0)


def test_nothing_runs_before_the_beam_reads_back_blanked() -> None:
    class Stuck(Bench):
        blank_works = True

        def state(self) -> InstrumentState:
            return replace(super().state(), beam_blanked=self.blank_works and self.blanks > 0)

    bench = Stuck()
    guard = Guard(bench, LIMITS)
    execute(guard, Command(id="a", go=Go(stage_x_nm=1.0)), 1.0)
    assert bench.blanks == 1
    bench.blank_works = False
    with pytest.raises(Rejected, match=r"beam_blanked = false refused \(interlock\)"):
        guard.submit(Command(id="b", go=Go(stage_x_nm=2.0)))
    assert [command.id for command in bench.seen] == ["a"]


class Lit(Bench):
    """Says that it takes dark references, and takes them with the beam on, or off where it is true to its word."""

    is_true = False

    def describe(self) -> Capabilities:
        return replace(super().describe(), dark_references=True)

    def _end(self, command: Command, share: float, chunks: int) -> End:
        end = super()._end(command, share, chunks)
        return replace(end, electrons=0.0) if self.is_true else end


def dark(name: str = "dark") -> Command:
    lit = scan(name)
    assert lit.acquire is not None
    return replace(lit, acquire=replace(lit.acquire, blanked=True))


def test_a_dark_reference_that_was_lit_after_all_is_charged() -> None:
    guard = Guard(Lit(), LIMITS)
    seen = execute(guard, dark(), 1.0)
    assert 0.0 < seen.electrons <= seen.electrons_charged
    lit = Guard(Bench(), LIMITS)
    assert execute(lit, scan("lit"), 1.0).electrons_charged == pytest.approx(seen.electrons_charged)
    np.testing.assert_allclose(guard.ledger.fluence_e_per_A2, lit.ledger.fluence_e_per_A2)


def test_a_lit_dark_reference_is_charged_at_the_largest_current_where_none_reads_back() -> None:
    class Unread(Lit):
        def state(self) -> InstrumentState:
            state = super().state()
            return replace(state, optics=replace(state.optics, beam_current_pA=None))

    guard = Guard(Unread(), LIMITS)
    seen = execute(guard, dark(), 1.0)
    most = LIMITS.ranges["beam_current_pA"].high
    at_most = replace(scan("lit"), set=Settings(optics=Optics(beam_current_pA=most)))
    full = predict_charge(at_most, LIMITS, STATE, guard.describe())
    assert seen.electrons < seen.electrons_charged == pytest.approx(full.electrons)
    assert guard.ledger.fluence_e_per_A2.max() == pytest.approx(full.fluence_e_per_A2)


@pytest.mark.parametrize(("is_true", "is_lost"), [(True, False), (False, False), (True, True)])
def test_a_restart_remembers_what_a_dark_reference_was_charged(tmp_path: Path, is_true: bool, is_lost: bool) -> None:
    """Nothing where it was dark, what was exposed where it was not, and as if it had been where nobody knows."""
    path, bench = tmp_path / "commands.journal", Lit()
    bench.is_true = is_true
    journal = FileJournal(path)
    guard = Guard(bench, LIMITS, journal)
    if is_lost:
        guard.submit(dark())
        guard.abandon()
    else:
        execute(guard, dark(), 1.0)
    journal.close()
    again = FileJournal(path)
    ledger = again.past.ledger(LIMITS)
    again.close()
    full = predict_charge(scan("lit"), LIMITS, STATE, bench.describe()).electrons
    assert ledger.electrons == pytest.approx(0.0 if is_true and not is_lost else full)
    assert guard.ledger.electrons == pytest.approx(ledger.electrons)
    np.testing.assert_allclose(guard.ledger.fluence_e_per_A2, ledger.fluence_e_per_A2)
