"""The example of docs/stream.md runs, and its numbers are the ones in the code."""

import re
import subprocess
import sys
from pathlib import Path

from bench import LIMITS, Bench, scan
from processes import wait_until

from hardware_bridge import dataport
from hardware_bridge.client import Client
from hardware_bridge.microscope import execute
from hardware_bridge.reader import EVERYTHING
from hardware_bridge.server import Server
from hardware_bridge.subscriber import COMPRESSING_SHARE

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "stream.md").read_text(encoding="utf-8")


def test_the_example_shows_what_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    server = Server(Bench(), LIMITS, "tcp://127.0.0.1:0", tmp_path)
    try:
        example = example.replace("tcp://127.0.0.1:5570", server.endpoint).replace("10.0", "1.0")
        command = [sys.executable, "-c", example]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as shown:
            wait_until(lambda: bool(server._runner._port._subscribers), 20.0)
            with Client(server.endpoint) as client:
                execute(client, scan("a"), 5.0)
            said, _ = shown.communicate(timeout=20.0)
        assert shown.returncode == 0
    finally:
        server.close()
    assert said.startswith("Start(command_id='a'")
    assert "\nEnd(command_id='a'" in said


def test_its_numbers_are_those_of_the_code() -> None:
    assert f"({EVERYTHING.window_bytes >> 20} MB unless told)" in PAGE
    assert f"has read nothing for {dataport.STALL_S:g} s" in PAGE
    assert f"At most {dataport.MAX_SUBSCRIBERS} readers" in PAGE
    assert COMPRESSING_SHARE == 0.1
    assert "at most a tenth" in PAGE
