"""Looking while people think, and before what they approved runs, so that no drifted place is acted on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from agent.console.whereabouts import Whereabouts
from agent.console.words import Choice, Question
from agent.record import Decision
from agent.review import Walls
from hardware_bridge.cost import fluence_e_per_A2, predict
from hardware_bridge.messages import Command, InstrumentState
from policies.interface import Situation

LOOKS_S = 0.5
"""While a question waits it is looked at most so often."""

LOST = "its place may have drifted, and no low-dose image tells by how much"


class Sight:
    """What a review sees for itself: the instrument's state, and low-dose looks at what was seen last."""

    def __init__(
        self, walls: Walls, state: Callable[[], InstrumentState], places: Whereabouts, watch_e_per_A2_s: float
    ) -> None:
        """``watch_e_per_A2_s`` is the dose rate that a pixel may have while a question waits."""
        self._walls, self._state, self._places, self._watch_e_per_A2_s = walls, state, places, watch_e_per_A2_s
        self._looked: Command | None = None

    def hold(self, situation: Situation) -> None:
        """A question is put: what drifts from here on counts."""
        self._places.hold(situation.state.clock_s)

    def rebase(self, situation: Situation) -> None:
        """A question is put again, about places as they are now."""
        self._looked = None
        self._places.rebase(situation.state.clock_s)

    def settle(self) -> None:
        """No question waits any more."""
        self._looked = None
        self._places.release()

    def now(self, situation: Situation) -> Situation:
        """Where things stand after a wait."""
        state = self._state()
        passed_s = state.clock_s - situation.state.clock_s
        return dataclasses.replace(situation, state=state, time_left_s=situation.time_left_s - passed_s)

    def look(self, name: str, situation: Situation) -> Command | None:
        """The low-dose look at what was seen last; None where there is none, or it may not be."""
        look = self._places.low_dose(name)
        return look if look is not None and not self._walls.impossible(look, situation) else None

    def every_s(self, look: Command, situation: Situation) -> float:
        """How long to wait between looks, so that the dose rate stays as low as was allowed."""
        fluence = fluence_e_per_A2(look, situation.state, self._walls.capabilities)
        return max(LOOKS_S, fluence / self._watch_e_per_A2_s)

    def electrons(self, situation: Situation) -> float:
        """What a look costs; nothing where none would be taken."""
        look = self._places.low_dose("") if self._places.can_be_found else None
        return predict(look, situation.state, self._walls.capabilities).electrons if look is not None else 0.0

    def first(self, chosen: Choice, situation: Situation, name: str) -> Command | None:
        """The look that must come before what was chosen; None where none must, or one told nothing before."""
        if self._looked is not None and not self._places.found(self._looked):
            return None
        if self._places.can_be_found and self._places.is_doubtful(chosen.width_nm, situation.state.clock_s):
            self._looked = self.look(name, situation)
            return self._looked
        return None

    def moved(self, chosen: Choice, situation: Situation) -> tuple[Command, float, str]:
        """What was chosen, for where it is by now; by how much it had moved, in nm; and why nobody knows, if so."""
        lost = LOST if self._places.is_doubtful(chosen.width_nm, situation.state.clock_s) else ""
        if lost or self._places.drifted_nm == (0.0, 0.0):
            return chosen.command, 0.0, lost
        return self._places.moved(chosen.command, situation.state), math.hypot(*self._places.drifted_nm), ""

    def looking(self, question: Question, look: Command) -> Decision:
        """The decision to look for the place of what was approved."""
        return Decision(
            proposals=(),
            verdict="approved",
            by=question.by,
            reason=f"looks where the field of turn {question.turn} is by now, before it runs",
            waited_s=0.0,
            command=look,
        )
