"""A Review that asks people: of what the walls let through, what has to be asked by the console's mode."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from msgspec.structs import replace

from agent.console.choices import chosen
from agent.console.console import Console
from agent.console.flags import doubts
from agent.console.sight import Sight
from agent.console.standing import kind_of
from agent.console.trust import BEFOREHAND
from agent.console.words import Choice, Edit, Impossible, Question
from agent.edits import EditErrors, differences, edited, towards
from agent.record import Decision
from agent.review import MAX_TEXT, Walls, inside, unasked
from hardware_bridge.cost import predict
from hardware_bridge.messages import Command
from hardware_bridge.report import Percept
from policies.interface import Foreseen, Proposal, Situation, Verdict

SHOWN = 5
SLICE_S = 0.1
AGAIN = 0.1
"""Share of its width that a field may have drifted by and still be what was approved: an assumption of this console."""

Foresee = Callable[[Command, Situation], Foreseen | None]
Waiting = Literal["hold", "go_on", "watch"]
Attend = Callable[[str | None, float | None], str]
"""Sits with people until a question is decided, or with None until they let the run go on; says why it gave up.

With a number of seconds it gives up after them too, saying nothing.
"""


class Asking:
    """Decides over proposals as the console's mode says, and waits for people where it must.

    The beam is blanked meanwhile, so waiting costs nothing and needs no heartbeat. With ``sight``, what was approved
    after the specimen may have drifted is looked for first, in a turn of its own, and moved to where it is by then.
    """

    def __init__(
        self,
        console: Console,
        walls: Walls,
        attend: Attend | None = None,
        waiting: Waiting = "hold",
        sight: Sight | None = None,
    ) -> None:
        """``attend`` is called in the loop's thread; without one, only other threads answer.

        Where ``waiting`` is ``go_on``, what the envelope lets through runs on while a question waits; where it is
        ``watch``, the last field is looked at, at low dose, each look a turn of its own. ``foresee`` may be set to what
        predicts what an edited command would tell, ``percept`` to what was perceived last.
        """
        self._console, self._walls, self._waiting, self._sight = console, walls, waiting, sight
        self._attend = attend or partial(wait, console)
        self._open: tuple[str, Sequence[Proposal]] | None = None
        self.percept: Percept | None = None
        self.foresee: Foresee = lambda command, situation: None
        console.limits, console.standing.envelope = walls.limits, walls.envelope
        console.watches = waiting == "watch"

    def __call__(self, proposals: Sequence[Proposal], situation: Situation) -> Decision:
        """Decide over ranked proposals; nobody is asked about an impossible one."""
        walls, standing = self._walls, self._console.standing
        walls.settle(situation)
        if standing.envelope != walls.envelope:
            walls.narrow(standing.envelope)
        while standing.paused_by and not standing.stopped_by:
            if reason := self._attend(None, None):
                return unasked(proposals, None, f"paused by {standing.paused_by}, and {reason}")
        if standing.stopped_by:
            return unasked(proposals, None, f"stopped by {standing.stopped_by}")
        if self._open is not None and self._console.question(self._open[0]).state != "proposed":
            decision = self._settled("", situation)
            if decision is not None:
                return self._runs(decision, situation)
        if standing.unasked:
            return self._runs(inside(walls, proposals, situation), situation)
        refusals = [walls.impossible(proposal.command, situation) for proposal in proposals]
        possible = [proposal for proposal, refusal in zip(proposals, refusals, strict=True) if not refusal]
        if not possible and self._open is None:
            return unasked(proposals, None, "; ".join(dict.fromkeys(refusals)) or "nothing was proposed")
        return self._runs(self._decided(proposals, possible, situation), situation)

    def _runs(self, decision: Decision, situation: Situation) -> Decision:
        if decision.command is not None:
            self._walls.chosen(decision.command, situation)
        return decision

    def _decided(self, proposals: Sequence[Proposal], possible: Sequence[Proposal], situation: Situation) -> Decision:
        if self._open is not None and (self._waiting != "go_on" or not possible):
            return self._waited(possible, situation)
        walls, standing, best = self._walls, self._console.standing, possible[0]
        outside = walls.outside(best.command, situation) if walls.has_envelope else ""
        why = standing.why_ask(outside, walls.has_envelope)
        if not why:
            return unasked(proposals, best.command, best.reason)
        grant = self._console.covered(best.command, situation.turn) if not outside else None
        if grant is not None:
            return Decision(
                proposals=tuple(proposals),
                verdict="approved",
                by=grant.by,
                reason=f"{BEFOREHAND}: {best.reason}"[:MAX_TEXT],
                waited_s=0.0,
                command=best.command,
            )
        trust, kind = self._console.trust, kind_of(best.command)
        if self._open is None and not outside and not standing.taken_by and not trust.asks(kind):
            return unasked(proposals, best.command, f"{best.reason}; {trust.why(kind)}")
        if self._open is None:
            if self._sight is not None:
                self._sight.hold(situation)
            self._open = self._asked(possible[:SHOWN], situation, why), possible[:SHOWN]
        return self._waited(possible, situation)

    def _waited(self, possible: Sequence[Proposal], situation: Situation) -> Decision:
        """What is done while the open question waits, or what became of it."""
        standing, walls = self._console.standing, self._walls
        while True:
            assert self._open is not None
            if self._waiting == "go_on" and standing.mode == "outside" and walls.has_envelope and not standing.taken_by:
                safe = inside(walls, possible, situation)
                if safe.command is not None:
                    return safe
            look = None
            if self._waiting == "watch" and self._sight is not None:
                look = self._sight.look(f"watching-{self._open[0]}-{situation.turn}", situation)
            if look is not None and self._sight is not None:
                reason = self._attend(self._open[0], self._sight.every_s(look, situation))
                if not reason and not standing.stopped_by and self._console.question(self._open[0]).state == "proposed":
                    if not standing.paused_by:
                        return unasked((), look, "looks on at low dose while a question waits")
                    continue
            else:
                reason = self._attend(self._open[0], None)
            decision = self._settled(reason, situation)
            if decision is not None:
                return decision

    def _asked(self, shown: Sequence[Proposal], situation: Situation, why: str) -> str:
        choices = tuple(self._choice(proposal.command, situation, proposal) for proposal in shown)
        return self._console.ask(choices, situation, why, partial(self._edited, situation)).id

    def _settled(self, reason: str, situation: Situation) -> Decision | None:
        """What became of the open question; ``reason`` is why nobody answers it. None where it waits on."""
        assert self._open is not None
        name, shown = self._open
        console, waited_s = self._console, self._console.took_s
        question, sight, command, told = console.claim(name), self._sight, None, ""
        if question.state == "proposed" and not reason and not console.standing.stopped_by:
            return None  # it was taken back just now
        if question.chosen is not None and not console.standing.stopped_by:
            # It may have been approved turns after it was asked, and doses and places are others by now.
            choice = question.choices[question.chosen]
            command, refusal = choice.command, ""
            if sight is not None:
                situation = sight.now(situation)
                look = sight.first(choice, situation, f"place-{name}-{situation.turn}")
                if look is not None:
                    return sight.looking(console.finding(name, situation.turn), look)
                command, apart_nm, refusal = sight.moved(choice, situation)
                told = f"; moved by {apart_nm:.1f} nm, by which it had drifted" if apart_nm else ""
                if apart_nm > AGAIN * choice.width_nm > 0.0:
                    self._again(choice, command, apart_nm, situation)
                    return None
            reason = ""
            question = console.taken(name, reason, refusal or self._walls.impossible(command, situation))
        else:
            question = console.taken(name, reason)
        decision = _decision(question, shown, waited_s)
        if decision.verdict != "timed_out":
            self._console.trust.learn(kind_of(shown[0].command), question.chosen == 0)
        if decision.command is not None:
            decision = replace(decision, command=command, reason=(decision.reason + told)[:MAX_TEXT])
        self._open = None
        if sight is not None:
            sight.settle()
        return decision

    def _again(self, chosen: Choice, command: Command, apart_nm: float, situation: Situation) -> None:
        """Put what was chosen again, where it is by now."""
        assert self._open is not None
        assert self._sight is not None
        why = f"it had drifted by {apart_nm:.0f} nm before it was approved"
        self._console.taken(self._open[0], "", why)
        self._sight.rebase(situation)
        price = predict(command, situation.state, self._walls.capabilities)
        moved = Proposal(
            command=replace(command, id=f"{command.id[:58]}-again"),
            information=chosen.information or 0.0,
            information_sd=chosen.information_sd,
            electrons=price.electrons,
            time_s=price.time_s,
            reason=chosen.reason,
            proposer=chosen.proposer,
        )
        self._open = self._asked([moved], situation, why), [moved]

    def _foreseen(self, command: Command, situation: Situation) -> Foreseen | None:
        """What an edited command would tell; not asked while the loop, whose policy it is, goes on meanwhile."""
        return self.foresee(command, situation) if self._waiting == "hold" else None

    def _finding(self, situation: Situation) -> float:
        """Electrons of the look that comes first where an answer takes long; none where no time passes meanwhile."""
        if self._sight is None or (self._waiting == "hold" and self._walls.capabilities.time == "stepped"):
            return 0.0
        return self._sight.electrons(situation)

    def _choice(
        self, command: Command, situation: Situation, of: Proposal | Choice, edits: tuple[str, ...] = ()
    ) -> Choice:
        outside = self._walls.outside(command, situation) if self._walls.has_envelope else ""
        choice = chosen(command, situation.state, of, self._walls)
        if edits:
            told = self._foreseen(command, situation)
            information, sd = told if told is not None else (None, 0.0)
            choice = replace(choice, information=information, information_sd=sd)
        seen = doubts(self.percept, self._walls.capabilities) if self.percept is not None else ()
        shown = (*choice.flags, *seen)
        return replace(choice, finding=self._finding(situation), outside=outside, edits=edits, flags=shown)

    def _edited(self, situation: Situation, choice: Choice, edit: Edit) -> Choice:
        """A choice as somebody wants it.

        Raises:
            Impossible: it is no edit, or the walls refuse it.
        """
        text = edit.changes
        if edit.x_nm is not None and edit.y_nm is not None:
            point_nm = (edit.x_nm, edit.y_nm)
            text = f"{towards(choice.command, point_nm, situation.state, self._walls.capabilities)} {text}"
        try:
            command = edited(choice.command, text)
        except EditErrors as errors:
            raise Impossible(str(errors)) from None
        if refusal := self._walls.impossible(command, situation):
            raise Impossible(refusal)
        return self._choice(
            command, situation, choice, tuple(differences(choice.command, command)) or ("nothing changed",)
        )


def wait(
    console: Console, name: str | None, for_s: float | None = None, beat: Callable[[], None] = lambda: None
) -> str:
    """Wait for other threads: until a question is decided, or with None until nobody pauses the run any more.

    It gives up after ``for_s``. ``beat`` is called at least every 100 ms.
    """
    standing, until_s = console.standing, time.monotonic() + (for_s if for_s is not None else math.inf)
    while console.question(name).state == "proposed" if name is not None else standing.paused_by:
        beat()
        if standing.stopped_by or time.monotonic() > until_s:
            return ""
        console.wait(SLICE_S)
    return ""


def _decision(question: Question, shown: Sequence[Proposal], waited_s: float) -> Decision:
    """What became of a question, as the record keeps it; only what is executing has a command."""
    chosen = (
        question.choices[question.chosen] if question.state == "executing" and question.chosen is not None else None
    )
    if chosen is not None:
        verdict: Verdict = "edited" if chosen.edits else "approved"
    else:
        verdict = "refused" if question.state == "refused" else "timed_out"
    return Decision(
        proposals=tuple(shown),
        verdict=verdict,
        by=question.by,
        reason=question.reason,
        waited_s=waited_s,
        command=chosen.command if chosen is not None else None,
    )
