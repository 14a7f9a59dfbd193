"""The OpenAPI description against the server: whatever fits it, or does not, the server never fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsal import Run

from agent.console import files
from agent.console.api import CALLS, openapi, status_of
from agent.console.words import Conflict, ConsoleError, Forbidden, Impossible, NotFound
from agent.eventlog import RecordError


def test_every_call_is_described() -> None:
    paths = openapi()["paths"]
    for name in (files.HSPY, files.REPORT):
        assert "get" in paths.pop(f"/files/{name}")
    assert {(call.method.lower(), call.path) for call in CALLS} == {
        (method, path) for path, calls in paths.items() for method in calls
    }
    assert len({told["operationId"] for calls in paths.values() for told in calls.values()}) == len(CALLS)


def test_every_error_has_its_status() -> None:
    told = {Forbidden: 403, NotFound: 404, Conflict: 409, Impossible: 409, ConsoleError: 409, RecordError: 503}
    assert {kind: status_of(kind("why")) for kind in told} == told
    assert status_of(KeyError("why")) is None


@pytest.mark.slow
def test_schemathesis_finds_no_error(run: Run, tmp_path: Path) -> None:
    run.start()
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(openapi()))
    # A decimal point makes no whole number here, for JSON Schema it does. A stop would end what is tested.
    command = [
        Path(sys.executable).with_name("schemathesis"), "run", described, "--url", run.door.address,
        "--header", f"Authorization: Bearer {run.door.operator}", "--checks", "all", "--seed", "7",
        "--max-examples", "60", "--exclude-checks", "positive_data_acceptance", "--exclude-path", "/api/stop",
        "--generation-database", "none",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
