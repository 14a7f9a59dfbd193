"""The console in a terminal: the best proposal and its alternatives are shown, and one key answers.

a or Enter  approve       1 2 ...  an alternative  m  modify    p  pause, go on
r           refuse        q or Esc  stop           t  take over, hand back
s           steer: PATH=VALUE ..., as --set takes it
g           approve beforehand: the next N, or a KIND for so many MINUTES
o           ask by another mode: every, outside, supervise, none
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO, get_args

from agent.console.client import RemoteConsole
from agent.console.console import Console
from agent.console.words import Approve, Choice, ConsoleError, Edit, Mode, Person, Question, Refuse, Why

SLICE_S = 0.1
REASONS: tuple[Why, ...] = get_args(Why)
MODES: tuple[Mode, ...] = get_args(Mode)


class Silence(Exception):
    """Nobody can answer here any more."""


class Settled(Exception):
    """What was asked is decided, or needs no deciding any more."""


class Terminal:
    """Asks on a terminal (one key an answer) or a pipe (one line an answer).

    While it waits it calls ``beat`` at least every 100 ms; what that raises ends the waiting.
    """

    def __init__(
        self,
        source: int,
        output: TextIO,
        paused: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Read from the file descriptor ``source``.

        ``paused`` is entered while a question is on the screen, so that a live view keeps off it.
        """
        self._source, self._output = source, output
        self._paused = paused
        self._is_tty = os.isatty(source)
        self._held = b""

    @contextlib.contextmanager
    def question(self, anew: bool = True) -> Iterator[None]:
        """Hold the screen for one question. Keys typed before it was shown ``anew`` do not answer it.

        Raises:
            Silence: the terminal is gone.
        """
        with self._paused():
            if self._is_tty and anew:
                with _gone_is_silence():
                    termios.tcflush(self._source, termios.TCIFLUSH)
            yield

    def say(self, text: str, end: str = "\n") -> None:
        """Write a line.

        Raises:
            Silence: there is nowhere to write to any more.
        """
        with _gone_is_silence():
            self._output.write(text + end)
            self._output.flush()

    def key(self, prompt: str, beat: Callable[[], None]) -> str:
        """One answer: a key on a terminal, a line on a pipe; empty for Enter.

        Raises:
            Silence: the input was closed.
        """
        if not self._is_tty:
            return self.line(prompt, beat)
        self.say(prompt, end=" ")
        with self._single_keys():
            data = self._read(beat)
        if data.startswith(b"\x1b"):
            # An arrow or another key that sends a sequence is not Esc, and is no answer.
            answer = "q" if data == b"\x1b" else "?"
        else:
            answer = data[:1].decode(errors="replace").strip()
        self.say(answer)
        return answer

    def line(self, prompt: str, beat: Callable[[], None]) -> str:
        """One line.

        Raises:
            Silence: the input was closed.
        """
        self.say(prompt, end=" ")
        while b"\n" not in self._held:
            self._held += self._read(beat)
        answer, _, self._held = self._held.partition(b"\n")
        return answer.decode(errors="replace").strip()

    @contextlib.contextmanager
    def _single_keys(self) -> Iterator[None]:
        with _gone_is_silence():
            before = termios.tcgetattr(self._source)
            tty.setcbreak(self._source, termios.TCSANOW)
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._source, termios.TCSADRAIN, before)

    def _read(self, beat: Callable[[], None]) -> bytes:
        while True:
            ready, _, _ = select.select([self._source], [], [], SLICE_S)
            beat()
            if ready:
                # A terminal whose other end is gone gives an error, a pipe an empty read.
                with _gone_is_silence():
                    if data := os.read(self._source, 4096):
                        return data
                raise Silence("the input is closed")


@contextlib.contextmanager
def _gone_is_silence() -> Iterator[None]:
    try:
        yield
    except (OSError, termios.error):
        raise Silence("the terminal is gone") from None


class TerminalClient:
    """A person at a terminal, as one of the console's clients; ``attend`` sits with them in the loop's thread."""

    def __init__(
        self,
        console: Console | RemoteConsole,
        terminal: Terminal,
        person: Person,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """``beat`` is called at least every 100 ms while it waits."""
        self._console, self._terminal, self._person, self._beat = console, terminal, person, beat
        self._shown: str | None = None
        self._until_s = math.inf

    def attend(self, name: str | None, for_s: float | None = None) -> str:
        """Ask until a question is decided, here or elsewhere, or with None until the run goes on; or for some time.

        Returns why nobody can answer here any more; empty where it is decided, or that time is over.
        """
        self._until_s = time.monotonic() + (for_s if for_s is not None else math.inf)
        try:
            with self._terminal.question(anew=self._shown != name):
                return self._hold() if name is None else self._ask(name)
        except Silence as silence:
            with contextlib.suppress(Silence):
                self._terminal.say(f"\n{silence}: holding, the beam is blanked")
            return str(silence)

    def _hold(self) -> str:
        console = self._console

        def beat() -> None:
            self._beat()
            status = console.status()
            if status.stopped_by or not status.paused_by:
                raise Settled

        with contextlib.suppress(Settled):
            while True:
                beat()
                key = self._terminal.key(f"\npaused by {console.status().paused_by}: p go on, q stop?", beat).lower()
                if key in ("p", "q"):
                    self._done(self._stand, key)
        return ""

    def _ask(self, name: str) -> str:
        console, say = self._console, self._terminal.say
        mine = False

        def beat() -> None:
            self._beat()
            console.heard(self._person)
            if console.question(name).state != "proposed" or time.monotonic() > self._until_s:
                raise Settled

        try:
            if self._shown != name:
                self._show(console.question(name))
            self._shown = name
            while True:
                beat()
                mine = self._answer(console.question(name), beat)
        except Settled:
            question = console.question(name)
        if question.state == "expired":
            say(f"\n{question.reason}: holding, the beam is blanked")
        elif not mine and question.state != "proposed":
            say(f"\n{question.state} by {question.by} elsewhere")
        return ""

    def _show(self, question: Question) -> None:
        say = self._terminal.say
        left = f"{question.time_left_s:.0f} s and {question.electrons_left:.3g} electrons are left"
        say(f"\nTurn {question.turn}: {left}; the beam is blanked.")
        for number, choice in enumerate(question.choices):
            say(f" [{number or 'a'}] {choice.does}")
            say(f"     {choice.reason} ({choice.proposer})")
            say(f"     information {_told(choice)}, {_cost(choice)}")

    def _answer(self, question: Question, beat: Callable[[], None]) -> bool:
        """One key, and what it does; tells whether the question is decided by it."""
        alternatives = {1: "", 2: "1 alternative, "}.get(
            len(question.choices), f"1-{len(question.choices) - 1} alternative, "
        )
        standing = "p pause, t take over, s steer, g beforehand, o mode, q stop"
        choices = f"a or Enter approve, {alternatives}m modify, r refuse, {standing}"
        answer = self._terminal.key(f"{choices}?", beat)
        key, rest = answer[:1].lower(), answer[1:].strip()
        if answer.lower() in ("", "a"):
            return self._done(self._decide, question, Approve(revision=question.revision))
        if answer.isdecimal() and 1 <= int(answer) < len(question.choices):
            return self._done(self._decide, question, Approve(revision=question.revision, choice=int(answer)))
        if key == "r":
            return self._done(self._decide, question, Refuse(revision=question.revision, why=self._why(rest, beat)))
        if key == "m":
            return self._modify(question, rest, beat)
        if key == "s":
            text = rest or self._terminal.line(
                "PATH=VALUE; PATH=VALUE ..., all that is to be other than at the start:", beat
            )
            return self._done(self._steer, text)
        if key == "g":
            text = rest or self._terminal.line("beforehand: N of any kind, or KIND MINUTES:", beat)
            return self._done(self._grant, text)
        if key == "o":
            text = rest or self._terminal.line(f"ask by: {', '.join(MODES)}:", beat)
            return self._done(self._mode, text)
        if answer.lower() in ("q", "p", "t"):
            return self._done(self._stand, answer.lower())
        self._terminal.say(f"{answer!r} is none of: {choices}")
        return False

    def _decide(self, question: Question, answer: Approve | Refuse) -> None:
        self._console.answer(self._person, question.id, answer)

    def _steer(self, text: str) -> None:
        changes = [change.strip() for change in text.split(";") if change.strip()]
        self._console.steer(self._person, changes)
        self._terminal.say(f"from the next turn on: {'; '.join(changes) or 'as it was started'}")

    def _grant(self, text: str) -> None:
        kind, minutes = ([*text.split(), ""][:2]) if text and not text.isdecimal() else ("", "")
        if text.isdecimal() and int(text) > 0:
            self._console.grant(self._person, None, int(text), None)
        elif minutes.isdecimal() and int(minutes) > 0:
            self._console.grant(self._person, kind, None, float(minutes))
        else:
            raise ConsoleError(f"{text!r} is neither a number nor a kind with minutes, such as HAADF 10")
        self._terminal.say(f"approved beforehand: {text}{' min' if minutes else ' more'}")

    def _mode(self, text: str) -> None:
        mode = next((each for each in MODES if each == text), None)
        if mode is None:
            raise ConsoleError(f"{text!r} is none of: {', '.join(MODES)}")
        self._console.set_mode(self._person, mode)
        self._terminal.say(f"asks by mode {mode}")

    def _stand(self, key: str) -> None:
        console, person, status = self._console, self._person, self._console.status()
        if key == "q":
            console.stop(person)
        elif key == "p":
            console.pause(person, not status.paused_by)
            self._terminal.say("going on" if status.paused_by else f"paused by {person.name}")
        else:
            console.take_over(person, not status.taken_by)
            self._terminal.say("handed back" if status.taken_by else f"{person.name} has taken over")

    def _done(self, act: Callable[..., None], *given: object) -> bool:
        """Do something at the console, and say where it refuses."""
        try:
            act(*given)
        except ConsoleError as error:
            self._terminal.say(str(error))
            return False
        return True

    def _why(self, given: str, beat: Callable[[], None]) -> Why:
        options = ", ".join(f"{number} {reason}" for number, reason in enumerate(REASONS, start=1))
        while not (given.isdecimal() and 1 <= int(given) <= len(REASONS)):
            given = self._terminal.key(f"why? {options}:", beat)
        return REASONS[int(given) - 1]

    def _modify(self, question: Question, given: str, beat: Callable[[], None]) -> bool:
        """Let the person edit until it is possible and confirmed; False where it is given up."""
        terminal, console = self._terminal, self._console
        text = given or terminal.line("KEY=VALUE ..., or nothing to go back:", beat)
        while text:
            try:
                question = console.edit(self._person, question.id, Edit(revision=question.revision, changes=text))
            except ConsoleError as error:
                terminal.say(str(error))
            else:
                choice = question.choices[-1]
                terminal.say(f"edited: {'; '.join(choice.edits)}")
                terminal.say(f"now: {_cost(choice)}; information {_told(choice)}")
                if terminal.key("a or Enter confirm, any other key edit again?", beat).lower() in ("", "a"):
                    answer = Approve(revision=question.revision, choice=len(question.choices) - 1)
                    return self._done(self._decide, question, answer)
            text = terminal.line("KEY=VALUE ..., or nothing to go back:", beat)
        return False


def _told(choice: Choice) -> str:
    if choice.information is None:
        return "not predicted"
    return f"{choice.information:.3g} +- {choice.information_sd:.2g}"


def _cost(choice: Choice) -> str:
    return f"dose {choice.electrons:.3g} electrons ({choice.fluence_e_per_A2:.3g} e/A^2), {choice.time_s:.2g} s"
