import io
import os
import pty
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from agent.config import ConfigErrors
from agent.console.asking import Asking
from agent.console.console import Console
from agent.console.words import Approve, Person
from agent.record import Decision
from agent.review import Walls
from agent.terminal import Terminal, TerminalClient
from hardware_bridge.messages import Capabilities, Command, Limits, Range
from policies.interface import Proposal, Situation

Make = Callable[..., Command]


class Desk:
    """A person at a terminal: a review, what it wrote, and how often it beat."""

    def __init__(self, walls: Walls, make_proposal: Callable[..., Proposal], situation: Situation) -> None:
        self.walls, self.make_proposal, self.situation = walls, make_proposal, situation
        self.output = io.StringIO()
        self.stops = 0
        self.review: Asking
        self.console: Console

    def sit(self, source: int, timeout_s: float = 5.0) -> None:
        self.console = Console("outside" if self.walls.has_envelope else "every", timeout_s, self._stop)
        client = TerminalClient(self.console, Terminal(source, self.output), Person(name="ada", role="operator"))
        self.review = Asking(self.console, self.walls, client.attend)

    def _stop(self) -> None:
        self.stops += 1

    def decide(self, *commands: Command) -> Decision:
        proposals = [self.make_proposal(command, reason=f"because of {command.id}") for command in commands]
        decision = self.review(proposals, self.situation)
        self.console.ended()
        return decision


@pytest.fixture
def desk(
    limits: Limits,
    capabilities: Capabilities,
    make_proposal: Callable[..., Proposal],
    make_situation: Callable[..., Situation],
) -> Desk:
    return Desk(Walls(limits, capabilities), make_proposal, make_situation())


@contextmanager
def piped(text: str, close: bool = True) -> Iterator[int]:
    """A pipe that holds some lines."""
    out, into = os.pipe()
    os.write(into, text.encode())
    if close:
        os.close(into)
    try:
        yield out
    finally:
        os.close(out)
        if not close:
            os.close(into)


@contextmanager
def typed(desk: Desk, *steps: tuple[str, str]) -> Iterator[int]:
    """A real terminal on which a person waits for a prompt and then types, step by step."""
    master, slave = pty.openpty()

    def person() -> None:
        seen = 0
        for prompt, keys in steps:
            deadline = time.monotonic() + 5.0
            while prompt not in desk.output.getvalue()[seen:] and time.monotonic() < deadline:
                time.sleep(0.01)
            seen = len(desk.output.getvalue())
            # The prompt is written just before the terminal is ready for keys.
            time.sleep(0.05)
            os.write(master, keys.encode())

    thread = threading.Thread(target=person)
    thread.start()
    try:
        yield slave
    finally:
        thread.join()
        os.close(slave)
        os.close(master)


@pytest.fixture
def three(make_command: Make) -> list[Command]:
    return [make_command("best"), make_command("second", fov_nm=128.0), make_command("third", fov_nm=64.0)]


class TestOnAPipe:
    @pytest.mark.parametrize("answer", ["a\n", "\n", "A\n", "what\na\n"])
    def test_approve(self, desk: Desk, three: list[Command], answer: str) -> None:
        with piped(answer) as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert (decision.verdict, decision.by, decision.command) == ("approved", "ada", three[0])
        assert decision.reason == "because of best"
        assert [shown.command for shown in decision.proposals] == three

    def test_what_is_shown(self, desk: Desk, three: list[Command]) -> None:
        with piped("a\n") as source:
            desk.sit(source)
            desk.decide(*three)
        said = desk.output.getvalue()
        assert "Turn 0: 600 s and 1e+09 electrons are left; the beam is blanked." in said
        assert " [a] HAADF 32 x 32 pixels over 256 nm at (0, 0) nm" in said
        assert " [2] HAADF 32 x 32 pixels over 64 nm" in said
        assert "because of third (survey)" in said
        assert "information 0.02 +- 0.01, dose 7.39e+05 electrons" in said

    def test_an_alternative(self, desk: Desk, three: list[Command]) -> None:
        with piped("4\n2\n") as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert (decision.verdict, decision.command) == ("approved", three[2])
        assert decision.reason == "alternative 2: because of third"
        assert "'4' is none of: a or Enter approve, 1-2 alternative, m modify" in desk.output.getvalue()

    def test_no_alternative_is_offered_where_there_is_none(self, desk: Desk, three: list[Command]) -> None:
        with piped("a\n") as source:
            desk.sit(source)
            desk.decide(three[0])
        assert "alternative" not in desk.output.getvalue()

    @pytest.mark.parametrize("answer", ["r2\n", "r 2\n", "r\n2\n", "r\n9\n2\n"])
    def test_refuse_with_a_reason(self, desk: Desk, three: list[Command], answer: str) -> None:
        with piped(answer) as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert (decision.verdict, decision.reason, decision.command) == ("refused", "too much dose", None)

    def test_stop(self, desk: Desk, three: list[Command]) -> None:
        with piped("q\n") as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert (decision.verdict, decision.command) == ("refused", None)
        assert decision.reason == "stopped by ada"
        assert desk.console.standing.stopped_by == "ada"
        assert desk.stops == 1

    def test_an_edit_is_checked_and_confirmed(self, desk: Desk, three: list[Command]) -> None:
        with piped("m dwell_s=4e-6 stage_x_nm=20\na\n") as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert decision.verdict == "edited"
        assert decision.command is not None
        assert decision.command.acquire is not None
        assert decision.command.acquire.dwell_s == 4e-6
        assert decision.reason == "acquire.dwell_s 2e-06 -> 4e-06; go.stage_x_nm unset -> 20"
        assert "now: dose 1.38e+06 electrons" in desk.output.getvalue()

    def test_an_impossible_edit_cannot_be_confirmed(self, desk: Desk, three: list[Command]) -> None:
        with piped("m dwell_s=0.2\ndwel_s=1\ndwell_s=4e-6\nno\n\nr1\n") as source:
            desk.sit(source)
            decision = desk.decide(*three)
        said = desk.output.getvalue()
        assert "acquire.dwell_s = 0.2 refused (range): limit 1e-07..0.1" in said
        assert "dwel_s=1: no such field, did you mean dwell_s?" in said
        assert (decision.verdict, decision.reason) == ("refused", "wrong place")

    def test_nobody_is_asked_about_the_impossible(self, desk: Desk, make_command: Make) -> None:
        bad, good = make_command("bad", stage_x_nm=5000.0), make_command("good")
        with piped("a\n") as source:
            desk.sit(source)
            assert desk.decide(bad, good).command == good
            assert "5000" not in desk.output.getvalue()
            refused = desk.decide(bad)
        assert (refused.verdict, refused.by, refused.command) == ("refused", "envelope", None)
        assert "limit -1000..1000" in refused.reason

    def test_inside_the_envelope_nobody_is_asked(
        self, desk: Desk, limits: Limits, capabilities: Capabilities, make_command: Make
    ) -> None:
        desk.walls = Walls(limits, capabilities, {"stage_x_nm": Range(low=-10.0, high=10.0)})
        inside, outside = make_command("inside", stage_x_nm=5.0), make_command("outside", stage_x_nm=50.0)
        with piped("a\n") as source:
            desk.sit(source)
            assert (desk.decide(inside).by, desk.output.getvalue()) == ("envelope", "")
            decision = desk.decide(outside, inside)
        assert (decision.by, decision.command) == ("ada", outside)

    def test_approved_beforehand_and_by_another_mode(self, desk: Desk, three: list[Command]) -> None:
        with piped("g\n0\ng ten\ng 1\ng HAADF 10\no sometimes\no outside\na\n") as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert decision.command == three[0]
        status = desk.console.status()
        assert [(grant.kind, grant.left) for grant in status.grants] == [(None, 1), ("HAADF", None)]
        assert status.mode == "outside"
        said = desk.output.getvalue()
        for told in ("'0' is neither a number", "'ten' is neither a number", "'sometimes' is none of: every, outside"):
            assert told in said
        assert "approved beforehand: HAADF 10 min" in said

    def test_the_run_is_steered(self, desk: Desk, three: list[Command]) -> None:
        with piped("s budget.electrons=1e8; wrong=1\ns budget.electrons=1e8\n") as source:
            desk.sit(source)

            def check(changes: Sequence[str]) -> None:
                if "wrong=1" in changes:
                    raise ConfigErrors("what is to be changed", ["wrong: unknown field"])

            desk.console.steering(check)
            decision = desk.decide(*three)
        assert (decision.verdict, decision.reason) == ("timed_out", "ada steers, so it is asked anew")
        assert desk.console.steering(check) == ("budget.electrons=1e8",)
        assert "wrong: unknown field" in desk.output.getvalue()
        assert "from the next turn on: budget.electrons=1e8" in desk.output.getvalue()

    def test_a_closed_input_holds(self, desk: Desk, three: list[Command]) -> None:
        with piped("") as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert (decision.verdict, decision.by, decision.command) == ("timed_out", "nobody", None)
        assert decision.reason == "the input is closed"
        assert "holding, the beam is blanked" in desk.output.getvalue()

    def test_silence_holds(self, desk: Desk, three: list[Command]) -> None:
        with piped("m\n", close=False) as source:
            desk.sit(source, timeout_s=0.6)
            begun = time.monotonic()
            decision = desk.decide(*three)
            ended = time.monotonic()
        assert (decision.verdict, decision.by, decision.command) == ("timed_out", "nobody", None)
        assert 0.6 <= decision.waited_s <= ended - begun
        assert "nobody answered in time: holding, the beam is blanked" in desk.output.getvalue()

    def test_somebody_else_answers(self, desk: Desk, three: list[Command]) -> None:
        bob = Person(name="bob", role="operator", screen="page")

        def elsewhere() -> None:
            while (question := desk.console.status().question) is None:
                time.sleep(0.01)
            desk.console.answer(bob, question.id, Approve(revision=question.revision, choice=1))

        with piped("", close=False) as source:
            desk.sit(source)
            thread = threading.Thread(target=elsewhere)
            thread.start()
            decision = desk.decide(*three)
            thread.join()
        assert (decision.by, decision.command) == ("bob", three[1])
        assert "approved by bob elsewhere" in desk.output.getvalue()

    def test_whoever_has_no_lease_is_told(self, desk: Desk, three: list[Command]) -> None:
        with piped("a\nq\n") as source:
            desk.sit(source)
            desk.console.take_lease(Person(name="bob", role="operator", screen="page"))
            assert desk.decide(*three).verdict == "refused"
        assert "bob at page holds the lease" in desk.output.getvalue()
        assert desk.stops == 1, "stopping needs no lease"

    def test_pause_and_go_on(self, desk: Desk, three: list[Command]) -> None:
        with piped("p\na\np\na\n") as source:
            desk.sit(source)
            assert desk.decide(*three).command == three[0]
        said = desk.output.getvalue()
        assert "paused by ada: nothing is decided now" in said
        assert "going on" in said

    def test_paused_before_the_question(self, desk: Desk, three: list[Command]) -> None:
        with piped("p\na\n") as source:
            desk.sit(source)
            desk.console.pause(Person(name="ada", role="operator"), True)
            assert desk.decide(*three).command == three[0]
        assert "paused by ada: p go on, q stop?" in desk.output.getvalue()

    def test_taken_over_there_is_no_time_out(self, desk: Desk, three: list[Command]) -> None:
        master_side, slave_side = os.pipe()
        timer = threading.Timer(0.6, os.write, [slave_side, b"t\na\n"])
        os.write(slave_side, b"t\n")
        timer.start()
        desk.sit(master_side, timeout_s=0.3)
        decision = desk.decide(*three)
        timer.join()
        os.close(master_side)
        os.close(slave_side)
        assert decision.verdict == "approved"
        assert "ada has taken over" in desk.output.getvalue()

    def test_lines_typed_together_answer_one_question_each(self, desk: Desk, three: list[Command]) -> None:
        with piped("1\n2\n") as source:
            desk.sit(source)
            assert [desk.decide(*three).command for _ in range(2)] == three[1:]


class TestOnATerminal:
    """One tap an answer, on a real pseudo-terminal."""

    @pytest.mark.parametrize(("keys", "expected"), [("a", 0), ("\n", 0), ("\r", 0), ("1", 1)])
    def test_one_key_approves(self, desk: Desk, three: list[Command], keys: str, expected: int) -> None:
        with typed(desk, ("stop?", keys)) as source:
            desk.sit(source)
            assert desk.decide(*three).command == three[expected]

    def test_two_keys_refuse(self, desk: Desk, three: list[Command]) -> None:
        with typed(desk, ("stop?", "r"), ("why?", "3")) as source:
            desk.sit(source)
            assert desk.decide(*three).reason == "out of focus"

    @pytest.mark.parametrize("keys", ["q", "\x1b"])
    def test_stop(self, desk: Desk, three: list[Command], keys: str) -> None:
        with typed(desk, ("stop?", keys)) as source:
            desk.sit(source)
            desk.decide(*three)
        assert desk.stops == 1

    def test_an_arrow_is_no_escape(self, desk: Desk, three: list[Command]) -> None:
        with typed(desk, ("stop?", "\x1b[A"), ("stop?", "a")) as source:
            desk.sit(source)
            assert desk.decide(*three).command == three[0]
        assert desk.stops == 0

    def test_an_edit_is_a_line(self, desk: Desk, three: list[Command]) -> None:
        steps = (("stop?", "m"), ("go back:", "dwell_s=3\x7f4e-6\n"), ("edit again?", "a"))
        with typed(desk, *steps) as source:
            desk.sit(source)
            decision = desk.decide(*three)
        assert decision.command is not None
        assert decision.command.acquire is not None
        assert decision.command.acquire.dwell_s == 4e-6

    def test_keys_before_the_question_do_not_answer_it(self, desk: Desk, three: list[Command]) -> None:
        master, slave = pty.openpty()
        os.write(master, b"a\naaa\n")
        time.sleep(0.05)
        desk.sit(slave, timeout_s=0.3)
        decision = desk.decide(*three)
        os.close(master)
        os.close(slave)
        assert decision.verdict == "timed_out"

    def test_a_terminal_that_hangs_up_holds(self, desk: Desk, three: list[Command]) -> None:
        master, slave = pty.openpty()
        desk.sit(slave, timeout_s=5.0)
        timer = threading.Timer(0.2, os.close, [master])
        timer.start()
        decisions = [desk.decide(*three) for _ in range(2)]
        timer.join()
        os.close(slave)
        assert [decision.verdict for decision in decisions] == ["timed_out"] * 2

    def test_the_terminal_is_left_as_it_was(self, desk: Desk, three: list[Command]) -> None:
        with typed(desk, ("stop?", "a")) as source:
            before = termios.tcgetattr(source)
            desk.sit(source)
            desk.decide(*three)
            assert termios.tcgetattr(source) == before
