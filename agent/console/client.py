"""The console of a run from Python, here or in a notebook: the same calls as the run's own screens have.

from agent.console.client import RemoteConsole
console = RemoteConsole.of(Path("runs/first"))
question = console.status().question
console.answer(me, question.id, Approve(revision=question.revision))
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from agent.console.door import read
from agent.console.words import (
    Answer,
    Conflict,
    ConsoleError,
    Edit,
    Envelope,
    Forbidden,
    Lease,
    Mode,
    NotFound,
    Person,
    Question,
    Replay,
    Status,
    Steer,
    Switch,
    Undo,
)  # fmt: skip
from hardware_bridge.messages import Range
from hardware_bridge.words import Word

TIMEOUT_S = 10.0
ERRORS: dict[int, type[ConsoleError]] = {403: Forbidden, 404: NotFound, 409: Conflict}

GivenT = TypeVar("GivenT", Question, Status)


class Gone(ConnectionError):
    """The run has ended, or its console cannot be reached."""


class RemoteConsole:
    """Calls a console over HTTP. Raises what the console raises, and Gone where there is none any more."""

    def __init__(self, address: str, token: str) -> None:
        """Name the address (``http://127.0.0.1:8642``) and a token; nothing is asked yet."""
        place = urlsplit(address)
        if place.hostname is None:
            raise ValueError(f"address = {address!r}: is no address, such as http://127.0.0.1:8642")
        self._host, self._port, self._token = place.hostname, place.port, token

    @classmethod
    def of(cls, folder: Path) -> RemoteConsole:
        """The console of a run that goes on, as its operator.

        Raises:
            RecordError: it has none.
        """
        door = read(folder)
        return cls(door.address, door.operator)

    def status(self, person: Person | None = None) -> Status:
        """Where things stand; a person who is named keeps the lease by it."""
        return self._call("GET", "/api/status", Status, person)

    def question(self, name: str) -> Question:
        """A question as it stands."""
        return self._call("GET", f"/api/questions/{quote(name, safe='')}", Question)

    def answer(self, person: Person, name: str, answer: Answer) -> Question:
        """Decide a question."""
        return self._call("POST", f"/api/questions/{quote(name, safe='')}/answer", Question, person, answer)

    def edit(self, person: Person, name: str, edit: Edit) -> Question:
        """Change a choice of a question."""
        return self._call("POST", f"/api/questions/{quote(name, safe='')}/edit", Question, person, edit)

    def undo(self, person: Person, name: str, undo: Undo) -> Question:
        """Take back an edit, or an answer that nothing was done about yet."""
        return self._call("POST", f"/api/questions/{quote(name, safe='')}/undo", Question, person, undo)

    def take_lease(self, person: Person, force: bool = False) -> Status:
        """Become the one who decides."""
        return self._call("POST", "/api/lease", Status, person, Lease(force=force))

    def leave(self, person: Person) -> Status:
        """Give the lease up."""
        return self._call("DELETE", "/api/lease", Status, person)

    def set_mode(self, person: Person, mode: Mode) -> Status:
        """Ask by another mode from now on."""
        return self._call("POST", "/api/mode", Status, person, {"mode": mode})

    def set_envelope(self, person: Person, ranges: Mapping[str, Range]) -> Status:
        """Change what may run unasked."""
        return self._call("POST", "/api/envelope", Status, person, Envelope(ranges=dict(ranges)))

    def steer(self, person: Person, changes: Sequence[str]) -> Status:
        """Change what is wanted of the run: PATH=VALUE each, all that is to be other than it was started with."""
        return self._call("POST", "/api/steer", Status, person, Steer(changes=tuple(changes)))

    def replay(self, wanted: Replay) -> Status:
        """Move in a run that is replayed."""
        return self._call("POST", "/api/replay", Status, None, wanted)

    def grant(
        self, person: Person, kind: str | None = None, left: int | None = None, minutes: float | None = None
    ) -> Status:
        """Approve beforehand: the next ``left`` commands, and only of one kind where one is given, for some minutes."""
        wanted = {"kind": kind, "left": left, "minutes": minutes}
        return self._call("POST", "/api/grants", Status, person, wanted)

    def revoke(self, person: Person) -> Status:
        """Take back what was approved beforehand."""
        return self._call("DELETE", "/api/grants", Status, person)

    def heard(self, person: Person) -> None:
        """Keep the lease."""
        self.status(person)

    def pause(self, person: Person, on: bool) -> Status:
        """Let nothing run, or go on."""
        return self._call("POST", "/api/pause", Status, person, Switch(on=on))

    def take_over(self, person: Person, on: bool) -> Status:
        """Take over, or hand back."""
        return self._call("POST", "/api/take-over", Status, person, Switch(on=on))

    def stop(self, person: Person) -> str:
        """Blank, abort and end the run."""
        return self._call("POST", "/api/stop", Status, person).stop_failure

    def _call(
        self, method: str, path: str, gives: type[GivenT], person: Person | None = None, body: Word | Any = None
    ) -> GivenT:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if person is not None:
            headers |= {"Adaptem-Name": person.name, "Adaptem-Screen": person.screen}
        # A connection each: one that was kept may be closed by the other end just now, and then nobody knows whether
        # the request arrived. It is never sent again by itself either.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, msgspec.json.encode(body) if body is not None else None, headers)
            reply = connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise Gone(f"the console of the run does not answer: {error}") from None
        finally:
            connection.close()
        if reply.status == 200:
            return msgspec.json.decode(data, type=gives)
        try:
            why = str(json.loads(data)["error"])
        except (ValueError, KeyError, TypeError):
            why = f"the console answered {reply.status}"
        raise ERRORS.get(reply.status, ConsoleError)(why)
