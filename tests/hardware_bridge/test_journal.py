"""After a crash every command is done, not started or unknown, and what is unknown stays charged in full."""

import os
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bench import LIMITS, Bench, scan
from hypothesis import given
from hypothesis import strategies as st

from hardware_bridge.dose import predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.guard import Guard
from hardware_bridge.journal import FileJournal, JournalDamaged, read
from hardware_bridge.messages import Command, Go
from hardware_bridge.microscope import execute


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "commands.journal"


def guarded(journal: FileJournal, bench: Bench | None = None) -> Guard:
    """A guard that remembers what the journal tells."""
    return Guard(bench or Bench(), LIMITS, journal, journal.past.ledger(LIMITS), journal.past.settled)


def crashed(path: Path) -> float:
    """Run one command, begin a second, and go away; returns the electrons charged by then."""
    journal = FileJournal(path)
    guard = guarded(journal)
    execute(guard, scan("done"), 1.0)
    guard.submit(scan("begun"))
    journal.tokens(7)
    charged = guard.state().electrons_charged
    journal.close()
    return charged


def test_what_ended_is_done_what_began_is_unknown_and_the_rest_never_started(path: Path) -> None:
    crashed(path)
    journal = FileJournal(path)
    guard = guarded(journal)
    assert guard.fate("never") == "not started"
    assert guard.fate("begun") == "unknown"
    end = guard.fate("done")
    assert not isinstance(end, str)
    assert end.command_id == "done"
    assert journal.past.token == 7
    journal.close()


def test_after_a_restart_a_done_command_repeats_its_end_and_an_unknown_one_is_refused(path: Path) -> None:
    crashed(path)
    journal, bench = FileJournal(path), Bench()
    guard = guarded(journal, bench)
    assert execute(guard, scan("done"), 1.0).end_s > 0
    with pytest.raises(Rejected, match="unknown"):
        guard.submit(scan("begun"))
    with pytest.raises(Rejected, match="id_reused"):
        guard.submit(scan("done", rows=64))
    assert not bench.seen
    journal.close()


def test_the_ledger_comes_back_with_the_unknown_charged_in_full(path: Path) -> None:
    charged = crashed(path)
    journal = FileJournal(path)
    guard = guarded(journal)
    assert guard.state().electrons_charged == pytest.approx(charged)
    bench = Bench()
    full = predict_charge(scan("begun"), LIMITS, bench.state(), bench.describe())
    assert charged == pytest.approx(2 * full.electrons)
    assert guard.ledger.fluence_e_per_A2.max() == pytest.approx(2 * full.fluence_e_per_A2)
    journal.close()


def test_the_intent_is_on_disk_before_the_instrument_sees_the_command(path: Path) -> None:
    class Looking(Bench):
        def submit(self, command: Command) -> None:
            assert command.id in read(path)[0].settled
            super().submit(command)

    journal = FileJournal(path)
    execute(guarded(journal, Looking()), scan("a"), 1.0)
    journal.close()


def test_what_the_instrument_refused_did_not_start_and_costs_nothing(path: Path) -> None:
    class Refusing(Bench):
        def submit(self, command: Command) -> None:
            raise Rejected("driver", "id", command.id, "nothing today")

    journal = FileJournal(path)
    with pytest.raises(Rejected, match="nothing today"):
        guarded(journal, Refusing()).submit(scan("a"))
    journal.close()
    again = FileJournal(path)
    guard = guarded(again)
    assert guard.fate("a") == "not started"
    assert guard.state().electrons_charged == 0.0
    again.close()


def test_what_safety_refused_is_not_in_the_journal(path: Path) -> None:
    journal = FileJournal(path)
    with pytest.raises(Rejected):
        guarded(journal).submit(Command(id="far", go=Go(stage_x_nm=1e6)))
    assert path.stat().st_size == 0
    journal.close()


@given(cut=st.integers(1, 10_000))
def test_a_torn_end_is_cut_off_and_what_was_whole_is_kept(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "commands.journal"
    crashed(path)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    last = len(lines[-1])
    path.write_bytes(whole[: len(whole) - 1 - cut % last])
    journal = FileJournal(path)
    assert set(journal.past.settled) == {"done", "begun"}
    assert journal.past.token == 0
    journal.tokens(9)
    journal.close()
    assert read(path)[0].token == 9


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_damage_before_the_end_is_told_and_never_guessed_around(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "commands.journal"
    crashed(path)
    data = bytearray(path.read_bytes())
    first = data.index(b"\n")
    data[at % first] ^= flip
    path.write_bytes(bytes(data))
    with pytest.raises(JournalDamaged, match="line 1"):
        FileJournal(path)


def test_a_journal_belongs_to_one_process_at_a_time(path: Path) -> None:
    journal = FileJournal(path)
    with pytest.raises(OSError):  # noqa: PT011 - the system's own
        FileJournal(path)
    journal.close()


def test_tokens_and_commands_are_written_by_two_threads_at_once(path: Path) -> None:
    journal = FileJournal(path)
    guard = guarded(journal)
    with ThreadPoolExecutor(1) as desk:
        given = desk.submit(lambda: [journal.tokens(token) for token in range(1, 101)])
        for number in range(50):
            execute(guard, scan(f"c{number}", rows=8), 1.0)
        given.result()
    journal.close()
    past, whole = read(path)
    assert (len(past.settled), past.token, whole) == (50, 100, path.stat().st_size)


def _moved(path: Path) -> None:
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "disturb",
    [Path.unlink, _moved, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, path.stat().st_size + 1)],
    ids=["removed", "rotated", "emptied", "written to"],
)
def test_a_journal_that_somebody_disturbs_stops_commands_but_not_blank(
    path: Path, disturb: Callable[[Path], object]
) -> None:
    """What would be written there is not what a restart reads: dose, ids and tokens would be forgotten."""
    journal, bench = FileJournal(path), Bench()
    guard = guarded(journal, bench)
    execute(guard, scan("before"), 1.0)
    disturb(path)
    with pytest.raises(Rejected, match="journal"):
        guard.submit(scan("after"))
    guard.blank()
    assert [command.id for command in bench.seen] == ["before"]
    assert bench.blanks == 1
    journal.close()


def test_a_full_disk_stops_commands_but_not_blank(path: Path) -> None:
    journal, bench = FileJournal(path), Bench()
    guard = guarded(journal, bench)
    execute(guard, scan("before"), 1.0)
    size, charged = path.stat().st_size, guard.state().electrons_charged
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))  # python ignores SIGXFSZ: the write fails instead
    try:
        with pytest.raises(Rejected, match="journal"):
            guard.submit(scan("a"))
        guard.blank()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [command.id for command in bench.seen] == ["before"]
    assert guard.state().electrons_charged == charged
    assert bench.blanks == 1
    assert path.stat().st_size == size
    execute(guard, scan("a"), 1.0)
    journal.close()


def test_a_journal_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileJournal(tmp_path / "nowhere" / "commands.journal")
