"""A Review that asks people: of what the walls let through, what has to be asked by the console's mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from agent.console.console import Console
from agent.console.flags import flags
from agent.console.words import Choice, Edit, Impossible, Question
from agent.edits import EditErrors, differences, edited, sentence, towards
from agent.record import Decision
from agent.review import MAX_TEXT, Walls, inside, unasked
from hardware_bridge.cost import fluence_e_per_A2, predict
from hardware_bridge.geometry import field_centre_nm, merged
from hardware_bridge.messages import Command
from policies.interface import Proposal, Situation, Verdict

SHOWN = 5
SLICE_S = 0.1

Waiting = Literal["hold", "go_on"]
Attend = Callable[[str | None], str]
"""Sits with people until a question is decided, or with None until they let the run go on; says why it gave up."""


class Asking:
    """Decides over proposals as the console's mode says, and waits for people where it must.

    The beam is blanked meanwhile, so waiting costs nothing and needs no heartbeat.
    """

    def __init__(self, console: Console, walls: Walls, attend: Attend | None = None, waiting: Waiting = "hold") -> None:
        """``attend`` is called in the loop's thread; without one, only other threads answer.

        Where ``waiting`` is ``go_on``, what the envelope lets through runs on while a question waits.
        """
        self._console, self._walls, self._waiting = console, walls, waiting
        self._attend = attend or partial(wait, console)
        self._open: tuple[str, Sequence[Proposal]] | None = None
        console.limits, console.standing.envelope = walls.limits, walls.envelope

    def __call__(self, proposals: Sequence[Proposal], situation: Situation) -> Decision:
        """Decide over ranked proposals; nobody is asked about an impossible one."""
        walls, standing = self._walls, self._console.standing
        walls.settle(situation)
        if standing.envelope != walls.envelope:
            walls.narrow(standing.envelope)
        while standing.paused_by and not standing.stopped_by:
            if reason := self._attend(None):
                return unasked(proposals, None, f"paused by {standing.paused_by}, and {reason}")
        if standing.stopped_by:
            return unasked(proposals, None, f"stopped by {standing.stopped_by}")
        if self._open is not None and self._console.question(self._open[0]).state != "proposed":
            return self._runs(self._settled("", situation), situation)
        if standing.unasked:
            return self._runs(inside(walls, proposals, situation), situation)
        refusals = [walls.impossible(proposal.command, situation) for proposal in proposals]
        possible = [proposal for proposal, refusal in zip(proposals, refusals, strict=True) if not refusal]
        if not possible:
            return unasked(proposals, None, "; ".join(dict.fromkeys(refusals)) or "nothing was proposed")
        return self._runs(self._decided(proposals, possible, situation), situation)

    def _runs(self, decision: Decision, situation: Situation) -> Decision:
        if decision.command is not None:
            self._walls.chosen(decision.command, situation)
        return decision

    def _decided(self, proposals: Sequence[Proposal], possible: Sequence[Proposal], situation: Situation) -> Decision:
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
                reason=f"approved beforehand: {best.reason}"[:MAX_TEXT],
                waited_s=0.0,
                command=best.command,
            )
        if self._open is None:
            self._open = self._asked(possible[:SHOWN], situation, why), possible[:SHOWN]
        if self._waiting == "go_on" and standing.mode == "outside" and walls.has_envelope and not standing.taken_by:
            safe = inside(walls, possible, situation)
            if safe.command is not None:
                return safe
        return self._settled(self._attend(self._open[0]), situation)

    def _asked(self, shown: Sequence[Proposal], situation: Situation, why: str) -> str:
        choices = tuple(self._choice(proposal.command, situation, proposal) for proposal in shown)
        return self._console.ask(choices, situation, why, partial(self._edited, situation)).id

    def _settled(self, reason: str, situation: Situation) -> Decision:
        """What became of the open question, which is none any more; ``reason`` is why nobody answers it."""
        assert self._open is not None
        (name, shown), self._open = self._open, None
        console = self._console
        waited_s, question = console.took_s, console.question(name)
        chosen = question.choices[question.chosen] if question.chosen is not None else None
        # It may have been approved turns after it was asked, and doses and places are others by now.
        refusal = self._walls.impossible(chosen.command, situation) if chosen is not None else ""
        return _decision(console.taken(name, reason, refusal), shown, waited_s)

    def _choice(
        self, command: Command, situation: Situation, of: Proposal | Choice, edits: tuple[str, ...] = ()
    ) -> Choice:
        """What is shown of a command: what it does, where, what it costs, and whether the envelope holds it."""
        state, capabilities, acquire = situation.state, self._walls.capabilities, command.acquire
        price = predict(command, state, capabilities)
        x_nm, y_nm = field_centre_nm(merged(state.go, command.go), capabilities)
        width_nm = acquire.fov_nm if acquire is not None else 0.0
        return Choice(
            command=command,
            does=sentence(command, state, capabilities)[:MAX_TEXT],
            reason=of.reason,
            proposer=of.proposer,
            information=of.information if not edits else None,
            information_sd=of.information_sd if not edits else 0.0,
            electrons=price.electrons,
            fluence_e_per_A2=fluence_e_per_A2(command, state, capabilities),
            time_s=price.time_s,
            x_nm=x_nm,
            y_nm=y_nm,
            width_nm=width_nm,
            height_nm=width_nm * acquire.pixels_y / acquire.pixels_x if acquire is not None else 0.0,
            outside=self._walls.outside(command, situation) if self._walls.has_envelope else "",
            edits=edits,
            flags=tuple(flags(command, situation.state, self._walls.limits, capabilities)),
        )

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


def wait(console: Console, name: str | None, beat: Callable[[], None] = lambda: None) -> str:
    """Wait for other threads: until a question is decided, or with None until nobody pauses the run any more.

    ``beat`` is called at least every 100 ms.
    """
    standing = console.standing
    while console.question(name).state == "proposed" if name is not None else standing.paused_by:
        beat()
        if standing.stopped_by:
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
