"""Approval in a terminal: the best proposal and its alternatives are shown, and one key answers.

a or Enter  approve       1 2 ...  an alternative  m  modify
r           refuse        q or Esc  stop           silence: hold, beam blanked
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from agent.edits import EditErrors, cost, differences, edited, sentence
from agent.record import Decision
from agent.review import MAX_TEXT, Walls, unasked
from hardware_bridge.messages import Command
from policies.interface import Proposal, Situation, Verdict

SLICE_S = 0.1
REASONS = ("wrong place", "too much dose", "out of focus", "seen already", "other")


class Silence(Exception):
    """Nobody answered in time, or nobody can any more."""


class Terminal:
    """Asks on a terminal (one key an answer) or a pipe (one line an answer), beating all the while."""

    def __init__(
        self,
        source: int,
        output: TextIO,
        beat: Callable[[], None],
        paused: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Read from the file descriptor ``source``; ``beat`` is called at least every 100 ms while waiting.

        ``paused`` is entered while a question is on the screen, so that a live view keeps off it.
        """
        self._source, self._output, self._beat = source, output, beat
        self._paused = paused
        self._is_tty = os.isatty(source)
        self._held = b""

    @contextlib.contextmanager
    def question(self) -> Iterator[None]:
        """Hold the screen for one question. Keys typed before it was shown do not answer it.

        Raises:
            Silence: the terminal is gone.
        """
        with self._paused():
            if self._is_tty:
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

    def key(self, prompt: str, deadline: float) -> str:
        """One answer: a key on a terminal, a line on a pipe; empty for Enter.

        Raises:
            Silence: the deadline (of time.monotonic) passed, or the input was closed.
        """
        if not self._is_tty:
            return self.line(prompt, deadline)
        self.say(prompt, end=" ")
        with self._single_keys():
            data = self._read(deadline)
        if data.startswith(b"\x1b"):
            # An arrow or another key that sends a sequence is not Esc, and is no answer.
            answer = "q" if data == b"\x1b" else "?"
        else:
            answer = data[:1].decode(errors="replace").strip()
        self.say(answer)
        return answer

    def line(self, prompt: str, deadline: float) -> str:
        """One line.

        Raises:
            Silence: the deadline passed, or the input was closed.
        """
        self.say(prompt, end=" ")
        while b"\n" not in self._held:
            self._held += self._read(deadline)
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

    def _read(self, deadline: float) -> bytes:
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Silence("nobody answered in time")
            ready, _, _ = select.select([self._source], [], [], min(SLICE_S, left_s))
            self._beat()
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


class TerminalReview:
    """A Review that asks a person, about what the walls let through and the envelope does not.

    ``stopped`` turns true when the person stops the run; ``stop`` (the instrument's) has then been called.
    """

    def __init__(
        self, walls: Walls, terminal: Terminal, timeout_s: float, stop: Callable[[], None], operator: str = "operator"
    ) -> None:
        self.stopped = False
        self._walls, self._terminal, self._timeout_s = walls, terminal, timeout_s
        self._stop, self._operator = stop, operator

    def __call__(self, proposals: Sequence[Proposal], situation: Situation) -> Decision:
        """Decide over ranked proposals; nobody is asked about an impossible one."""
        self._walls.settle(situation)
        refusals = [self._walls.impossible(proposal.command, situation) for proposal in proposals]
        shown = [proposal for proposal, refusal in zip(proposals, refusals, strict=True) if not refusal]
        if not shown:
            reasons = "; ".join(dict.fromkeys(refusals)) or "nothing was proposed"
            return unasked(proposals, None, reasons)
        best = shown[0]
        if self._walls.has_envelope and not self._walls.outside(best.command, situation):
            decision = unasked(proposals, best.command, best.reason)
        else:
            decision = self._asked(shown[:5], situation)
        if decision.command is not None:
            self._walls.chosen(decision.command, situation)
        return decision

    def _asked(self, shown: Sequence[Proposal], situation: Situation) -> Decision:
        begun = time.monotonic()

        def decided(verdict: Verdict, reason: str, command: Command | None = None) -> Decision:
            return Decision(
                proposals=tuple(shown),
                verdict=verdict,
                by="nobody" if verdict == "timed_out" else self._operator,
                reason=reason[:MAX_TEXT],
                waited_s=time.monotonic() - begun,
                command=command,
            )

        try:
            with self._terminal.question():
                self._show(shown, situation)
                verdict, reason, command = self._answer(shown, situation, begun + self._timeout_s)
        except Silence as silence:
            with contextlib.suppress(Silence):
                self._terminal.say(f"\n{silence}: holding, the beam is blanked")
            return decided("timed_out", str(silence))
        if self.stopped:
            self._stop()
        return decided(verdict, reason, command)

    def _show(self, shown: Sequence[Proposal], situation: Situation) -> None:
        say, state = self._terminal.say, situation.state
        left = f"{situation.time_left_s:.0f} s and {situation.electrons_left:.3g} electrons are left"
        say(f"\nTurn {situation.turn}: {left}; the beam is blanked.")
        for number, proposal in enumerate(shown):
            say(f" [{number or 'a'}] {sentence(proposal.command, state, self._walls.capabilities)}")
            say(f"     {proposal.reason} ({proposal.proposer})")
            information = f"information {proposal.information:.3g} +- {proposal.information_sd:.2g}"
            say(f"     {information}, {cost(proposal.command, state, self._walls.capabilities)}")

    def _answer(
        self, shown: Sequence[Proposal], situation: Situation, deadline: float
    ) -> tuple[Verdict, str, Command | None]:
        alternatives = {1: "", 2: "1 alternative, "}.get(len(shown), f"1-{len(shown) - 1} alternative, ")
        choices = f"a or Enter approve, {alternatives}m modify, r refuse, q stop"
        while True:
            answer = self._terminal.key(f"{choices}?", deadline)
            key, rest = answer[:1].lower(), answer[1:].strip()
            if answer.lower() in ("", "a"):
                return "approved", shown[0].reason, shown[0].command
            if answer.isdecimal() and 1 <= int(answer) < len(shown):
                chosen = shown[int(answer)]
                return "approved", f"alternative {answer}: {chosen.reason}", chosen.command
            if key == "r":
                return "refused", self._reason(rest, deadline), None
            if answer.lower() == "q":
                self.stopped = True
                return "refused", "stopped by the operator", None
            if key == "m":
                command = self._modified(shown[0].command, rest, situation, deadline)
                if command is not None:
                    return "edited", "; ".join(differences(shown[0].command, command)), command
                continue
            self._terminal.say(f"{answer!r} is none of: {choices}")

    def _reason(self, given: str, deadline: float) -> str:
        options = ", ".join(f"{number} {reason}" for number, reason in enumerate(REASONS, start=1))
        while not (given.isdecimal() and 1 <= int(given) <= len(REASONS)):
            given = self._terminal.key(f"why? {options}:", deadline)
        return REASONS[int(given) - 1]

    def _modified(self, command: Command, given: str, situation: Situation, deadline: float) -> Command | None:
        """Let the person edit until it is possible and confirmed; None where it is given up."""
        say = self._terminal.say
        text = given or self._terminal.line("KEY=VALUE ..., or nothing to go back:", deadline)
        while text:
            try:
                candidate = edited(command, text)
                refusal = self._walls.impossible(candidate, situation)
            except EditErrors as errors:
                refusal = str(errors)
            if refusal:
                say(refusal)
            else:
                say(f"edited: {'; '.join(differences(command, candidate)) or 'nothing changed'}")
                say(f"now: {cost(candidate, situation.state, self._walls.capabilities)}; information not predicted")
                if self._terminal.key("a or Enter confirm, any other key edit again?", deadline).lower() in ("", "a"):
                    return candidate
            text = self._terminal.line("KEY=VALUE ..., or nothing to go back:", deadline)
        return None
