from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.console.audit import AUDIT_NAME, Audit, verified
from agent.eventlog import LOG_NAME, RecordError
from agent.record import Record

Make = Callable[..., Record]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / LOG_NAME).write_bytes(b'{"header":"of this run"}\n{"event":0}\n')
    return tmp_path


def write(folder: Path, turns: int = 3) -> Path:
    audit = Audit(folder)
    for turn in range(turns):
        audit.append("asked", turn=turn, shown=("HAADF here", "EELS there"), reason="every decision is asked")
        audit.append("approved", by="ada", screen="page", turn=turn, reason="seen long ago", took_s=1.5)
    audit.close()
    return folder / AUDIT_NAME


def decided(record: Record, by: str = "ada") -> Record:
    return replace(record, decision=replace(record.decision, by=by))


def test_what_was_written_is_read(folder: Path, make_record: Make) -> None:
    write(folder)
    entries, problems = verified(folder, [decided(make_record(turn, None)) for turn in range(3)])
    assert problems == []
    assert [entry.number for entry in entries] == list(range(6))
    assert (entries[1].what, entries[1].by, entries[1].took_s) == ("approved", "ada", 1.5)
    assert entries[0].shown == ("HAADF here", "EELS there")


def test_an_unasked_run_needs_no_log(folder: Path, make_record: Make) -> None:
    record = make_record(0, None)
    assert verified(folder, [record]) == ([], [])
    assert verified(folder, [decided(record)])[1] == ["audit.jsonl: is missing, and people decided 1 turns"]


@pytest.mark.parametrize("how", ["changed", "taken out", "moved", "put in twice", "numbered anew"])
def test_the_first_broken_line_is_named(folder: Path, how: str) -> None:
    path = write(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "changed":
        lines[2] = lines[2].replace(b'"turn":1', b'"turn":2')
    elif how == "taken out":
        del lines[2]
    elif how == "moved":
        lines[2], lines[3] = lines[3], lines[2]
    elif how == "put in twice":
        lines.insert(2, lines[1])
    else:
        lines[2] = lines[2].replace(b'{"sha256":"', b'{"sha257":"')
    path.write_bytes(b"".join(lines))
    entries, problems = verified(folder, [])
    assert problems == ["audit.jsonl: line 3 is not what was written there: its hash does not follow"]
    assert len(entries) == 2
    with pytest.raises(RecordError, match="line 3"):
        Audit(folder)


@given(data=st.data())
def test_any_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("audit")
    (folder / LOG_NAME).write_bytes(b"header\n")
    path = write(folder, 2)
    before = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(before) - 1))
    before[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(before)
    entries, problems = verified(folder, [])
    assert len(problems) == 1
    assert len(entries) == bytes(before[:at]).count(b"\n") or at == len(before) - 1


def test_the_log_of_another_run_does_not_fit(folder: Path) -> None:
    write(folder)
    (folder / LOG_NAME).write_bytes(b'{"header":"of another run"}\n')
    assert "line 1 is not what was written there" in verified(folder, [])[1][0]


def test_lines_cut_off_at_the_end_are_missed(folder: Path, make_record: Make) -> None:
    path = write(folder)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    records = [decided(make_record(turn, None)) for turn in range(3)]
    _, problems = verified(folder, records)
    assert problems == ["audit.jsonl: turn 2 was approved by ada, and no line tells of it"]
    assert verified(folder, records[:2])[1] == []


def test_a_decision_of_somebody_else_is_missed(folder: Path, make_record: Make) -> None:
    write(folder)
    _, problems = verified(folder, [decided(make_record(1, None), "bob")])
    assert problems == ["audit.jsonl: turn 1 was approved by bob, and no line tells of it"]


def test_it_goes_on_after_a_torn_line(folder: Path) -> None:
    path = write(folder)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"sha256":"12')
    assert verified(folder, [])[1] == ["audit.jsonl: line 7, the last, is cut off"]
    audit = Audit(folder)
    audit.append("stopped", by="ada")
    audit.close()
    entries, problems = verified(folder, [])
    assert problems == []
    assert (entries[-1].number, entries[-1].what) == (6, "stopped")
    assert path.read_bytes().startswith(whole)


def test_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="is this the folder of a run"):
        Audit(tmp_path)


def test_an_entry_of_a_later_turn_tells_of_no_earlier_one(folder: Path, make_record: Make) -> None:
    audit = Audit(folder)
    audit.append("approved", by="ada", turn=3)
    audit.close()
    assert verified(folder, [decided(make_record(2, None))])[1] != []
    assert verified(folder, [decided(make_record(3, None))])[1] == []
    assert verified(folder, [decided(make_record(5, None))])[1] == [], "what waited may run turns later"


def test_a_look_for_the_place_is_told_of_too(folder: Path, make_record: Make) -> None:
    audit = Audit(folder)
    audit.append("approved", by="ada", turn=0)
    records = [decided(make_record(turn, None)) for turn in range(2)]
    assert "turn 1 was approved by ada, and no line tells of it" in verified(folder, records)[1][0]
    audit.append("finding", by="ada", turn=0)
    audit.close()
    assert verified(folder, records)[1] == []
