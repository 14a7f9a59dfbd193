"""CURVE keys of bridges and their clients: the files, who may read them, and which key has which role.

A folder beside the instrument holds ``server.key`` (the bridge's own pair), ``authorised.toml`` (public keys and their
roles) and a ``NAME.key`` a client, which holds all that the client needs and goes to its machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq
from zmq.utils import z85

from hardware_bridge.roles import Role
from hardware_bridge.words import Word

SERVER = "server"
AUTHORISED = "authorised.toml"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}\Z")
_SECRET, _TRUSTED = 0o077, 0o022  # what others must not be allowed

FileT = TypeVar("FileT", bound=Word)


class BadKeys(ValueError):
    """A file of keys that cannot be relied on, and why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"keys = {str(path)!r}: {why}")


class Entry(Word, frozen=True, kw_only=True):
    """One key that may connect."""

    name: str
    role: Role
    public: str


class _Authorised(Word, frozen=True, kw_only=True):
    keys: tuple[Entry, ...] = ()


class _ServerFile(Word, frozen=True, kw_only=True):
    public: str
    secret: str


class _ClientFile(Word, frozen=True, kw_only=True):
    public: str
    secret: str
    server: str


@dataclass(frozen=True)
class ServerKeys:
    """A bridge's own pair, and the role of each public key that may connect."""

    public: str
    secret: str = field(repr=False)
    roles: Mapping[str, Role]


@dataclass(frozen=True)
class ClientKeys:
    """A client's own pair, and the public key of the one bridge that it talks to."""

    public: str
    secret: str = field(repr=False)
    server: str


def read_client(path: Path) -> ClientKeys:
    """Read the ``NAME.key`` of a client; raises BadKeys."""
    file = _read(_ClientFile, path, _SECRET)
    _check_pair(path, file.public, file.secret)
    _check_key(path, "server", file.server)
    return ClientKeys(file.public, file.secret, file.server)


def read_server(folder: Path) -> ServerKeys:
    """Read a bridge's own pair and whom it lets in.

    Raises:
        BadKeys: a file is missing, wrong, or open to others, or no client could connect.
    """
    path = folder / f"{SERVER}.key"
    file = _read(_ServerFile, path, _SECRET)
    _check_pair(path, file.public, file.secret)
    entries = authorised(folder)
    if not entries:
        raise BadKeys(folder / AUTHORISED, "no client is authorised: make keys for one with `adaptem keys make`")
    return ServerKeys(file.public, file.secret, {entry.public: entry.role for entry in entries})


def authorised(folder: Path) -> tuple[Entry, ...]:
    """Read which keys may connect to the bridge of a folder; raises BadKeys."""
    path = folder / AUTHORISED
    entries = _read(_Authorised, path, _TRUSTED).keys
    for number, entry in enumerate(entries):
        if not _NAME.match(entry.name):
            raise BadKeys(path, f"keys[{number}].name: {entry.name!r} is no name of letters, digits, _ and -")
        _check_key(path, f"keys[{number}].public", entry.public)
        for other in entries[:number]:
            if other.name == entry.name or other.public == entry.public:
                raise BadKeys(path, f"keys[{number}]: {entry.name} has the name or the public key of {other.name}")
    return entries


def make(folder: Path, name: str, role: Role) -> Path:
    """Make a key pair for a client and authorise it; returns its file.

    The first call makes the folder and the bridge's own pair too.

    Raises:
        ValueError: the name is none, or is taken.
        BadKeys: the files that are there are not in order.
        OSError: the folder cannot be written.
    """
    if not _NAME.match(name) or name == SERVER:
        raise ValueError(f"name = {name!r}: up to 64 letters, digits, _ and -, and not {SERVER}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{SERVER}.key"
    if not path.exists():
        public, secret = _pair()
        _write(path, _table({"public": public, "secret": secret}))
    if not (folder / AUTHORISED).exists():
        _authorise(folder, ())
    server = _read(_ServerFile, path, _SECRET)
    _check_pair(path, server.public, server.secret)
    entries = authorised(folder)
    if name in {entry.name for entry in entries}:
        raise ValueError(f"name = {name!r}: is authorised already in {folder / AUTHORISED}")
    public, secret = _pair()
    client = folder / f"{name}.key"
    _write(client, _table({"public": public, "secret": secret, "server": server.public}))
    try:
        _authorise(folder, (*entries, Entry(name=name, role=role, public=public)))
    except OSError:
        client.unlink()
        raise
    return client


def _read(kind: type[FileT], path: Path, forbidden: int) -> FileT:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read()
    except OSError as error:
        raise BadKeys(path, f"cannot be read: {error.strerror}") from None
    if mode & forbidden:
        raise BadKeys(path, f"others may {'read' if forbidden == _SECRET else 'change'} it (mode {mode:o}): chmod 600")
    try:
        return msgspec.toml.decode(data, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadKeys(path, f"{error}") from None


def _check_key(path: Path, name: str, key: str) -> None:
    with contextlib.suppress(KeyError, ValueError, struct.error):
        if len(z85.decode(key)) == 32:
            return
    raise BadKeys(path, f"{name}: is no key of 40 characters in Z85")


def _check_pair(path: Path, public: str, secret: str) -> None:
    _check_key(path, "public", public)
    _check_key(path, "secret", secret)
    if zmq.curve_public(secret.encode()).decode() != public:
        raise BadKeys(path, "public and secret are not a pair")


def _pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def _authorise(folder: Path, entries: tuple[Entry, ...]) -> None:
    tables = [_table(msgspec.structs.asdict(entry)) for entry in entries]
    fresh = folder / f"{AUTHORISED}.new"
    _write(fresh, "".join(f"[[keys]]\n{table}\n" for table in tables))
    fresh.replace(folder / AUTHORISED)


def _table(values: Mapping[str, str]) -> str:
    # Names and keys in Z85 hold neither quotes nor backslashes.
    return "".join(f'{name} = "{value}"\n' for name, value in values.items())


def _write(path: Path, text: str) -> None:
    """Write a new file that nobody else may read, not even for a moment; what is there is never overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
