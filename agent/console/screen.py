"""One screen on the socket: it is told what changes, and gets the newest picture whenever it is ready for one."""

from __future__ import annotations

import asyncio
import time

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.console.console import Console
from agent.console.feed import Feed, Picture
from agent.console.words import Person

PULSE_S = 0.5
"""A screen is told the time at least so often; when it hears nothing for longer, it says so."""
DOSE_S = 1.0


class Screen:
    """Serves one socket until it closes. A screen that does not take what it is sent holds up nobody else."""

    def __init__(self, socket: WebSocket, person: Person, console: Console, feed: Feed) -> None:
        self._socket, self._person, self._console, self._feed = socket, person, console, feed
        self._more, self._ready = asyncio.Event(), True
        self._turns = self._picture = 0
        self._rewound = -1
        self._dosed, self._dosed_s = (-1, -1), 0.0
        self._told: dict[str, object] = {}

    async def serve(self) -> None:
        """Send until the other end is gone."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            loop.call_soon_threadsafe(self._more.set)

        for changes in (self._feed.changed, self._console.changed):
            changes.append(changed)
        hearing = asyncio.create_task(self._hear())
        try:
            while not hearing.done():
                await self._tell()
                try:
                    await asyncio.wait_for(self._more.wait(), PULSE_S)
                except TimeoutError:
                    self._told.pop("status", None)
                self._more.clear()
        finally:
            hearing.cancel()
            for changes in (self._feed.changed, self._console.changed):
                changes.remove(changed)

    async def _hear(self) -> None:
        """Hear that the screen is there and ready; ends with it."""
        try:
            while True:
                await self._socket.receive_text()
                self._console.heard(self._person)
                self._ready = True
                self._more.set()
        except (WebSocketDisconnect, KeyError):
            self._more.set()

    async def _tell(self) -> None:
        feed = self._feed
        if self._rewound != feed.rewound:
            self._rewound, self._turns = feed.rewound, 0
            self._told["plan"] = feed.run
            await self._send("run", feed.run)
        status = self._console.status()
        if self._told.get("status") != status:
            self._told["status"] = status
            age_s = time.monotonic() - feed.heard_s
            await self._send("status", {"status": status, "state": feed.state, "age_s": age_s, "you": self._person})
        turns = feed.turns
        while self._turns < len(turns) and self._rewound == feed.rewound:
            self._turns += 1
            await self._send("turn", turns[self._turns - 1])
        for kind, value in (("plan", feed.run), ("spectrum", feed.spectrum), ("belief", feed.belief)):
            if value and self._told.get(kind) is not value:
                self._told[kind] = value
                await self._send(kind, value)
        # Large, and of no use more often.
        if self._dosed != (feed.rewound, self._turns) and time.monotonic() - self._dosed_s > DOSE_S:
            self._dosed, self._dosed_s = (feed.rewound, self._turns), time.monotonic()
            await self._send("dose", feed.dose())
        if feed.ended and self._told.setdefault("ended", False) is False:
            self._told["ended"] = True
            await self._send("ended", True)
        picture: Picture | None = feed.picture
        if picture is not None and self._ready and picture.number != self._picture:
            self._ready, self._picture = False, picture.number
            await self._socket.send_bytes(picture.message)

    async def _send(self, kind: str, value: object) -> None:
        await self._socket.send_text(msgspec.json.encode({"kind": kind, "value": value}).decode())
