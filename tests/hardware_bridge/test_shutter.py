"""The beam's own line is open from Start to End, and shut before the driver hears of a blank."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import LIMITS, Bench, scan
from msgspec.structs import replace

from hardware_bridge.blanker import Blanker
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Command, End, Go, Start
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Part
from hardware_bridge.shutter import Shutter


@pytest.fixture
def beam(tmp_path: Path) -> Blanker:
    return Blanker(tmp_path / "beam")


def always() -> bool:
    """Nothing speaks against opening."""
    return True


def test_it_is_open_from_start_to_end_alone(beam: Blanker) -> None:
    shutter = Shutter(Bench(), beam, always)
    assert isinstance(shutter, Microscope)
    shutter.submit(scan("a"))
    assert beam.is_blanked
    for part in shutter.watch(1.0):
        # Shut while the Start is looked at, shut again before the End is told.
        assert beam.is_blanked == isinstance(part, Start | End)
    assert execute(shutter, scan("b"), 1.0).row_seen.all()
    assert beam.is_blanked


def test_whoever_blanks_when_the_start_comes_keeps_it_shut(beam: Blanker) -> None:
    shutter = Shutter(Bench(), beam, always)
    shutter.submit(scan("a"))
    parts = shutter.watch(1.0)
    assert isinstance(next(parts), Start)
    shutter.blank()
    assert isinstance(next(parts), End)
    assert beam.changed_ns == 0


def test_a_move_opens_nothing(beam: Blanker) -> None:
    shutter = Shutter(Bench(), beam, always)
    execute(shutter, Command(id="a", go=Go(stage_x_nm=5.0)), 1.0)
    assert beam.changed_ns == 0


def test_a_blank_before_the_start_keeps_it_shut(beam: Blanker) -> None:
    shutter = Shutter(Bench(), beam, always)
    shutter.submit(scan("a"))
    shutter.blank()
    assert beam.changed_ns == 0
    assert any(isinstance(part, Start) for part in shutter.watch(1.0))
    assert beam.is_blanked
    assert beam.changed_ns == 0


def test_where_it_may_not_open_any_more_the_command_is_ended_in_the_dark(beam: Blanker) -> None:
    """As in a process that was frozen between the command's acceptance and its Start."""
    bench = Bench()
    shutter = Shutter(bench, beam, lambda: False)
    shutter.submit(scan("a"))
    *_, end = shutter.watch(1.0)
    assert isinstance(end, End)
    assert (end.aborted, end.chunks, bench.blanks) == (True, 0, 1)
    assert beam.changed_ns == 0


def test_the_line_is_shut_before_the_driver_is_asked(beam: Blanker) -> None:
    class Asked(Bench):
        def blank(self) -> None:
            assert beam.is_blanked
            super().blank()

    for act in ("blank", "stop"):
        shutter = Shutter(Asked(), beam, always)
        shutter.submit(scan("a"))
        parts = iter(shutter.watch(1.0))
        next(parts), next(parts)
        assert not beam.is_blanked
        getattr(shutter, act)()
        list(parts)


def test_a_driver_that_fails_leaves_it_shut(beam: Blanker) -> None:
    class Failing(Bench):
        def watch(self, timeout_s: float) -> Iterator[Part]:
            yield next(iter(super().watch(timeout_s)))
            raise RuntimeError("lost")

    guard = Guard(Shutter(Failing(), beam, always), LIMITS)
    guard.submit(scan("a"))
    with pytest.raises(RuntimeError, match="lost"):
        guard.gather(1.0)
    assert beam.changed_ns > 0
    assert beam.is_blanked


def test_a_new_command_gives_the_supervisors_line_back(beam: Blanker) -> None:
    beam.pull()
    shutter = Shutter(Bench(), beam, always)
    shutter.submit(scan("a"))
    assert not beam.is_pulled


def test_a_dark_reference_opens_nothing(beam: Blanker) -> None:
    dark = scan("dark")
    assert dark.acquire is not None
    shutter = Shutter(Bench(), beam, always)
    execute(shutter, replace(dark, acquire=replace(dark.acquire, blanked=True)), 1.0)
    assert beam.changed_ns == 0
