import os
from pathlib import Path

import pytest

from agent.torn import SIZE, TornFile


def test_what_is_beyond_the_end_reads_as_zeros(tmp_path: Path) -> None:
    (tmp_path / "torn").write_bytes(b"abcdef")
    with TornFile(tmp_path / "torn") as file:
        assert file.read(4) == b"abcd"
        assert file.tell() == 4
        assert file.read(4) == b"ef\0\0"
        assert file.seek(-2, os.SEEK_CUR) == 6
        assert file.seek(0, os.SEEK_END) == SIZE
    with pytest.raises(FileNotFoundError):
        TornFile(tmp_path / "none")
