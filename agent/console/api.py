"""What can be asked of a console over HTTP: one table, from which the routes and their OpenAPI description are made.

A request has ``Authorization: Bearer TOKEN``, and says with ``Adaptem-Name`` and ``Adaptem-Screen`` who asks where.
Every answer is JSON; ``{"error": ...}`` says why something was not done: 401 no token of this console, 403 not this
person's to do, 404 there is none, 409 decided, stale or not possible, 422 not such a message, 503 it could not be kept.

``/live`` is a WebSocket. A screen says ``Hello`` first. What changes then comes as JSON with its ``kind`` (``run``,
``plan``, ``status``, ``turn``, ``spectrum``, ``belief``), pictures as bytes: the length of a header (4 bytes,
little-endian), the X
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.console import files
from agent.console.console import Console
from agent.console.words import (
    Answer,
    Ask,
    Beforehand,
    Conflict,
    ConsoleError,
    Edit,
    Envelope,
    Forbidden,
    Impossible,
    Lease,
    NotFound,
    Person,
    Question,
    Refused,
    Replay,
    Status,
    Steer,
    Switch,
    Undo,
)  # fmt: skip
from agent.eventlog import RecordError
from hardware_bridge.words import Name

STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Impossible, 409),
    (ConsoleError, 409),
    (RecordError, 503),
)
ERRORS = {401: "no token", 403: "not allowed", 404: "none", 409: "conflict", 422: "malformed", 503: "not kept"}

Act = Callable[[Console, Person, str, Any], object]


@dataclass(frozen=True)
class Call:
    """One thing that can be asked: how, where, what it does, what it takes (``body``) and what it gives."""

    method: str
    path: str
    does: str
    act: Act
    gives: Any = Status
    body: Any = None


def _then_status(act: Callable[[Console, Person, Any], object]) -> Act:
    def acting(console: Console, person: Person, name: str, body: Any) -> Status:
        act(console, person, body)
        return console.status()

    return acting


def _heard(console: Console, person: Person) -> Status:
    console.heard(person)
    return console.status()


CALLS: tuple[Call, ...] = (
    Call("GET", "/api/status", "Where things stand", lambda c, p, n, b: _heard(c, p)),
    Call("GET", "/api/questions/{name}", "One question", lambda c, p, n, b: c.question(n), Question),
    Call("POST", "/api/questions/{name}/answer", "Decide it", lambda c, p, n, b: c.answer(p, n, b), Question, Answer),
    Call("POST", "/api/questions/{name}/edit", "Change a choice", lambda c, p, n, b: c.edit(p, n, b), Question, Edit),
    Call("POST", "/api/questions/{name}/undo", "Take it back", lambda c, p, n, b: c.undo(p, n, b), Question, Undo),
    Call("POST", "/api/lease", "Take the lease", _then_status(lambda c, p, b: c.take_lease(p, b.force)), body=Lease),
    Call("DELETE", "/api/lease", "Give the lease up", _then_status(lambda c, p, b: c.leave(p))),
    Call("POST", "/api/mode", "Ask by another mode", _then_status(lambda c, p, b: c.set_mode(p, b.mode)), body=Ask),
    Call(
        "POST",
        "/api/grants",
        "Approve beforehand",
        _then_status(lambda c, p, b: c.grant(p, b.kind, b.left, b.minutes)),
        body=Beforehand,
    ),
    Call("DELETE", "/api/grants", "Take back what was granted", _then_status(lambda c, p, b: c.revoke(p))),
    Call(
        "POST",
        "/api/envelope",
        "Change what may run unasked",
        _then_status(lambda c, p, b: c.set_envelope(p, b.ranges)),
        body=Envelope,
    ),
    Call("POST", "/api/steer", "Steer the run", _then_status(lambda c, p, b: c.steer(p, b.changes)), body=Steer),
    Call("POST", "/api/pause", "Pause, or go on", _then_status(lambda c, p, b: c.pause(p, b.on)), body=Switch),
    Call(
        "POST",
        "/api/take-over",
        "Take over, or hand back",
        _then_status(lambda c, p, b: c.take_over(p, b.on)),
        body=Switch,
    ),
    Call("POST", "/api/replay", "Move in a replayed run", _then_status(lambda c, p, b: c.replay(b)), body=Replay),
    Call("POST", "/api/stop", "Blank, abort and end the run; anybody may", _then_status(lambda c, p, b: c.stop(p))),
)


def status_of(error: Exception) -> int | None:
    """The HTTP status of an error; None for one that nobody foresaw."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), None)


def openapi() -> dict[str, Any]:
    """The OpenAPI description of all calls."""
    kinds = {call.gives for call in CALLS} | {call.body for call in CALLS if call.body is not None} | {Refused}
    schemas, parts = msgspec.json.schema_components([*kinds], ref_template="#/components/schemas/{name}")
    schema = dict(zip([*kinds], schemas, strict=True))
    paths: dict[str, Any] = {}
    for call in CALLS:
        replies = {str(status): _reply(why, schema[Refused]) for status, why in ERRORS.items()}
        told: dict[str, Any] = {
            "summary": call.does,
            "operationId": f"{call.method.lower()}_{call.path.strip('/').replace('/', '_')}",
            "responses": {"200": _reply("done", schema[call.gives]), **replies},
            "parameters": [_header("Adaptem-Name"), _header("Adaptem-Screen")],
        }
        if "{name}" in call.path:
            told["parameters"].append(
                {"name": "name", "in": "path", "required": True, "schema": msgspec.json.schema(Name)}
            )
        if call.body is not None:
            told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema[call.body]}}}
        paths.setdefault(call.path, {})[call.method.lower()] = told
    for name, does in ((files.HSPY, "The arrays of the run, for HyperSpy"), (files.REPORT, "The report of it so far")):
        replies = {str(status): _reply(why, schema[Refused]) for status, why in ERRORS.items() if status != 422}
        paths[f"/files/{name}"] = {"get": {
            "summary": does,
            "operationId": f"get_{name}",
            "responses": {"200": {"description": "the file", "content": {"application/octet-stream": {}}}, **replies},
        }}  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "adaptem console", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": parts,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _reply(told: str, schema: Any) -> dict[str, Any]:
    return {"description": told, "content": {"application/json": {"schema": schema}}}


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": msgspec.json.schema(Name)}
