"""Heeding: what is like something that a person refused, or changed, is not proposed first again.

Accepting and refusing are data (Adachi et al., arXiv 2410.10452). The reason that a person gave says what is alike: the
place, the dose, or the focus. Who later approves what is alike has changed their mind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from digital_twin.optics import depth_of_focus_nm
from hardware_bridge.cost import fluence_e_per_A2
from hardware_bridge.geometry import Point, field_centre_nm
from hardware_bridge.messages import Command
from policies.book import blank_state
from policies.interface import ENVELOPE, Foreseen, Policy, Proposal, Setup, Situation, Turn, foreseen

PLACE, SEEN, DOSE, FOCUS, OTHER = "wrong place", "seen already", "too much dose", "out of focus", "other"
REASONS = (PLACE, SEEN, DOSE, FOCUS, OTHER)

FADES_s = 120.0
"""What was seen already may be worth another look after this time on the instrument's clock: an assumption."""

SAME_FLUENCE = 0.9
"""Of a fluence that was too much, what is as much."""

SAME_PLACE = 0.5
"""Fields are at one place whose middles are closer than this share of the wider one."""

MORE = 4
"""So many times as many proposals are asked for where some may have to stand back."""


@dataclass(frozen=True)
class Act:
    """What matters of a command to a person who looks at it."""

    place_nm: Point
    width_nm: float
    fluence_e_per_A2: float
    C10_nm: float | None
    mode: str | None
    proposer: str


@dataclass(frozen=True)
class Refusal:
    """An act that somebody did not want, why, and when."""

    act: Act
    why: str
    by: str
    at_s: float


class Heeding:
    """A policy whose proposals stand back behind others where they are like what people did not want."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._refusals: list[Refusal] = []

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run, in which nobody has refused anything yet."""
        self._setup, self._blank = setup, blank_state(setup)
        able = setup.capabilities
        self._depth_nm = depth_of_focus_nm(able.beam_energy_keV, able.convergence_semi_angle_mrad)
        self._refusals = []
        self._policy.begin(setup, seed)

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return what the policy proposes, what was not wanted last and with that said."""
        if not self._refusals:
            return self._policy.suggest(situation, n)
        proposals = self._policy.suggest(situation, MORE * n)
        objections = [self._objection(proposal, situation.state.clock_s) for proposal in proposals]
        fine = [proposal for proposal, objection in zip(proposals, objections, strict=True) if objection is None]
        back = [
            replace(proposal, reason=f"{proposal.reason} (like what {objection.by} did not want: {objection.why})")
            for proposal, objection in zip(proposals, objections, strict=True)
            if objection is not None
        ]
        return [*fine, *back][:n]

    def foresee(self, command: Command, situation: Situation) -> Foreseen | None:
        """What the policy expects a command to tell."""
        return foreseen(self._policy, command, situation)

    def ingest(self, turn: Turn) -> None:
        """Learn what a person thought of what was offered; the policy inside learns the rest."""
        first = turn.offered[0] if turn.offered else None
        if first is not None and turn.by != ENVELOPE:
            if turn.verdict == "refused":
                why = next((reason for reason in REASONS if turn.reason.startswith(reason)), OTHER)
                self._refusals.append(Refusal(self._act(first.command, first.proposer), why, turn.by, turn.start_s))
            elif turn.command is not None and turn.verdict in ("approved", "edited"):
                self._accept(turn, turn.command)
        self._policy.ingest(turn)

    def _accept(self, turn: Turn, command: Command) -> None:
        """Take in what a person let run: as it was proposed, or as they changed it."""
        meant = next((each for each in turn.offered if each.command.id == command.id), turn.offered[0])
        ran = self._act(command, meant.proposer)
        self._refusals = [refusal for refusal in self._refusals if not self._alike(ran, refusal)]
        if turn.verdict == "edited":
            proposed = self._act(meant.command, meant.proposer)
            self._refusals += [Refusal(proposed, why, turn.by, turn.start_s) for why in self._changed(proposed, ran)]

    def _changed(self, proposed: Act, ran: Act) -> list[str]:
        """What a person thought of a command that they changed, by what they changed."""
        found = []
        if not _together(proposed, ran):
            found.append(PLACE)
        if ran.fluence_e_per_A2 < SAME_FLUENCE * proposed.fluence_e_per_A2:
            found.append(DOSE)
        if not self._as_sharp(proposed, ran):
            found.append(FOCUS)
        return found

    def _objection(self, proposal: Proposal, now_s: float) -> Refusal | None:
        act = self._act(proposal.command, proposal.proposer)
        for refusal in reversed(self._refusals):
            faded = refusal.why == SEEN and now_s - refusal.at_s > FADES_s
            if not faded and self._alike(act, refusal):
                return refusal
        return None

    def _alike(self, act: Act, refusal: Refusal) -> bool:
        """Whether an act is what a refusal was about."""
        if act.mode is None or act.mode != refusal.act.mode:
            return False
        if refusal.why == DOSE:
            return act.fluence_e_per_A2 >= SAME_FLUENCE * refusal.act.fluence_e_per_A2
        if refusal.why == FOCUS:
            return _together(act, refusal.act) and self._as_sharp(act, refusal.act)
        if refusal.why == OTHER:
            return _together(act, refusal.act) and act.proposer == refusal.act.proposer
        return _together(act, refusal.act)

    def _as_sharp(self, one: Act, other: Act) -> bool:
        if one.C10_nm is None or other.C10_nm is None:
            return one.C10_nm == other.C10_nm
        return abs(one.C10_nm - other.C10_nm) < self._depth_nm

    def _act(self, command: Command, proposer: str) -> Act:
        acquire, able = command.acquire, self._setup.capabilities
        return Act(
            place_nm=field_centre_nm(command.go, able),
            width_nm=acquire.fov_nm if acquire is not None else 0.0,
            fluence_e_per_A2=fluence_e_per_A2(command, self._blank, able),
            C10_nm=command.set.optics.C10_nm,
            mode=acquire.mode if acquire is not None else None,
            proposer=proposer,
        )


def _together(one: Act, other: Act) -> bool:
    return math.dist(one.place_nm, other.place_nm) < SAME_PLACE * max(one.width_nm, other.width_nm)
