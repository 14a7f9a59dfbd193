from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest
from msgspec.structs import replace

from agent.eventlog import LOG_NAME, Header, RecordError
from agent.reading import compare, open_run
from agent.record import Record
from agent.recorder import FileRecorder
from hardware_bridge.observation import Observation

Look = Callable[[int], Observation]
IMAGES = "arrays/HAADF_32x32_8nm.hspy"


@pytest.fixture
def folder(
    tmp_path: Path,
    header: Header,
    make_record: Callable[..., Record],
    make_observation: Callable[..., Observation],
) -> Path:
    """A run of six turns; nothing ran in turn 2."""
    write_run(tmp_path / "run", header, make_record, make_observation)
    return tmp_path / "run"


def write_run(folder: Path, header: Header, make_record: Callable[..., Record], look: Look) -> None:
    with FileRecorder(folder, header) as recorder:
        for turn in range(6):
            seen = None if turn == 2 else look(turn)
            recorder.write(make_record(turn, seen), seen)


def test_an_observation_is_rebuilt_as_it_was_perceived(folder: Path, make_observation: Look) -> None:
    with open_run(folder) as run:
        for record in run.records:
            rebuilt, seen = run.observation(record), make_observation(record.turn)
            if record.turn == 2:
                assert rebuilt is None
                continue
            for field in fields(Observation):
                got, expected = getattr(rebuilt, field.name), getattr(seen, field.name)
                if isinstance(expected, np.ndarray):
                    assert got.dtype == expected.dtype
                    assert got.tobytes() == expected.tobytes()
                else:
                    assert got == expected, field.name


def test_an_acquisition_free_turn_is_rebuilt(
    tmp_path: Path, header: Header, make_record: Callable[..., Record], make_observation: Look
) -> None:
    seen = make_observation(0)
    moved = Observation(
        command=replace(seen.command, acquire=None),
        start_s=seen.start_s,
        end_s=seen.end_s,
        state=seen.state,
        electrons_charged=3.0,
        reason="moved",
    )
    with FileRecorder(tmp_path / "run", header) as recorder:
        record = recorder.write(make_record(0, moved), moved)
    rebuilt = open_run(tmp_path / "run").observation(record)
    assert rebuilt is not None
    assert rebuilt.data is None
    assert rebuilt.command == moved.command
    assert rebuilt.reason == "moved"
    assert rebuilt.row_seen.shape == (0,)


def test_a_cut_off_log_is_read_as_far_as_it_is_whole(folder: Path) -> None:
    whole = (folder / LOG_NAME).read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(ends[3] + 1, ends[4], 211):
        (folder / LOG_NAME).write_bytes(whole[:cut])
        run = open_run(folder)
        assert [record.turn for record in run.records] == [0, 1, 2]
        assert run.problems == [f"{LOG_NAME}: line 5, the last, is cut off after {cut - ends[3]} bytes"]
    (folder / LOG_NAME).write_bytes(whole[: ends[4]])
    assert open_run(folder).problems == []


def test_an_altered_line_is_told_and_the_others_are_read(folder: Path) -> None:
    data = (folder / LOG_NAME).read_bytes()
    (folder / LOG_NAME).write_bytes(data.replace(b'"turn":3,', b'"turn":8,', 1))
    run = open_run(folder)
    assert [record.turn for record in run.records] == [0, 1, 2, 4, 5]
    assert run.problems == [
        f"{LOG_NAME}: line 5 is damaged: its hash does not fit",
        f"{LOG_NAME}: turn 3 is missing",
    ]


def test_a_lost_header_is_told(folder: Path) -> None:
    data = (folder / LOG_NAME).read_bytes()
    (folder / LOG_NAME).write_bytes(data[data.index(b"\n") + 1 :])
    run = open_run(folder)
    assert run.header is None
    assert run.problems == [f"{LOG_NAME}: the header is missing"]
    assert len(run.records) == 6


def test_lost_arrays_are_told(folder: Path) -> None:
    with h5py.File(folder / IMAGES, "r+") as file:
        file["Experiments/HAADF_32x32_8nm/data"].resize(3, axis=0)
    run = open_run(folder)
    assert run.problems == [f"{IMAGES}: holds 3 items; the arrays of 2 turns (4 to 5) are lost"]
    assert run.observation(run.records[0]) is not None
    with pytest.raises(RecordError, match="item 3 cannot be read"):
        run.observation(run.records[4])
    run.close()
    (folder / IMAGES).write_bytes((folder / IMAGES).read_bytes()[:100])
    run = open_run(folder)
    assert len(run.records) == 6
    assert "cannot be read" in run.problems[0]
    assert "the arrays of 5 turns (0 to 5) are lost" in run.problems[0]


def test_altered_arrays_are_told(folder: Path) -> None:
    with h5py.File(folder / IMAGES, "r+") as file:
        file["Experiments/HAADF_32x32_8nm/data"][0, 3, 3] += 1
    run = open_run(folder)
    with pytest.raises(RecordError, match="its hash does not fit"):
        run.observation(run.records[0])


def test_no_run_and_another_schema_are_told(folder: Path, tmp_path: Path, header: Header) -> None:
    with pytest.raises(RecordError, match=r"No such file.*is this the folder of a run"):
        open_run(tmp_path / "none")
    other = tmp_path / "other"
    FileRecorder(other, replace(header, schema=2)).close()  # type: ignore[arg-type]
    with pytest.raises(RecordError, match="schema 2; this version reads schema 1"):
        open_run(other)


class TestCompare:
    def test_same_turns_are_the_same_run(
        self, folder: Path, header: Header, make_record: Callable[..., Record], make_observation: Look
    ) -> None:
        def slower(turn: int, seen: Observation | None) -> Record:
            record = make_record(turn, seen)
            return replace(record, wall_s={"suggest": 3.0}, decision=replace(record.decision, waited_s=0.1))

        other = folder.with_name("other")
        write_run(other, replace(header, created="later"), slower, make_observation)
        with open_run(folder) as one, open_run(other) as two:
            assert compare(one, two) == []

    def test_differences_are_named(
        self, folder: Path, header: Header, make_record: Callable[..., Record], make_observation: Look
    ) -> None:
        def changed(turn: int) -> Observation:
            seen = make_observation(turn)
            if turn == 4:
                assert seen.data is not None
                seen.data[0, 0] += 1
            return seen

        other = folder.with_name("other")
        write_run(
            other,
            replace(header, seed=8),
            lambda turn, seen: replace(make_record(turn, seen), electrons=float(turn == 1)),
            changed,
        )
        with open_run(folder) as one, open_run(other) as two:
            found = compare(one, two)
        assert "header: seed differs" in found
        assert "turn 4: observed data differs" in found
        assert [line for line in found if "observed" in line] == ["turn 4: observed data differs"]
        assert "turn 0: electrons differs" in found

    def test_a_shorter_run_differs(
        self, folder: Path, header: Header, make_record: Callable[..., Record], make_observation: Look
    ) -> None:
        other = folder.with_name("other")
        with FileRecorder(other, header) as recorder:
            for turn in range(2):
                seen = make_observation(turn)
                recorder.write(make_record(turn, seen), seen)
        with open_run(folder) as one, open_run(other) as two:
            assert compare(one, two) == ["6 turns and 2 turns"]


def test_of_a_cut_off_file_of_arrays_what_is_whole_is_read(folder: Path) -> None:
    data = (folder / IMAGES).read_bytes()
    readable = []
    for cut in range(0, len(data), len(data) // 40):
        (folder / IMAGES).write_bytes(data[:cut])
        with open_run(folder) as run:
            whole = [record.turn for record in run.records if run.is_whole(record)]
            for record in run.records:
                if record.turn in whole:
                    run.observation(record)
        (problem,) = run.problems
        assert problem.startswith(IMAGES)
        lost = sorted({0, 1, 2, 3, 4, 5} - set(whole))
        spoken = {0: "no turn", 1: f"turn {lost[-1:]}"}.get(len(lost), f"{len(lost)} turns ({lost[:1]} to {lost[-1:]})")
        assert problem.endswith(f"the arrays of {spoken.replace('[', '').replace(']', '')} are lost")
        readable.append(len(whole))
    # Turn 2 took no image. The further the cut, the more is read; all but the last are, well before the end.
    assert readable == sorted(readable)
    assert set(readable) >= {1, 3, 5}
