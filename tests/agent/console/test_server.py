"""The console over HTTP and its socket, as screens and strangers meet it."""

import http.client
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from rehearsal import Run
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from agent.console.client import Gone, RemoteConsole
from agent.console.door import read
from agent.console.words import Approve, Conflict, Edit, Forbidden, NotFound, Person, Question, Refuse, Replay, Undo

ADA = Person(name="ada", role="operator", screen="one")
BOB = Person(name="bob", role="operator", screen="two")


def asked(run: Run) -> Question:
    for _ in range(500):
        question = run.client.status().question
        if question is not None and question.state == "proposed":
            return question
        time.sleep(0.01)
    raise AssertionError("nothing is asked")


def raw(run: Run, method: str, path: str, token: str | None = None, body: bytes | None = None, **headers: str) -> Any:
    connection = http.client.HTTPConnection(urlsplit(run.door.address).netloc, timeout=5.0)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body, headers)
    reply = connection.getresponse()
    data = reply.read()
    connection.close()
    return reply.status, data, reply.headers


@contextmanager
def live(run: Run, token: str, **hello: str) -> Iterator[ClientConnection]:
    with connect(run.door.address.replace("http", "ws") + "/live") as socket:
        socket.send(json.dumps({"token": token, "name": "eve", "screen": "s", **hello}))
        yield socket


def test_a_turn_is_approved_over_http(run: Run) -> None:
    run.start()
    question = asked(run)
    assert [choice.width_nm for choice in question.choices] == [256.0, 128.0, pytest.approx(256 / 3)]
    after = run.client.answer(ADA, question.id, Approve(revision=question.revision, choice=1))
    assert (after.by, after.chosen) == ("ada", 1)
    assert asked(run).turn == 1
    assert [command.id for command in run.ran] == ["t0-1"]
    assert run.client.question(question.id).state == "done"


def test_an_edit_by_a_place_and_by_text(run: Run) -> None:
    run.start()
    question = asked(run)
    with pytest.raises(Conflict, match="stage_x_nm = 5000 refused"):
        run.client.edit(ADA, question.id, Edit(revision=0, x_nm=5000.0, y_nm=0.0))
    moved = run.client.edit(ADA, question.id, Edit(revision=0, x_nm=12.5, y_nm=-30.0, changes="dwell_s=3e-6"))
    assert (moved.choices[-1].x_nm, moved.choices[-1].y_nm) == (12.5, -30.0)
    run.client.answer(ADA, question.id, Approve(revision=1, choice=3))
    asked(run)
    assert (run.ran[0].go.stage_x_nm, run.ran[0].go.stage_y_nm) == (12.5, -30.0)


def test_what_is_refused_and_with_which_status(run: Run) -> None:
    run.start()
    name, operator = asked(run).id, run.door.operator
    path, approve = f"/api/questions/{name}/answer", b'{"verdict":"approve","revision":0}'
    assert raw(run, "POST", path, None, approve)[0] == 401
    assert raw(run, "POST", path, "forged", approve)[0] == 401
    assert raw(run, "POST", path, "fürged".encode().decode("latin-1"), approve)[0] == 401
    assert raw(run, "POST", path, run.door.observer, approve)[0] == 403
    assert raw(run, "POST", path, operator, b'{"verdict":"approve","revision":7}')[0] == 409
    assert raw(run, "POST", path, operator, b'{"verdict":"approve","revision":0,"choice":9}')[0] == 404
    assert raw(run, "POST", "/api/questions/none/answer", operator, approve)[0] == 404
    no_word = (
        b"",
        b"{",
        b"[]",
        b'{"verdict":"approve"}',
        b'{"revision":0}',
        b"\xff",
        b'{"x":' * 5000,
        approve + b" " * 30_000,
    )
    for body in no_word:
        assert raw(run, "POST", path, operator, body)[0] == 422, body[:50]
    assert raw(run, "POST", path, operator, approve, **{"Adaptem-Name": "a b"})[0] == 422
    assert run.ran == []
    assert raw(run, "POST", path, operator, approve)[0] == 200
    assert raw(run, "POST", path, operator, approve)[0] == 409


def test_a_stranger_sees_the_empty_page_only(run: Run) -> None:
    status, page, headers = raw(run, "GET", "/")
    assert (status, b"adaptem console" in page) == (200, True)
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert raw(run, "GET", "/api/status")[0] == 401
    assert raw(run, "GET", "/../words.py")[0] == 404
    assert raw(run, "GET", "/", Host="evil.example")[0] == 400
    for token in ("", "forged"):
        with live(run, token) as socket, pytest.raises(ConnectionClosed) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    address = run.door.address.replace("http", "ws") + "/live"
    with connect(address, origin="http://evil.example") as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(2.0)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


def test_one_operator_at_a_time(run: Run) -> None:
    run.start()
    question = asked(run)
    run.client.take_lease(ADA)
    with pytest.raises(Forbidden, match="ada at one holds the lease"):
        run.client.answer(BOB, question.id, Refuse(revision=0, why="other"))
    run.client.take_lease(BOB, force=True)
    run.client.answer(BOB, question.id, Refuse(revision=0, why="other"))
    assert asked(run).turn == 1
    assert run.ran == []


def test_an_observer_may_stop_and_nothing_else(run: Run) -> None:
    run.start()
    asked(run)
    observer = RemoteConsole(run.door.address, run.door.observer)
    for act in (observer.pause, observer.take_over, observer.take_lease):
        with pytest.raises(Forbidden, match="eve is an observer"):
            act(Person(name="eve", role="operator"), True)
    assert observer.stop(Person(name="eve", role="observer")) == ""
    run.thread.join(5.0)
    assert (run.halts, run.ran) == (1, [])


def test_a_screen_is_told_what_changes(run: Run) -> None:
    run.start()
    question = asked(run)
    with live(run, run.door.operator, name="ada") as socket:
        first = json.loads(socket.recv())
        assert (first["kind"], first["value"]["title"]) == ("run", "How fast do the particles grow?")
        told = json.loads(socket.recv())
        assert told["kind"] == "status"
        assert told["value"]["you"] == {"name": "ada", "role": "operator", "screen": "s"}
        assert told["value"]["status"]["question"]["id"] == question.id
        run.client.answer(ADA, question.id, Approve(revision=0))
        kinds, picture = set(), b""
        while not ({"turn", "belief"} <= kinds and picture):
            message = socket.recv(5.0)
            if isinstance(message, bytes):
                picture = message
            else:
                kinds.add(json.loads(message)["kind"])
        size = int.from_bytes(picture[:4], "little")
        head = json.loads(picture[4 : 4 + size])
        assert (head["width"], head["height"], head["turn"]) == (64, 64, 0)
        assert len(picture) == 4 + size + 64 * 64


def test_one_picture_in_flight_and_the_newest(run: Run) -> None:
    run.console.set_mode(ADA, "none")
    with live(run, run.door.observer) as socket:
        run.start()
        numbers = []
        ends = time.monotonic() + 1.0
        while time.monotonic() < ends:
            message = socket.recv(5.0)
            if isinstance(message, bytes):
                numbers.append(json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])["number"])
        assert len(numbers) == 1, "no second one before it is asked for"
        socket.send("next")
        while not isinstance(message := socket.recv(5.0), bytes):
            pass
        newest = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])["number"]
        assert newest > numbers[0] + 1, "those between are not sent"


def test_tokens_are_in_no_log(run: Run, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.DEBUG):
        run.start()
        asked(run)
        raw(run, "GET", "/api/status", run.door.observer)
        with live(run, run.door.operator) as socket:
            socket.recv()
        raw(run, "POST", "/api/mode", run.door.operator, b"{")
    out, err = capfd.readouterr()
    server = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.client")]
    for token in (run.door.operator, run.door.observer):
        assert token not in out + err + "".join(server)


def test_the_door_is_for_its_owner(run: Run, tmp_path: Any) -> None:
    path = run.door.write(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read(tmp_path) == run.door
    run.door.write(tmp_path)
    path.chmod(0o644)
    with pytest.raises(RuntimeError, match="others may read it"):
        read(tmp_path)


def test_a_run_that_is_over_is_gone(run: Run) -> None:
    run.client.status()
    run.server.close()
    with pytest.raises(Gone, match="does not answer"):
        run.client.status()


def test_an_unknown_question(run: Run) -> None:
    with pytest.raises(NotFound):
        run.client.question("../status")


def test_the_client_grants_steers_and_takes_back(run: Run) -> None:
    run.start()
    status = run.client.grant(ADA, left=2)
    assert [(grant.by, grant.left) for grant in status.grants] == [("ada", 2)]
    assert run.client.revoke(ADA).grants == ()
    assert run.client.steer(ADA, ["budget.electrons=2e8"]).steering == ("budget.electrons=2e8",)
    with pytest.raises(Conflict, match=r"electrons=1e12 is above limits\.max_electrons"):
        run.client.steer(ADA, ["budget.electrons=1e12"])
    question = asked(run)
    after = run.client.edit(ADA, question.id, Edit(revision=question.revision, changes="dwell_s=3e-6"))
    assert run.client.undo(ADA, question.id, Undo(revision=after.revision)).choices == question.choices
    with pytest.raises(NotFound, match="nothing is replayed"):
        run.client.replay(Replay(turn=0))
