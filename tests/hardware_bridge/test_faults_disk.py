"""The journal's disk is full, or cannot be written at all: nothing that changes a state is accepted, blank works."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from bench import scan
from processes import Served, served, start, wait_until

from hardware_bridge.client import Client
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import End
from hardware_bridge.microscope import execute
from hardware_bridge.wire import Done, NotStarted, Unknown

BLANKED_WITHIN_S = 0.5


def _why_no_disk() -> str:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "a small disk needs root and the program unshare"
    made = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True
    )
    return f"no disk can be mounted: {made.stderr.strip()}" if made.returncode else ""


WHY_NOT = _why_no_disk()
needs_disk = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def on_disk(folder: Path, options: str) -> list[str]:
    """The beginning of a command line that sees a small disk of its own at ``folder``."""
    folder.mkdir()
    mount = f'mount -t tmpfs -o {options} none "{folder}" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


def fill_disk(server: Served) -> None:
    with (server.folder / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def no_more_bytes(server: Served) -> None:
    """As on a disk that has become read-only: no file may grow any more, what is mapped goes on working."""
    written = (server.folder / "commands.journal").stat().st_size
    psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_FSIZE, (written, psutil.RLIM_INFINITY))


@pytest.fixture(params=[pytest.param("full", marks=needs_disk), "no more bytes"])
def spoilt(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Served, Callable[[], None]]]:
    """A bridge, and what makes its journal unwritable; its scans take about a minute."""
    is_full = request.param == "full"
    inside = on_disk(tmp_path / "disk", "size=128k") if is_full else ()
    with served(tmp_path / "disk", inside, chunk_s=0.02) as server:
        yield server, lambda: fill_disk(server) if is_full else no_more_bytes(server)


def refused(client: Client) -> str:
    """Submit until the journal refuses: what is left of its last block on the disk may still take some."""
    for number in range(40):
        try:
            execute(client, scan(f"fill-{number}", rows=8), 5.0)
        except Rejected as error:
            if error.code != "journal":
                raise
            return f"fill-{number}"
    raise AssertionError("40 commands fitted on a full disk")


def begin(server: Served) -> None:
    """Take and give back the lease until the journal refuses: a token needs little room."""
    for _ in range(40):
        Client(server.endpoint).close()


def test_an_unwritable_journal_stops_commands_and_not_blank(spoilt: tuple[Served, Callable[[], None]]) -> None:
    server, spoil = spoilt
    with Client(server.endpoint) as client:
        execute(client, scan("before", rows=8), 5.0)
        spoil()
        name = refused(client)
        assert isinstance(client.fate(name), NotStarted)
        assert client.state().beam_blanked
        client.blank()
        client.stop()
    assert server.beam.is_blanked
    with pytest.raises(Rejected, match="journal that can be written"):
        begin(server)
    with Client(server.endpoint, holder=None) as onlooker:
        onlooker.blank()
        assert isinstance(onlooker.fate("before"), Done)


def test_a_scan_during_which_the_disk_fills_up_is_blanked_and_unknown_afterwards(
    spoilt: tuple[Served, Callable[[], None]], tmp_path: Path
) -> None:
    server, spoil = spoilt
    with Client(server.endpoint) as client:
        client.submit(scan("scan", rows=256, frames=64))
        parts = client.watch(5.0)
        wait_until(lambda: next(parts) is not None and not server.beam.is_blanked)
        spoil()
        since_s = time.monotonic()
        client.blank()
        assert time.monotonic() - since_s < BLANKED_WITHIN_S
        assert server.beam.is_blanked
        *_, end = parts
        assert isinstance(end, End)
        assert end.aborted
        journal = (server.folder / "commands.journal").read_bytes()
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "commands.journal").write_bytes(journal)
    with served(tmp_path / "again") as again, Client(again.endpoint) as client:
        # Where the result still fitted into the last block it is done; where not it is not guessed.
        assert isinstance(client.fate("scan"), Unknown | Done)
        assert client.state().electrons_charged >= end.electrons


@needs_disk
def test_on_a_full_disk_no_bridge_starts_and_it_says_why(tmp_path: Path) -> None:
    """A file that is only promised its memory would end the process at the first word for the blanker."""
    inside = on_disk(tmp_path / "disk", "size=128k")
    inside[-2] = inside[-2].replace("exec", f'(cat /dev/zero > "{tmp_path / "disk"}/fill" || true) && exec')
    process = start("served.py", str(tmp_path / "disk"), inside=inside, stderr=subprocess.PIPE)
    assert "No space left on device" in process.communicate(timeout=20.0)[1].decode().splitlines()[-1]
    assert process.returncode == 1


@needs_disk
def test_on_a_disk_that_cannot_be_written_no_bridge_starts(tmp_path: Path) -> None:
    inside = on_disk(tmp_path / "disk", "ro")
    process = start("served.py", str(tmp_path / "disk"), inside=inside, stderr=subprocess.PIPE)
    assert "Read-only file system" in process.communicate(timeout=20.0)[1].decode()
    assert process.returncode != 0
