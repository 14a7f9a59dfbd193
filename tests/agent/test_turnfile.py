import os
import random
from pathlib import Path

import pytest

from agent import turnfile
from agent.turnfile import TurnFile


def test_it_reads_and_writes_like_a_file(tmp_path: Path) -> None:
    """Random reads, writes and truncations give what an ordinary file gives, committed or not."""
    rng = random.Random(1)
    ours = TurnFile(tmp_path / "ours", new=True)
    with (tmp_path / "plain").open("w+b", buffering=0) as plain:
        for _ in range(2000):
            position, length = rng.randrange(4000), rng.randrange(1, 300)
            kind = rng.choice(["write", "write", "read", "truncate", "commit"])
            for file in (ours, plain):
                file.seek(position)
            if kind == "write":
                data = rng.randbytes(length)
                assert ours.write(memoryview(data)) == plain.write(data)
            elif kind == "read":
                expected = plain.read(length)
                assert ours.read(length) == expected + bytes(length - len(expected))
            elif kind == "truncate":
                # HDF5 sets the size to the end of what it has allocated, never below what it keeps.
                size = max(plain.seek(0, os.SEEK_END), position)
                assert ours.truncate(size) == plain.truncate(size)
            else:
                ours.commit()
                assert (tmp_path / "ours").read_bytes() == (tmp_path / "plain").read_bytes()
            assert ours.seek(0, os.SEEK_END) == plain.seek(0, os.SEEK_END) == ours.tell()
    ours.close()


def test_nothing_is_on_disk_before_a_commit(tmp_path: Path) -> None:
    file = TurnFile(tmp_path / "file", new=True)
    file.write(memoryview(b"turn one"))
    file.flush()
    assert (tmp_path / "file").read_bytes() == b""
    file.commit()
    assert (tmp_path / "file").read_bytes() == b"turn one"
    file.write(memoryview(b", turn two"))
    file.close()
    assert (tmp_path / "file").read_bytes() == b"turn one"


def test_a_file_can_shrink(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = TurnFile(tmp_path / "file", new=False)
    file.truncate(4)
    file.commit()
    file.close()
    assert (tmp_path / "file").read_bytes() == b"0123"


def test_what_cannot_grow_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room for 12 bytes: neither the part that would fit nor the change in place is done."""
    real = os.pwrite

    def full(file: int, data: memoryview, offset: int) -> int:
        room = 12 - offset
        if room <= 0:
            raise OSError(28, "No space left on device")
        return real(file, data[:room], offset)

    file = TurnFile(tmp_path / "file", new=True)
    file.write(memoryview(b"turn one"))
    file.commit()
    monkeypatch.setattr(turnfile.os, "pwrite", full)
    file.seek(0)
    file.write(memoryview(b"TURN"))
    file.seek(6)
    file.write(memoryview(b"NEXT TURN"))
    with pytest.raises(OSError, match="No space left"):
        file.commit()
    assert (tmp_path / "file").read_bytes() == b"turn one"
    monkeypatch.undo()
    file.commit()
    assert (tmp_path / "file").read_bytes() == b"TURN oNEXT TURN"
    file.close()


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"there")
    with pytest.raises(FileExistsError):
        TurnFile(tmp_path / "file", new=True)
