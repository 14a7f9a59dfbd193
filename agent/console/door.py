"""Where a console can be reached, and the tokens that open it: a file beside the record that only its owner reads."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

import msgspec

from agent.console.words import Role
from agent.eventlog import RecordError
from hardware_bridge.words import Text, Word

DOOR_NAME = "console.json"
_OTHERS = 0o077


class Door(Word, frozen=True, kw_only=True):
    """The address of a run's console and a token a role. Tokens are new for each process, and go into no log."""

    address: Text
    operator: Text
    observer: Text

    def role_of(self, token: str) -> Role | None:
        """The role that a token has; None for one that is no token."""
        given = token.encode()
        operator = hmac.compare_digest(given, self.operator.encode())
        observer = hmac.compare_digest(given, self.observer.encode())
        return "operator" if operator else "observer" if observer else None

    def write(self, folder: Path) -> Path:
        """Put it where its owner alone can read it."""
        path = folder / DOOR_NAME
        path.unlink(missing_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as out:
            out.write(msgspec.json.encode(self))
        return path


def made(address: str) -> Door:
    """A door with new tokens."""
    return Door(address=address, operator=secrets.token_urlsafe(24), observer=secrets.token_urlsafe(24))


def read(folder: Path) -> Door:
    """The door of a run.

    Raises:
        RecordError: it is not there, others could read it, or it is none.
    """
    path = folder / DOOR_NAME
    try:
        if path.stat().st_mode & _OTHERS:
            raise RecordError(f"{path}: others may read it: chmod 600 {path}, and start the run anew")
        return msgspec.json.decode(path.read_bytes(), type=Door)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; does the run go on, and has it a console?") from None
    except msgspec.MsgspecError as error:
        raise RecordError(f"{path}: {error}") from None
