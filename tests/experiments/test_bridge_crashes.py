"""After a crash at whatever side effect nothing is guessed; and each hole that is made is found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import xxhash

from experiments.bridge_faults import page
from experiments.bridge_faults.__main__ import MEMORY
from experiments.bridge_faults.crashes import World, enumerated
from experiments.bridge_faults.tracing import Tracer
from hardware_bridge import journal as journal_module
from hardware_bridge.dose import DoseLedger
from hardware_bridge.journal import FileJournal, JournalDamaged, Past


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: the journal is synced thousands of times."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as scratch:
        yield Path(scratch)


def test_after_a_crash_before_any_side_effect_nothing_is_guessed(folder: Path) -> None:
    found = enumerated(folder)
    assert found.wrong == []
    assert found.crashes == len(found.effects) + 1 > 100
    assert found.torn > 10_000
    fates = {at: {fate for effect, fate in found.fates if effect == at} for at, _ in found.fates}
    assert fates["journal: write Intent"] == {"NotStarted"}
    assert fates["instrument: submit"] == fates["instrument: Chunk"] == {"Unknown"}
    assert fates["journal: write Result"] == {"Unknown"}
    assert fates["journal: write Withdrawn"] == {"Unknown"}
    section = page.crashes_section(found, 1.0)
    assert "What was wrong: nothing" in section
    assert "| journal: write Withdrawn | 1 | Unknown 1 |" in section


def test_the_script_has_the_same_effects_each_time(folder: Path) -> None:
    worlds = [World(folder / name, Tracer()) for name in "ab"]
    for world in worlds:
        world.play()
    assert worlds[0].tracer.effects == worlds[1].tracer.effects


def _unsynced(journal: FileJournal, entry: object) -> None:
    body = msgspec.json.encode(entry)
    line = xxhash.xxh3_64_hexdigest(body).encode() + b" " + body + b"\n"
    journal_module.os.write(journal._file, line)
    journal._whole += len(line)


def test_an_intent_that_is_not_written_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileJournal, "intent", lambda *_: None)
    with pytest.raises(JournalDamaged, match="'first'"):
        enumerated(folder)


def test_a_journal_that_is_not_synced_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileJournal, "_write", _unsynced)
    world = World(folder / "a", Tracer(60))
    world.play()
    *_, nothing_kept = world.torn_journals()
    assert any("is not started" in wrong for wrong in world.read_back(nothing_kept, world.told()))


@pytest.mark.parametrize(
    ("where", "name", "hole", "said"),
    [
        (FileJournal, "result", lambda *_: None, "its End had been told"),
        (FileJournal, "tokens", lambda *_: None, "had been given away"),
        (Past, "ledger", lambda past, limits: DoseLedger(limits), "electrons charged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hole_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str, hole: Callable[..., object], said: str
) -> None:
    monkeypatch.setattr(where, name, hole)
    found = enumerated(folder, every=20)
    assert any(said in line for line in found.wrong), found.wrong[:3]
