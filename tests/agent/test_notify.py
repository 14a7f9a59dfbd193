"""Somebody who is not there hears how a run ended; what goes wrong with telling harms nobody."""

from __future__ import annotations

import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.notify import Notify, Teller, failure_told, tell

WRITE = "import sys; open(sys.argv[1], 'w').write(sys.argv[2] + '|' + sys.stdin.read())"


@pytest.fixture
def posted() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Address of a web server, and what was posted to it."""
    bodies: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def by_command(path: Path) -> Notify:
    return Notify(command=(sys.executable, "-c", WRITE, str(path), "{subject}"))


def test_a_webhook_is_told(posted: tuple[str, list[dict[str, str]]]) -> None:
    address, bodies = posted
    assert tell(Notify(webhook=address), "ended", "run 7", "S = 0.8") == []
    assert bodies == [{"subject": "run 7", "text": "S = 0.8", "occasion": "ended"}]


def test_a_command_gets_subject_and_text_without_a_shell(tmp_path: Path) -> None:
    assert tell(by_command(tmp_path / "said"), "ended", "run; touch x $(id)", "line 1\nline 2") == []
    assert (tmp_path / "said").read_text() == "run; touch x $(id)|line 1\nline 2"


def test_only_the_wanted_occasions_are_told(tmp_path: Path) -> None:
    wanted = Notify(command=by_command(tmp_path / "said").command, on=("failed",))
    assert tell(wanted, "ended", "a", "b") == []
    assert not (tmp_path / "said").exists()


def test_what_goes_wrong_is_said_and_raises_nothing() -> None:
    notify = Notify(webhook="http://127.0.0.1:9/", command=("no-such-command",))
    problems = tell(notify, "ended", "a", "b")
    assert [problem.split(" = ")[0] for problem in problems] == ["notify.webhook", "notify.command"]
    failing = Notify(command=(sys.executable, "-c", "import sys; sys.exit('no such mailbox')"))
    assert "exit status 1: no such mailbox" in tell(failing, "ended", "a", "b")[0]


@pytest.mark.parametrize(
    ("error", "told"), [(OSError("disk"), "failed|OSError: disk"), (KeyboardInterrupt(), "interr")]
)
def test_failures_are_told_and_go_their_way(tmp_path: Path, error: BaseException, told: str) -> None:
    with pytest.raises(type(error)), failure_told(by_command(tmp_path / "said"), "first"):
        raise error
    said = (tmp_path / "said").read_text()
    assert said.startswith("adaptem: first")
    assert told in said


def test_nothing_is_told_where_nothing_fails(tmp_path: Path) -> None:
    with failure_told(by_command(tmp_path / "said"), "first"):
        pass
    assert not (tmp_path / "said").exists()


def test_alarms_are_told_while_their_teller_goes_on_and_what_waits_is_told_together(tmp_path: Path) -> None:
    slow = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'a').write('[' + sys.stdin.read() + ']')"
    with Teller(Notify(command=(sys.executable, "-c", slow, str(tmp_path / "said"))), "first") as teller:
        teller.alarm("one")
        begun = time.monotonic()
        while not (tmp_path / "said").exists():
            assert time.monotonic() < begun + 20.0
            time.sleep(0.01)
        for text in ("two", "three", "four"):
            teller.alarm(text)
    said = (tmp_path / "said").read_text()
    assert said.startswith("[one][")
    assert said.replace("][", "\n") == "[one\ntwo\nthree\nfour]"
    assert said.count("[") <= 3
    assert teller.problems == []
