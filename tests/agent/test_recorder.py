import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from agent import eventlog, turnfile
from agent.config import load
from agent.eventlog import LOG_NAME, EventLog, Header, RecordError
from agent.reading import open_run
from agent.record import Record
from agent.recorder import FileRecorder, FolderExists, prepare
from hardware_bridge.observation import Observation

MakeRecord = Callable[..., Record]
MakeObservation = Callable[..., Observation]


@pytest.fixture
def write(
    tmp_path: Path, header: Header, make_record: MakeRecord, make_observation: MakeObservation
) -> Callable[..., list[Record]]:
    """Write turns into tmp_path/run: images of two sizes and spectra, in turn."""

    def write_turns(turns: int, folder: Path = tmp_path / "run") -> list[Record]:
        with FileRecorder(folder, header) as recorder:
            return [recorder.write(make_record(turn, seen), seen) for turn in range(turns) for seen in [look(turn)]]

    def look(turn: int) -> Observation:
        mode, pixels, fov_nm = (("HAADF", 32, 256.0), ("HAADF", 16, 256.0), ("EELS", 4, 64.0))[turn % 3]
        return make_observation(turn, mode, pixels, fov_nm)

    return write_turns


def test_what_is_written_is_read_back(tmp_path: Path, header: Header, write: Callable[..., list[Record]]) -> None:
    records = write(7)
    with open_run(tmp_path / "run") as run:
        assert run.problems == []
        assert run.header == header
        assert run.records == records
    assert {record.arrays.file for record in records if record.arrays} == {
        "arrays/HAADF_32x32_8nm.hspy", "arrays/HAADF_16x16_16nm.hspy", "arrays/EELS_4x4x64_16nm.hspy",
    }  # fmt: skip
    assert load(tmp_path / "run" / "config.json") == header.config


def test_an_event_log_is_lines_of_json(tmp_path: Path, write: Callable[..., list[Record]]) -> None:
    write(3)
    lines = [json.loads(line) for line in (tmp_path / "run" / LOG_NAME).read_text().splitlines()]
    assert [set(line) for line in lines] == [{"xxh3", "header"}] + [{"xxh3", "event"}] * 3
    assert [line["event"]["record"]["turn"] for line in lines[1:]] == [0, 1, 2]


def test_a_turn_where_nothing_ran_is_recorded(tmp_path: Path, header: Header, make_record: MakeRecord) -> None:
    with FileRecorder(tmp_path / "run", header) as recorder:
        recorder.write(make_record(0, None, "go.stage_x_nm = 1e9 refused"), None)
    run = open_run(tmp_path / "run")
    assert [record.failure for record in run.records] == ["go.stage_x_nm = 1e9 refused"]
    assert run.observation(run.records[0]) is None


def test_an_existing_folder_is_refused(tmp_path: Path, header: Header) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for begin in (lambda: FileRecorder(folder, header), lambda: prepare(folder, header.config)):
        with pytest.raises(FolderExists, match="exists already"):
            begin()
        assert list(folder.iterdir()) == []


def test_a_prepared_folder_takes_one_run(tmp_path: Path, header: Header) -> None:
    folder = tmp_path / "run"
    prepare(folder, header.config)
    (folder / "journal").touch()
    FileRecorder(folder, header).close()
    before = (folder / LOG_NAME).read_bytes()
    with pytest.raises(FolderExists, match="exists already"):
        FileRecorder(folder, header)
    assert (folder / LOG_NAME).read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, header: Header) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="cannot be written: Not a directory"):
        prepare(tmp_path / "file" / "run", header.config)


def test_what_cannot_be_read_back_is_left_out_and_said(
    tmp_path: Path, header: Header, make_record: MakeRecord, make_observation: MakeObservation
) -> None:
    seen = make_observation(0)
    record = make_record(0, seen)
    assert record.percept is not None
    bad_percept = replace(record.percept, quality={"snr": math.nan})
    bad_shown = replace(record.decision.proposals[1], information=math.inf)
    decision = replace(record.decision, proposals=(record.decision.proposals[0], bad_shown))
    with FileRecorder(tmp_path / "run", header) as recorder:
        got = recorder.write(replace(record, percept=bad_percept, decision=decision), seen)
        recorder.write(replace(make_record(1, None), failure="x" * 5000), None)
    assert got.percept is None
    assert got.decision.proposals == record.decision.proposals[:1]
    assert got.decision.command == record.decision.command
    assert "left out of the record" in got.failure
    run = open_run(tmp_path / "run")
    assert run.records[0] == got
    assert len(run.records[1].failure) == 2000
    observation = run.observation(got)
    assert observation is not None
    assert np.array_equal(observation.data, seen.data)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_written_as_plain_ones(
    tmp_path: Path, header: Header, make_record: MakeRecord, make_observation: MakeObservation
) -> None:
    seen = make_observation(0)
    record = make_record(0, seen)
    assert record.percept is not None
    percept = replace(record.percept, quality={"snr": np.float32(2.5), "n": np.int64(3)})
    with FileRecorder(tmp_path / "run", header) as recorder:
        got = recorder.write(replace(record, percept=percept), seen)
    assert got.percept is not None
    assert got.percept.quality == {"snr": 2.5, "n": 3.0}


def test_statistics_that_are_not_finite_survive(
    tmp_path: Path, header: Header, make_record: MakeRecord, make_observation: MakeObservation
) -> None:
    seen = make_observation(0)
    seen = replaced(seen, statistics=(replaced(seen.statistics[0], mean=math.nan),))
    with FileRecorder(tmp_path / "run", header) as recorder:
        record = recorder.write(make_record(0, seen), seen)
    assert record.percept is not None
    observation = open_run(tmp_path / "run").observation(record)
    assert observation is not None
    assert repr(observation.statistics) == repr(seen.statistics)


class TestResume:
    def test_goes_on_where_it_stopped(
        self,
        tmp_path: Path,
        write: Callable[..., list[Record]],
        make_record: MakeRecord,
        make_observation: MakeObservation,
    ) -> None:
        records = write(4)
        seen = make_observation(4)
        with FileRecorder.resume(tmp_path / "run") as recorder:
            assert list(recorder.records) == records
            records.append(recorder.write(make_record(4, seen), seen))
        with open_run(tmp_path / "run") as run:
            assert run.records == records
            assert run.problems == []
            # Turns 0 and 3 are in this stream already.
            assert records[4].arrays is not None
            assert records[4].arrays.index == 2
            observation = run.observation(records[4])
            assert observation is not None
            assert np.array_equal(observation.data, seen.data)  # type: ignore[arg-type]

    def test_cuts_off_a_torn_line_and_arrays_without_a_line(
        self,
        tmp_path: Path,
        write: Callable[..., list[Record]],
        make_record: MakeRecord,
        make_observation: MakeObservation,
    ) -> None:
        records = write(4)
        log = tmp_path / "run" / LOG_NAME
        log.write_bytes(log.read_bytes()[:-100])
        with FileRecorder.resume(tmp_path / "run") as recorder:
            assert list(recorder.records) == records[:3]
            seen = make_observation(3)
            assert recorder.write(make_record(3, seen), seen) == records[3]
        with open_run(tmp_path / "run") as run:
            assert run.problems == []
            assert run.stack_size("arrays/HAADF_32x32_8nm.hspy") == 2

    def test_a_broken_array_file_is_left_alone_and_a_new_one_begun(
        self,
        tmp_path: Path,
        write: Callable[..., list[Record]],
        make_record: MakeRecord,
        make_observation: MakeObservation,
    ) -> None:
        write(1)
        (tmp_path / "run/arrays/HAADF_32x32_8nm.hspy").write_bytes(b"no HDF5")
        seen = make_observation(1)
        with FileRecorder.resume(tmp_path / "run") as recorder:
            record = recorder.write(make_record(1, seen), seen)
        assert record.arrays is not None
        assert record.arrays.file == "arrays/HAADF_32x32_8nm_2.hspy"
        assert (tmp_path / "run/arrays/HAADF_32x32_8nm.hspy").read_bytes() == b"no HDF5"

    def test_damage_in_the_middle_is_not_gone_over(self, tmp_path: Path, write: Callable[..., list[Record]]) -> None:
        write(3)
        log = tmp_path / "run" / LOG_NAME
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join([lines[0], lines[1], lines[3]]))
        with pytest.raises(RecordError, match="turn 1 is missing"):
            FileRecorder.resume(tmp_path / "run")

    def test_a_run_that_is_still_written_is_refused(self, tmp_path: Path, header: Header) -> None:
        with (
            FileRecorder(tmp_path / "run", header),
            pytest.raises(RecordError, match="another process is writing this run"),
        ):
            FileRecorder.resume(tmp_path / "run")

    def test_no_run_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(RecordError, match="No such file"):
            FileRecorder.resume(tmp_path / "run")


# What the children below write: turns without end, each told on the standard output once it is on disk.
WRITER = """
import sys, importlib.util, resource, signal
from pathlib import Path
import msgspec
from agent.eventlog import Header, RecordError
from agent.recorder import FileRecorder
spec = importlib.util.spec_from_file_location("turns", sys.argv[2])
turns = importlib.util.module_from_spec(spec)
spec.loader.exec_module(turns)
header = msgspec.json.decode(Path(sys.argv[3]).read_bytes(), type=Header)
limit = int(sys.argv[4])
with FileRecorder(Path(sys.argv[1]), header) as recorder:
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        for turn in range(100_000):
            mode, pixels = (("HAADF", 64), ("HAADF", 32), ("EELS", 8))[turn % 3]
            seen = turns._observation(turn, mode, pixels)
            recorder.write(turns._record(turn, seen), seen)
            print(turn, flush=True)
    except RecordError as error:
        print("RecordError:", error, flush=True)
        sys.exit(3)
"""


def start_writer(folder: Path, header: Header, limit: int = 0) -> "subprocess.Popen[str]":
    header_file = folder.with_suffix(".header")
    header_file.write_bytes(msgspec.json.encode(header))
    turns = Path(__file__).with_name("conftest.py")
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(turns), str(header_file), str(limit)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("attempt", range(20))
def test_every_finished_turn_survives_a_kill(
    attempt: int, tmp_path: Path, header: Header, make_observation: MakeObservation
) -> None:
    with start_writer(tmp_path / "run", header) as writer:
        assert writer.stdout is not None
        for _ in range(5 + 3 * attempt):
            writer.stdout.readline()
        # At another point of a turn every time.
        time.sleep(0.0007 * attempt)
        writer.kill()
        told = [int(line) for line in writer.stdout.read().split() if line] or [4 + 3 * attempt]
    with open_run(tmp_path / "run") as run:
        assert len(run.records) >= told[-1] + 1
        assert not [problem for problem in run.problems if "cut off" not in problem]
        for record in run.records:
            observation = run.observation(record)
            mode, pixels = (("HAADF", 64), ("HAADF", 32), ("EELS", 8))[record.turn % 3]
            assert observation is not None
            assert np.array_equal(observation.data, make_observation(record.turn, mode, pixels).data)  # type: ignore[arg-type]
    turns = len(run.records)
    with FileRecorder.resume(tmp_path / "run") as recorder:
        assert len(recorder.records) == turns


def test_a_full_disk_is_told_and_loses_no_turn_before(tmp_path: Path, header: Header) -> None:
    # Files of at most 300 kB: the images of 64 x 64 pixels fill theirs first.
    with start_writer(tmp_path / "run", header, limit=300_000) as writer:
        assert writer.stdout is not None
        lines = writer.stdout.read().splitlines()
    assert writer.returncode == 3
    assert lines[-1].startswith("RecordError: ")
    told = len(lines) - 1
    run = open_run(tmp_path / "run")
    assert told > 10
    assert [record.turn for record in run.records][:told] == list(range(told))
    if len(run.records) > told:
        assert "could not be written" in run.records[-1].failure
    for record in run.records[:told]:
        assert run.observation(record) is not None


class TestHyperSpy:
    """What is written opens in HyperSpy, also while the run goes on."""

    def test_image_stack(self, tmp_path: Path, header: Header, make_record: MakeRecord, make_observation: Any) -> None:
        hs = pytest.importorskip("hyperspy.api")
        seen = [make_observation(turn) for turn in range(3)]
        with FileRecorder(tmp_path / "run", header) as recorder:
            for turn in range(3):
                recorder.write(make_record(turn, seen[turn]), seen[turn])
            # As it lies on disk while the run goes on.
            shutil.copy(tmp_path / "run/arrays/HAADF_32x32_8nm.hspy", tmp_path)
        signal = hs.load(tmp_path / "HAADF_32x32_8nm.hspy")
        assert type(signal).__name__ == "Signal2D"
        assert np.array_equal(signal.data, [item.data for item in seen])
        x, y = signal.axes_manager.signal_axes
        assert (x.name, x.units, x.scale, x.size) == ("x", "nm", 8.0, 32)
        assert (y.name, y.units, y.scale, y.size) == ("y", "nm", 8.0, 32)
        assert signal.axes_manager.navigation_axes[0].size == 3
        assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 200.0
        own = signal.original_metadata.adaptem
        columns = own.table_columns.split()
        assert list(np.asarray(own.table)[:, columns.index("turn")]) == [0, 1, 2]
        assert np.asarray(own.row_start_s).shape == (3, 32)

    def test_spectrum_images_can_be_quantified(
        self, tmp_path: Path, header: Header, make_record: MakeRecord, make_observation: MakeObservation
    ) -> None:
        hs = pytest.importorskip("hyperspy.api")
        pytest.importorskip("exspy")
        seen = [make_observation(turn, "EELS", 4, 64.0) for turn in range(2)]
        with FileRecorder(tmp_path / "run", header) as recorder:
            for turn in range(2):
                recorder.write(make_record(turn, seen[turn]), seen[turn])
        signal = hs.load(tmp_path / "run/arrays/EELS_4x4x64_16nm.hspy")
        assert type(signal).__name__ == "EELSSpectrum"
        assert np.array_equal(signal.data, [item.data for item in seen])
        energy = signal.axes_manager.signal_axes[0]
        assert (energy.name, energy.units, energy.offset, energy.scale) == ("Energy loss", "eV", 400.0, 2.0)
        assert [(a.name, a.size, a.units) for a in signal.axes_manager.navigation_axes] == [
            ("x", 4, "nm"), ("y", 4, "nm"), ("turn", 2, ""),
        ]  # fmt: skip
        assert signal._are_microscope_parameters_missing() is False
        assert signal.metadata.Acquisition_instrument.TEM.Detector.EELS.collection_angle == 20.0


def test_files_are_of_the_version_that_survives_a_kill(tmp_path: Path, write: Callable[..., list[Record]]) -> None:
    write(1)
    with h5py.File(tmp_path / "run/arrays/HAADF_32x32_8nm.hspy") as file:
        assert file.libver[0] == "earliest"


def test_a_line_that_does_not_fit_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / LOG_NAME)
    log.append(b"one\n")
    real, left = os.write, [3]

    def full(file: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        done = real(file, data[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(eventlog.os, "write", full)
    with pytest.raises(RecordError, match="cannot be written: No space left on device"):
        log.append(b"two, too long\n")
    monkeypatch.undo()
    assert (tmp_path / LOG_NAME).read_bytes() == b"one\n"
    log.append(b"two\n")
    log.close()
    assert (tmp_path / LOG_NAME).read_bytes() == b"one\ntwo\n"


class Killed(BaseException):
    """Stands for the end of the process in the middle of a turn."""


def test_turns_survive_a_kill_between_any_two_writes_to_the_disk(
    tmp_path: Path, header: Header, make_record: MakeRecord, make_observation: MakeObservation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seen = [make_observation(turn) for turn in range(65)]
    left, survived = [10**9], 0

    def dying(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return real(*arguments)

        monkeypatch.setattr(turnfile.os, name, call)

    for name in ("pwrite", "ftruncate", "unlink"):
        dying(name)
    # At the 65th item HDF5's index of chunks grows, and changes what it says of all others.
    for turns in (1, 64):
        for writes in range(40):
            folder = tmp_path / f"{turns}-{writes}"
            left[0] = 10**9
            recorder = FileRecorder(folder, header)
            for turn in range(turns):
                recorder.write(make_record(turn, seen[turn]), seen[turn])
            left[0] = writes
            try:
                recorder.write(make_record(turns, seen[turns]), seen[turns])
            except Killed:
                survived += 1
            else:
                break
            finally:
                recorder._log.close()
                left[0] = 10**9
            with open_run(folder) as run:
                assert run.problems == []
                for record in run.records:
                    rebuilt = run.observation(record)
                    assert rebuilt is not None
                    assert np.array_equal(rebuilt.data, seen[record.turn].data)  # type: ignore[arg-type]
                assert len(run.records) == turns
            FileRecorder.resume(folder).close()
    assert survived > 20
