"""What a console hands out: arrays that HyperSpy opens, and the report so far."""

import io
import zipfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import h5py
import pytest

from agent.console import files
from agent.console.words import NotFound
from agent.replay import opened


def test_arrays_and_report(recorded: Path) -> None:
    with opened(recorded, port=0) as door:

        def got(name: str, token: str = door.observer) -> bytes:
            request = Request(f"{door.address}/files/{name}", headers={"Authorization": f"Bearer {token}"})
            with urlopen(request, timeout=60.0) as reply:
                return bytes(reply.read())

        with zipfile.ZipFile(io.BytesIO(got(files.HSPY))) as archive:
            found = {Path(name).name: archive.read(name) for name in archive.namelist()}
        assert found == {path.name: path.read_bytes() for path in (recorded / "arrays").glob("*.hspy")}
        for data in found.values():
            with h5py.File(io.BytesIO(data)) as file:
                assert file["Experiments"]
        assert "<svg" in got(files.REPORT).decode()
        for name, token, status in (("other", door.operator, 404), (files.HSPY, "wrong", 401)):
            with pytest.raises(HTTPError) as refused:
                got(name, token)
            with refused.value:
                assert refused.value.code == status


def test_nothing_was_seen_yet(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing was seen"):
        files.write(tmp_path, files.HSPY, tmp_path / "out")
