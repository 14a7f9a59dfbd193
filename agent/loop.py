"""The loop: read this file first. One turn is a list of verbs; every part is handed in.

look -> suggest -> review -> execute -> perceive -> write -> ingest -> look ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from agent.record import Decision, Record, as_turn
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.messages import Command
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Observation
from hardware_bridge.report import Percept
from policies.interface import Policy, Proposal, Setup, Situation

MAX_REFUSALS_IN_A_ROW = 20


class Recorder(Protocol):
    """Writes turns so that they survive whatever comes next."""

    def write(self, record: Record, observation: Observation | None) -> Record:
        """Put a turn on disk before anything learns from it; returns it with the place of its arrays."""
        ...


Review = Callable[[Sequence[Proposal], Situation], Decision]
Execute = Callable[[Microscope, Command, float], Observation]
Perceive = Callable[[Observation], Percept]


class Stuck(RuntimeError):
    """Too many turns in a row led to no command that could run, or were cut short."""


@dataclass
class Loop:
    """An agent at an instrument. ``step`` is one turn; ``run`` is turns until time, dose or the policy ends.

    ``expose`` runs a command and gathers its window. ``alternatives`` is how many proposals are shown at each decision,
    ``silence_s`` how long the instrument may say nothing.
    """

    microscope: Microscope
    policy: Policy
    perceive: Perceive
    review: Review
    recorder: Recorder
    setup: Setup
    expose: Execute = execute
    alternatives: int = 4
    silence_s: float = 2.0
    turn: int = 0
    electrons_at_start: float = 0.0
    refusals: int = 0
    suffix: str = ""
    _wall_s: dict[str, float] = field(default_factory=dict)

    def run(self, turns: int | None = None) -> Iterator[Record]:
        """Yield one record a turn until time or dose is spent, the policy has nothing left or ``turns`` are done.

        Raises:
            BridgeError: the instrument was lost; the turn is recorded before.
            Stuck: nothing that was decided could run, many times over.
        """
        while turns is None or self.turn < turns:
            situation = self.look()
            if situation.time_left_s <= 0 or situation.electrons_left <= 0:
                return
            record = self.step(situation)
            if record is None:
                return
            yield record

    def step(self, situation: Situation) -> Record | None:
        """One turn; None where the policy has nothing left to suggest."""
        # Writing and learning end after a record is written: it holds how long they took in the turn before.
        self._wall_s = {step: s for step, s in self._wall_s.items() if step in ("look", "write", "ingest")}
        proposals = self.suggest(situation)
        if not proposals:
            return None
        decision = self.decide(proposals, situation)
        observation, percept, failure, error = None, None, "", None
        try:
            observation = self.execute(decision)
            percept = self.see(observation)
        except (Rejected, Malformed) as refusal:
            failure = str(refusal)
        except Exception as fault:  # noqa: BLE001 - recorded, then raised again below: a turn is never lost
            failure, error = f"{type(fault).__name__}: {fault}"[:2000], fault
        record = self.write(situation, decision, observation, percept, failure)
        if error is not None:
            raise error
        self.learn(record, observation.reason if observation is not None else "")
        return record

    def look(self) -> Situation:
        """Read back where things stand."""
        with self._timed("look"):
            state = self.microscope.state()
        left = self.setup.max_electrons - (state.electrons_charged - self.electrons_at_start)
        left_s = self.setup.end_s - state.clock_s
        return Situation(turn=self.turn, state=state, electrons_left=left, time_left_s=left_s)

    def suggest(self, situation: Situation) -> Sequence[Proposal]:
        """Ask the policy for ranked proposals."""
        with self._timed("suggest"):
            proposals = self.policy.suggest(situation, self.alternatives)
        if not self.suffix:
            return proposals
        return [replace(p, command=replace(p.command, id=p.command.id + self.suffix)) for p in proposals]

    def decide(self, proposals: Sequence[Proposal], situation: Situation) -> Decision:
        """Have the proposals reviewed: by the envelope, and by a person if one is asked."""
        with self._timed("review"):
            return self.review(proposals, situation)

    def execute(self, decision: Decision) -> Observation | None:
        """Run what was decided and gather the window; the beam is blanked before anybody thinks about it."""
        if decision.command is None:
            return None
        with self._timed("execute"):
            observation = self.expose(self.microscope, decision.command, self.silence_s)
            self.microscope.blank()
            return observation

    def see(self, observation: Observation | None) -> Percept | None:
        """Turn what came into estimates."""
        if observation is None:
            return None
        with self._timed("perceive"):
            return self.perceive(observation)

    def write(
        self,
        situation: Situation,
        decision: Decision,
        observation: Observation | None,
        percept: Percept | None,
        failure: str,
    ) -> Record:
        """Put the turn on disk, whatever happened in it."""
        record = Record(
            turn=self.turn,
            start_s=situation.state.clock_s,
            end_s=observation.end_s if observation else situation.state.clock_s,
            decision=decision,
            state=observation.state if observation else situation.state,
            percept=percept,
            electrons=observation.electrons if observation else 0.0,
            electrons_charged=observation.electrons_charged if observation else 0.0,
            gaps=observation.gaps if observation else 0,
            dropped=observation.dropped if observation else 0,
            aborted=observation.aborted if observation else False,
            events=observation.events if observation else (),
            failure=failure,
            wall_s=dict(self._wall_s),
        )
        with self._timed("write"):
            return self.recorder.write(record, observation)

    def learn(self, record: Record, ended: str = "") -> None:
        """Let the policy learn from the turn, and count turns that came to nothing; ``ended`` is why it was cut."""
        with self._timed("ingest"):
            self.policy.ingest(as_turn(record))
        self.turn = record.turn + 1
        # What ended early, and for no event, was ended by trouble.
        was_cut = record.aborted and not record.events
        self.refusals = self.refusals + 1 if record.percept is None or was_cut else 0
        if self.refusals >= MAX_REFUSALS_IN_A_ROW:
            why = f"ended early, {ended}" if was_cut else record.failure or record.decision.reason
            raise Stuck(f"{self.refusals} turns in a row came to nothing; the last: {why}")

    def resume(self, records: Sequence[Record]) -> None:
        """Bring the policy to where a recorded run stopped, by replaying its turns.

        The instrument may have run a command that the record does not hold, so from here on ids are new ones.
        """
        self.suffix = f"-r{round(1e3 * self.microscope.state().clock_s)}"
        for record in records:
            self.policy.ingest(as_turn(record))
            self.turn = record.turn + 1

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._wall_s[step] = time.perf_counter() - begun
