"""The guard lets only safe commands through, once each, and knows what it does not know."""

from collections.abc import Iterator

import pytest
from bench import LIMITS, Bench, scan
from msgspec.structs import replace

from hardware_bridge.dose import predict_charge
from hardware_bridge.errors import Malformed, Rejected, Unreachable
from hardware_bridge.guard import Guard
from hardware_bridge.messages import End
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
