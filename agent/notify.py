"""Tells somebody who is not there how a run ended, or what alarms it: by a webhook, or by a command such as `mail`.

Telling must never harm a run: what goes wrong is returned in words, and no turn waits for it.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from hardware_bridge.words import Text, Word

Occasion = Literal["alarm", "ended", "stopped", "failed"]
SUBJECT = "{subject}"
WEBHOOK_S = 10.0
COMMAND_S = 30.0


class Notify(Word, frozen=True, kw_only=True):
    """Who is told, and on which occasions.

    ``webhook`` gets a POST with JSON of ``subject``, ``text`` and ``occasion``. ``command`` is run without a shell,
    ``{subject}`` in its words replaced, the text on its standard input: ["mail", "-s", "{subject}", "me@lab.example"].
    """

    webhook: Text | None = None
    command: tuple[Text, ...] = ()
    on: tuple[Occasion, ...] = get_args(Occasion)


def tell(notify: Notify, occasion: Occasion, subject: str, text: str) -> list[str]:
    """Tell everybody who wants to know of this occasion; returns what went wrong, never raises for it."""
    if occasion not in notify.on:
        return []
    problems = []
    if notify.webhook is not None:
        problems += _post(notify.webhook, {"subject": subject, "text": text, "occasion": occasion})
    if notify.command:
        problems += _run([word.replace(SUBJECT, subject) for word in notify.command], text)
    return problems


class Teller:
    """Tells of alarms while a run goes on, in a thread of its own; those that come meanwhile are told together.

    Leaving the context waits until all is told; ``problems`` then holds what went wrong.
    """

    def __init__(self, notify: Notify, name: str) -> None:
        self.problems: list[str] = []
        self._notify, self._name = notify, name
        self._alarms: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="teller")

    def alarm(self, text: str) -> None:
        """Have this told; returns at once."""
        self._alarms.put(text)

    def __enter__(self) -> Teller:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._alarms.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_over = False
        while not is_over:
            waiting = [self._alarms.get()]
            while not self._alarms.empty():
                waiting.append(self._alarms.get())
            is_over = None in waiting
            texts = [text for text in waiting if text is not None]
            if texts:
                self.problems += tell(self._notify, "alarm", f"adaptem: an alarm in {self._name}", "\n".join(texts))


@contextmanager
def failure_told(notify: Notify, name: str) -> Iterator[None]:
    """Tell when what is inside is interrupted or fails, and let that go its way."""
    try:
        yield
    except KeyboardInterrupt:
        tell(notify, "stopped", f"adaptem: {name} was interrupted", f"adaptem run --resume goes on with {name}")
        raise
    except BaseException as error:
        tell(notify, "failed", f"adaptem: {name} failed", f"{type(error).__name__}: {error}")
        raise


def _post(address: str, body: dict[str, str]) -> list[str]:
    request = urllib.request.Request(
        address, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_S):
            return []
    except (OSError, urllib.error.URLError, ValueError) as error:
        return [f"notify.webhook = {address}: {error}"]


def _run(words: list[str], text: str) -> list[str]:
    try:
        done = subprocess.run(words, input=text, text=True, capture_output=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"notify.command = {words[0]}: {error}"]
    if done.returncode == 0:
        return []
    return [f"notify.command = {words[0]}: exit status {done.returncode}: {done.stderr.strip()[:500]}"]
