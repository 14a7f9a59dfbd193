"""Tells somebody who is not there how a run ended: by a webhook, or by a command such as `mail`.

Telling must never harm a run: what goes wrong is returned in words, and the run has ended by then.
"""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from hardware_bridge.words import Text, Word

Occasion = Literal["ended", "stopped", "failed"]
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
