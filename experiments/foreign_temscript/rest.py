"""A line to temscript's server that is made anew after it broke, and whose every failure is a typed error."""

from __future__ import annotations

import threading
from http.client import HTTPException
from typing import Any

from temscript import RemoteMicroscope

from hardware_bridge.errors import Unreachable


class Line:
    """One connection to a temscript server; several threads may use it."""

    def __init__(self, address: tuple[str, int], timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._remote: RemoteMicroscope | None = None

    def call(self, method: str, *values: object) -> Any:
        """Call a method of the column, and return what it answers.

        Raises:
            Unreachable: no answer in time, or an error in its place; whether it was done is not known from here.
        """
        with self._lock:
            try:
                if self._remote is None:
                    # JSON: the other transport is pickle.
                    self._remote = RemoteMicroscope(self._address, transport="JSON", timeout=self._timeout_s)
                return getattr(self._remote, method)(*values)
            except (OSError, HTTPException, RuntimeError, LookupError, ValueError) as error:
                self._remote = None
                raise Unreachable(f"temscript {method}: {type(error).__name__}: {error}") from None
