"""A record in the console: any turn of it, at any speed, with what another policy would have chosen there.

The screens are told what they were told when the run went on; nothing is asked, and nothing runs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from agent.console.choices import chosen
from agent.console.console import Console
from agent.console.feed import Feed
from agent.console.words import Choice, Conflict, Question, Replay, Replayed, Rival, Status
from agent.eventlog import RecordError
from agent.reading import Run
from agent.record import Record, as_turn, taken
from agent.review import MAX_TEXT, Walls
from hardware_bridge.observation import Observation
from hardware_bridge.report import Percept, Report
from policies.interface import Policy, Proposal, Setup, Situation

BELIEFS = 60
"""So many beliefs are worked out over a run, evenly; each takes a while."""
TICK_S = 0.05
SPECTRA = ("EELS", "EDS")
SAME_PLACE = 0.5
"""Fields are at one place whose middles are closer than this share of the wider one."""

MakePolicy = Callable[[str], Policy]
Believing = tuple[Callable[[Observation], Percept], Callable[[], Report]]


class Replaying(Console):
    """A console over a record: ``replay`` moves in it. Close it in the end."""

    def __init__(self, run: Run, setup: Setup, feed: Feed, make_policy: MakePolicy, believing: Believing) -> None:
        """``make_policy`` begins a policy by name, ``believing`` perceives and says what is believed then.

        Raises:
            RecordError: there is no turn in it.
        """
        super().__init__("none", math.inf, lambda: None)
        if not run.records:
            raise RecordError(f"{run.folder}: holds no turn to replay")
        self._run, self._setup, self._feed, self._make = run, setup, feed, make_policy
        self._walls = Walls(setup.limits, setup.capabilities)
        self._records, self._turn, self._speed = run.records, 0, 0.0
        self._clock_s = 0.0
        self._reading = threading.Lock()
        self._beliefs: dict[int, Report] = {}
        self._rival: _Rival | None = None
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._play, name="replay", daemon=True),
            threading.Thread(target=self._believe, args=believing, name="beliefs", daemon=True),
        ]
        self._show(len(self._records) - 1)
        for thread in self._threads:
            thread.start()

    def status(self) -> Status:
        """Where the replay stands."""
        with self._lock:
            rival = self._rival.at(self._turn) if self._rival is not None else None
            return Status(
                mode="none",
                paused_by="",
                taken_by="",
                stopped_by="",
                stop_failure="",
                holder="",
                question=self._question(self._records[self._turn]),
                left_s=None,
                grants=(),
                envelope={},
                asked=sum(record.decision.by != "envelope" for record in self._records[: self._turn + 1]),
                turns=self._turn + 1,
                replayed=Replayed(turn=self._turn, turns=len(self._records), speed=self._speed, rival=rival),
            )

    def replay(self, wanted: Replay) -> None:
        """Go to a turn, play on so fast, or compare with a policy.

        Raises:
            Conflict: there is no such turn or policy.
        """
        if wanted.turn is not None and wanted.turn >= len(self._records):
            raise Conflict(f"turn = {wanted.turn}: the record ends with turn {len(self._records) - 1}")
        if wanted.rival is not None:
            try:
                policy = self._make(wanted.rival)
            except ValueError as error:
                raise Conflict(f"rival: {error}") from None
            if self._rival is not None:
                self._rival.closed.set()
            self._rival = _Rival(wanted.rival, policy, self)
        with self._lock:
            if wanted.speed is not None:
                self._speed = wanted.speed
            if wanted.turn is not None:
                self._show(wanted.turn)
            elif wanted.speed and self._turn == len(self._records) - 1:
                self._show(0)
            self._tell()

    def close(self) -> None:
        """End its threads."""
        self._closed.set()
        if self._rival is not None:
            self._rival.closed.set()
        for thread in self._threads:
            thread.join()
        self._run.close()
        super().close()

    def situations(self) -> Iterator[tuple[Record, Situation]]:
        """Each turn with where things stood when it was decided."""
        spent = 0.0
        state = self._records[0].state
        for record in self._records:
            # The read-back of a turn is from its end; the next decision begins where it ended.
            situation = Situation(
                turn=record.turn,
                state=state,
                electrons_left=self._setup.max_electrons - spent,
                time_left_s=self._setup.end_s - record.start_s,
            )
            yield record, situation
            spent += record.electrons_charged
            state = record.state

    def choice(self, proposal: Proposal, record: Record) -> Choice:
        """A proposal as it is shown at a turn."""
        return chosen(proposal.command, self._records[max(record.turn - 1, 0)].state, proposal, self._walls)

    def changed_by_rival(self) -> None:
        """Tell the screens that more is known of another policy."""
        with self._lock:
            self._tell()

    def _show(self, turn: int) -> None:
        """Bring the screens to a turn: its newest image, spectrum and belief, and all turns up to it."""
        feed = self._feed
        if turn < self._turn:
            feed.rewind()
        first = len(feed.turns)
        newest: dict[bool, Record] = {}
        for record in self._records[first if turn > self._turn else 0 : turn + 1]:
            if record.arrays is not None and record.percept is not None:
                newest[record.percept.mode in SPECTRA] = record
        for record in self._records[first : turn + 1]:
            feed.add(record)
        for record in newest.values():
            self._look(record)
        known = [at for at in self._beliefs if at <= turn]
        if known:
            feed.believe(self._beliefs[max(known)])
        self._turn, self._clock_s = turn, self._records[turn].end_s
        feed.heard(self._records[turn].state)

    def _look(self, record: Record) -> None:
        observation = self._observation(record)
        if observation is not None:
            self._feed.look(observation, record.turn)

    def _observation(self, record: Record) -> Observation | None:
        with self._reading:
            try:
                return self._run.observation(record)
            except RecordError:
                return None  # its arrays are lost; the rest of the turn is shown

    def _question(self, record: Record) -> Question:
        decision = record.decision
        choices = [self.choice(proposal, record) for proposal in decision.proposals]
        took = taken(record)
        at = next((n for n, each in enumerate(decision.proposals) if each is took), None)
        if decision.command is not None and at is None:
            of = decision.proposals[0] if decision.proposals else _unproposed(record)
            state = self._records[max(record.turn - 1, 0)].state
            choices.append(chosen(decision.command, state, of, self._walls))
            at = len(choices) - 1
        return Question(
            id=f"replay.{record.turn}",
            revision=0,
            state="refused" if decision.command is None else "done",
            turn=record.turn,
            why=f"{decision.verdict.replace('_', ' ')} by {decision.by}, after {decision.waited_s:.1f} s",
            time_left_s=self._setup.end_s - record.start_s,
            electrons_left=self._setup.max_electrons - sum(r.electrons_charged for r in self._records[: record.turn]),
            choices=tuple(choices),
            chosen=at,
            by=decision.by,
            reason=(record.failure or decision.reason)[:MAX_TEXT],
        )

    def _play(self) -> None:
        """Go on with the clock of the instrument, while it plays."""
        before_s = time.monotonic()
        while not self._closed.wait(TICK_S):
            now_s = time.monotonic()
            with self._lock:
                last = len(self._records) - 1
                if self._speed == 0.0 or self._turn == last:
                    self._speed = 0.0 if self._turn == last else self._speed
                else:
                    clock_s, turn = self._clock_s + self._speed * (now_s - before_s), self._turn
                    while turn < last and self._records[turn + 1].end_s <= clock_s:
                        turn += 1
                    if turn != self._turn:
                        self._show(turn)
                        self._tell()
                    self._clock_s = clock_s
            before_s = now_s

    def _believe(self, perceive: Callable[[Observation], Percept], report: Callable[[], Report]) -> None:
        """Perceive it all again, and keep what was believed now and then."""
        step = max(1, len(self._records) // BELIEFS)
        for record in self._records:
            if self._closed.is_set():
                return
            observation = self._observation(record)
            if observation is not None and record.percept is not None:
                perceive(observation)
            if record.turn % step == 0 or record is self._records[-1]:
                told = report()
                with self._lock:
                    self._beliefs[record.turn] = told
                    if max((at for at in self._beliefs if at <= self._turn), default=-1) == record.turn:
                        self._feed.believe(told)
                        self._tell()


class _Rival:
    """Asks another policy at each turn of the record, in a thread of its own."""

    def __init__(self, name: str, policy: Policy, of: Replaying) -> None:
        self._name, self._policy, self._of = name, policy, of
        self._choices: list[Choice | None] = []
        self._agrees: list[bool | None] = []
        self._why = ""
        self.closed = threading.Event()
        threading.Thread(target=self._ask, name="rival", daemon=True).start()

    def at(self, turn: int) -> Rival:
        """What it would have chosen at a turn, as far as it has been asked."""
        choices, agrees = list(self._choices), [each for each in self._agrees[: turn + 1] if each is not None]
        known = turn < len(choices)
        why = "" if known and choices[turn] is not None else "it has nothing to propose" if known else "not asked yet"
        return Rival(
            name=self._name,
            choice=choices[turn] if known else None,
            why=self._why or why,
            agreed=sum(agrees),
            asked=len(agrees),
        )

    def _ask(self) -> None:
        for record, situation in self._of.situations():
            if self.closed.is_set():
                return
            try:
                proposals: Sequence[Proposal] = self._policy.suggest(situation, 1)
                self._policy.ingest(as_turn(record))
            except Exception as error:  # noqa: BLE001 - a policy that cannot follow another's run says so, and that is all
                self._why = f"{type(error).__name__}: {error}"[:MAX_TEXT]
                return
            choice = self._of.choice(proposals[0], record) if proposals else None
            self._agrees.append(_alike(choice, record) if choice is not None else None)
            self._choices.append(choice)
            self._of.changed_by_rival()


def _alike(choice: Choice, record: Record) -> bool | None:
    """Whether a choice is what ran in a turn: the same mode at one place; None where nothing ran."""
    percept, acquire = record.percept, choice.command.acquire
    if percept is None or percept.mode is None:
        return None
    if acquire is None or acquire.mode != percept.mode:
        return False
    apart_nm = math.dist((choice.x_nm, choice.y_nm), (percept.x_nm, percept.y_nm))
    return apart_nm < SAME_PLACE * max(choice.width_nm, percept.width_nm)


def _unproposed(record: Record) -> Proposal:
    """What stands for a command that nobody proposed."""
    assert record.decision.command is not None
    return Proposal(
        command=record.decision.command,
        information=0.0,
        information_sd=0.0,
        electrons=0.0,
        time_s=0.0,
        reason=record.decision.reason,
        proposer="console",
    )
