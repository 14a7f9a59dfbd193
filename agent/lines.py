"""Files of results, a line of JSON each, that outlive their writer: what is whole is read, what is not is named."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from hardware_bridge.words import Word, WordT


def read_lines(path: Path, kind: type[WordT]) -> tuple[list[WordT], list[str]]:
    """The whole lines of a file, and a complaint for each that is empty, torn or of something else.

    There are none of either where there is no file.
    """
    if not path.exists():
        return [], []
    words, problems = [], []
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            words.append(msgspec.json.decode(text, type=kind))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            why = str(error) if text.strip() else "it is empty"
            problems.append(f"{path}, line {number}: skipped: {why}")
    return words, problems


def append_line(path: Path, word: Word) -> None:
    """Add a line, and return once it is on disk; what was torn before stays a line of its own.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("a+b") as file:
        torn = False
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        file.write(b"\n" * torn + msgspec.json.encode(word) + b"\n")
        file.flush()
        os.fsync(file.fileno())
