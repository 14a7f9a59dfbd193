"""The console's server: HTTP, a WebSocket and the page, in a thread of its own beside the loop.

It listens on this machine only; from elsewhere it is reached through a tunnel (`ssh -L`). Whoever cannot show a token
sees the empty page and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.console import files
from agent.console.api import CALLS, Call, openapi, status_of
from agent.console.console import Console
from agent.console.door import Door, made
from agent.console.feed import Feed
from agent.console.screen import Screen
from agent.console.words import Hello, Person, Refused, Role
from hardware_bridge.words import Name

HOST = "127.0.0.1"
PORT = 8642
MAX_BODY_BYTES = 20_000
HELLO_S = 5.0
STATIC = Path(__file__).with_name("static")
GUARDED = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

App = Callable[[Any, Any, Any], Awaitable[None]]
Handle = Callable[[Request], Awaitable[Response]]


class Server:
    """Serves one console until it is closed. ``door`` says where and with which tokens."""

    def __init__(self, console: Console, feed: Feed, port: int | None = None, folder: Path | None = None) -> None:
        """Listen at a port; left out, at the usual one, or at any where that is taken. Files are of the run's folder.

        Raises:
            OSError: the port is taken.
        """
        self._socket = _listening(port)
        self.door: Door = made(f"http://{HOST}:{self._socket.getsockname()[1]}")
        self._console, self._feed, self._folder = console, feed, folder
        self._ready = threading.Event()
        config = uvicorn.Config(
            self._app(),
            log_config=None,
            log_level="warning",  # below that it tells the first message of a socket, which holds a token
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,  # pictures are cheaper to send than to press
            ws_max_size=4096,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="console", daemon=True)
        self._thread.start()
        self._ready.wait(10.0)

    def close(self) -> None:
        """Stop serving; screens are told that the run is over, where they listen."""
        self._feed.end()
        self._server.should_exit = True
        self._thread.join(5.0)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._ready.set()
        await self._server.serve(sockets=[self._socket])

    def _app(self) -> App:
        places: dict[str, dict[str, Handle]] = {}
        for call in CALLS:
            places.setdefault(call.path.removeprefix("/api"), {})[call.method] = self._called(call)
        app = Starlette(
            routes=[
                Mount(
                    "/api", routes=[Route(path, _by_method(calls), methods=[*calls]) for path, calls in places.items()]
                ),
                Route("/files/{name}", self._file, methods=["GET"]),
                Route("/openapi.json", self._described, methods=["GET"]),
                WebSocketRoute("/live", self._live),
                Mount("/", StaticFiles(directory=STATIC, html=True)),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        )
        return _with_headers(app)

    def _called(self, call: Call) -> Handle:
        async def handle(request: Request) -> Response:
            role = self._role(request)
            if role is None:
                return NO_TOKEN
            try:
                name, screen = (
                    msgspec.convert(request.headers.get(f"adaptem-{what}", default), Name)
                    for what, default in (("name", role), ("screen", "rest"))
                )
                body = msgspec.json.decode(await _read(request), type=call.body) if call.body is not None else None
            except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
                return _said(422, f"not such a message: {error}")
            person = Person(name=name, role=role, screen=screen)
            try:
                # Each is over in milliseconds, but for what waits for the disk or, to stop, for the instrument.
                given = await asyncio.to_thread(
                    call.act, self._console, person, request.path_params.get("name", ""), body
                )
            except Exception as error:
                status = status_of(error)
                if status is None:
                    raise
                return _said(status, str(error))
            return Response(msgspec.json.encode(given), media_type="application/json")

        return handle

    def _role(self, request: Request) -> Role | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.door.role_of(token) if scheme.lower() == "bearer" else None

    async def _file(self, request: Request) -> Response:
        """A file of the run, made for whoever asks and taken away once it is sent."""
        if self._role(request) is None:
            return NO_TOKEN
        if self._folder is None:
            return _said(404, "this run leaves no record")
        name = request.path_params["name"]
        scratch = Path(tempfile.mkdtemp(prefix="adaptem-"))
        try:
            await asyncio.to_thread(files.write, self._folder, name, scratch / "file")
        except Exception as error:
            shutil.rmtree(scratch, ignore_errors=True)
            status = status_of(error)
            if status is None:
                raise
            return _said(status, str(error))
        return FileResponse(
            scratch / "file", filename=name, background=BackgroundTask(shutil.rmtree, scratch, ignore_errors=True)
        )

    async def _described(self, request: Request) -> Response:
        return Response(msgspec.json.encode(openapi()), media_type="application/json")

    async def _live(self, socket: WebSocket) -> None:
        await socket.accept()
        if socket.headers.get("origin") not in (None, self.door.address, self.door.address.replace(HOST, "localhost")):
            return await socket.close(4403, "another page's origin")
        try:
            text = await asyncio.wait_for(socket.receive_text(), HELLO_S)
            hello = msgspec.json.decode(text, type=Hello)
            role = self.door.role_of(hello.token)
        except (TimeoutError, msgspec.MsgspecError, KeyError):
            role = None
        except WebSocketDisconnect:
            return None
        if role is None:
            return await socket.close(4401, "no token of this console")
        person = Person(name=hello.name, role=role, screen=hello.screen)
        with contextlib.suppress(WebSocketDisconnect):
            await Screen(socket, person, self._console, self._feed).serve()


def _by_method(calls: Mapping[str, Handle]) -> Handle:
    async def handle(request: Request) -> Response:
        return await calls["GET" if request.method == "HEAD" else request.method](request)

    return handle


async def _read(request: Request) -> bytes:
    """The body of a request.

    Raises:
        ValueError: it is far too long.
    """
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise ValueError(f"longer than {MAX_BODY_BYTES} bytes")
    return data


def _said(status: int, error: str) -> Response:
    return Response(msgspec.json.encode(Refused(error=error[:2000])), status, media_type="application/json")


NO_TOKEN = _said(401, "Authorization: Bearer TOKEN is needed; the token is in console.json of the run")


def _with_headers(app: App) -> App:
    extra = [(name.lower().encode(), value.encode()) for name, value in GUARDED.items()]

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await app(scope, receive, sending)

    return guarded


def _listening(port: int | None) -> socket.socket:
    made_socket = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # told, asyncio sets TCP_NODELAY
    made_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made_socket.bind((HOST, PORT if port is None else port))
    except OSError:
        if port is not None:
            made_socket.close()
            raise
        made_socket.bind((HOST, 0))
    made_socket.listen(64)
    return made_socket
