"""Parts into an Observation: what is missing is counted, what does not fit is an error."""

from collections.abc import Callable

import numpy as np
import pytest
from bench import STATE, Bench, expected, scan

from hardware_bridge.errors import BridgeError
from hardware_bridge.messages import Command, Start
from hardware_bridge.observation import Chunk, Part, collect


def parts_of(command: Command) -> list[Part]:
    bench = Bench()
    bench.submit(command)
    return list(bench.watch(1.0))


def test_the_newest_frame_and_a_line_a_frame() -> None:
    command = scan("a", rows=20, frames=2)
    assert command.acquire is not None
    seen = collect(command, STATE, parts_of(command))
    np.testing.assert_array_equal(seen.data, expected(command.acquire, frame=1))
    for frame, line in enumerate(seen.statistics):
        values = expected(command.acquire, frame).astype(float)
        assert (line.frame, line.low, line.high) == (frame, values.min(), values.max())
        assert (line.mean, line.sd) == pytest.approx((values.mean(), values.std()))
    assert (np.diff(seen.row_start_s) > 0).all()
    assert (seen.gaps, seen.kind, [axis.name for axis in seen.axes]) == (0, "frame", ["y", "x"])


def test_a_missing_chunk_is_a_gap_and_its_rows_are_not_seen() -> None:
    command = scan("a", rows=32)
    parts = [part for part in parts_of(command) if not (isinstance(part, Chunk) and part.header.sequence == 1)]
    seen = collect(command, STATE, parts)
    assert seen.gaps == 1
    np.testing.assert_array_equal(np.flatnonzero(~seen.row_seen), np.arange(8, 16))
    assert np.isnan(seen.row_start_s[8:16]).all()
    assert seen.data is not None
    assert not seen.data[8:16].any()


def test_rows_of_the_frame_before_do_not_stay() -> None:
    command = scan("a", rows=16, frames=2)
    parts = parts_of(command)
    last = max(index for index, part in enumerate(parts) if isinstance(part, Chunk))
    seen = collect(command, STATE, parts[:last] + parts[last + 1 :])
    np.testing.assert_array_equal(seen.row_seen, np.arange(16) < 8)
    assert seen.data is not None
    assert not seen.data[8:].any()


def test_nothing_acquired_is_no_data() -> None:
    command = Command(id="a")
    seen = collect(command, STATE, parts_of(command))
    assert seen.data is None
    assert seen.row_seen.size == seen.row_start_s.size == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda parts: parts[:-1], "without an End"),
        (lambda parts: parts[1:], "before its Start"),
        (lambda parts: [Start(**{**_fields(parts[0]), "command_id": "other"}), *parts[1:]], "other"),
        (lambda parts: [parts[0], Chunk(parts[1].header, parts[1].data[:, :-1]), *parts[2:]], "does not fit"),
        (lambda parts: [parts[0], Chunk(parts[1].header, parts[1].data[:-1]), *parts[2:]], "does not fit"),
    ],
    ids=["no end", "no start", "other command", "other width", "other rows"],
)
def test_a_stream_that_cannot_be_is_an_error(spoil: Callable[[list[Part]], list[Part]], said: str) -> None:
    command = scan("a")
    with pytest.raises(BridgeError, match=said):
        collect(command, STATE, spoil(parts_of(command)))


def _fields(start: Part) -> dict[str, object]:
    return {name: getattr(start, name) for name in Start.__struct_fields__}
