"""Plays plans on a fleet of worlds: the reader and the reporter that all share, the twin in process, no wire."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from agent import twins
from agent.lessons import prior_of
from agent.perception.belief import Belief, Rows, report_of
from agent.perception.reader import Conditioned, Eyesight, Reader, load_eyesight
from digital_twin.world import truths
from digital_twin.worlds import world_type
from envs.coding import MODES, VIEWS, Coding, widened
from envs.limits import beat_s
from envs.prior import load_card, since_start
from envs.score import score
from experiments.headroom.plans import BASELINES, TOLD, Array, Clairvoyant, Look, Mixed, Plan, Settings
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.errors import Malformed, Rejected
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Command
from hardware_bridge.report import Card, Estimate

SILENCE_S = 10.0
LESS = 0.5
"""Where all is refused that a plan would look at it is tried again with this share of the electrons, ATTEMPTS times."""

ATTEMPTS = 4
LEAST_BETWEEN = 0.1
"""Of the most that a card allows: less, between the first and the last look of a stay, tells next to nothing."""

TOLD_SD = 0.1
"""Who is told fields takes them for as good as this, in units of what they differ from world to world."""


class Played(Struct, frozen=True):
    """How a plan did on the world of one seed, in all and by target, and how many looks it got."""

    policy: str
    seed: int
    share: float
    score: float
    scores: dict[str, float]
    looks: int
    electrons: float


@cache
def eyesight(world: str) -> Eyesight:
    """What the reader of a world has learned, read once."""
    return load_eyesight(world)


def compares(world: str) -> str | None:
    """The mode in which comparing looks tells of globals, if there is one."""
    sight = eyesight(world)
    return next((mode for mode in sight.responses if any(sight.gains(mode, n) for n in sight.card.compared)), None)


@cache
def true_values(world: str, seeds: tuple[int, ...]) -> dict[str, Array]:
    """Truths of worlds with the start in front, (seeds, values) each."""
    kind = world_type(world)
    return truths(kind, seeds, since_start(kind.facts))


class _Seat:
    """One world that is played: its instrument, its plan, and what is made of what it sees."""

    def __init__(self, world: str, card: Card, guard: Guard, plan: Plan, settings: Settings, seed: int) -> None:
        self.guard, self.plan, self.settings = guard, plan, settings
        self._thinker = plan
        mode = compares(world)
        if settings.stay and mode is not None:
            edge_nm = card.extent_nm / VIEWS[MODES.index(mode)][0]
            told = LEAST_BETWEEN * card.max_fluence_e_per_A2 * (10 * edge_nm) ** 2
            self.plan = Mixed(plan, settings, seed, mode, told / max(settings.stay - 1, 1))
        self._reader, self.reporter = Reader(guard.describe(), card, eyesight(world)), Conditioned(prior_of(world))
        self._coding = Coding.of(card, guard.describe())
        self._number, self._turn, self.looks = 0, 0, 0

    def begin(self, due: bool, budget: float) -> None:
        """Give the command of this beat: a look where one is due, else nothing."""
        self._turn += 1
        if due:
            state = self.guard.state()
            electrons = max(budget - state.electrons_charged, 0.0) / max(self.settings.looks - self._number, 1)
            looks = self.plan.looks(self._number, state.clock_s, max(electrons, 1.0))
            self._number += 1
            for attempt, (share, look) in enumerate(product((LESS**n for n in range(ATTEMPTS)), looks)):
                try:
                    self.guard.submit(self._command(look, f"{self._turn}-{attempt}", electrons * share))
                    self.looks += 1
                    return
                except (Malformed, Rejected):
                    continue
        self.guard.submit(Command(id=f"{self._turn}-wait"))

    def end(self) -> None:
        """Let perception see what came."""
        observation = self.guard.gather(SILENCE_S)
        if observation.data is not None:
            self.reporter.add(self._reader(observation))
        if isinstance(self._thinker, Clairvoyant):
            self._thinker.belief = self.reporter.belief

    def _command(self, look: Look, name: str, electrons: float) -> Command:
        mode = MODES.index(look.mode)
        _, pixels, dwell_s = VIEWS[mode]
        middle = self._coding.middle_pA * pixels**2 * dwell_s * ELECTRONS_PER_PA_S
        spend = min(max(math.log10(max(electrons, 1.0) / middle), -1.0), 1.0)
        command = self._coding.command(name, np.array([look.x, look.y, 0.0, spend]), mode)
        return widened(command) if look.wide else command


def play(world: str, policy: str, settings: Settings, seeds: Sequence[int], share: float) -> list[Played]:
    """Play the worlds of some seeds together with a share of the electron budget."""
    if policy == TOLD:
        return told(world, seeds, share)
    card, prior = load_card(world), prior_of(world)
    known = true_values(world, tuple(seeds))
    seats = []
    for n, (seed, guard) in enumerate(zip(seeds, twins.guarded(world, card, seeds), strict=True)):
        own = replace(settings, looks=settings.looks // 2) if settings.stay else settings
        if policy in BASELINES:
            plan: Plan = BASELINES[policy](own, seed)
        else:
            named = [*prior.fields, *prior.globals]
            truth = np.concatenate([known[target.name][n] for target in named])
            plan = Clairvoyant(own, seed, prior, eyesight(world), truth)
        seats.append(_Seat(world, card, guard, plan, settings, seed))
    beats = math.ceil(card.duration_s / beat_s(card, seats[0].guard.describe()))
    done = 0
    for beat in range(beats):
        due = min(settings.looks, beats) * (beat + 1) // beats > done
        done += due
        for seat in seats:
            seat.begin(due, share * card.budget_electrons)
        for seat in seats:
            seat.end()
    found = []
    for n, (seed, seat) in enumerate(zip(seeds, seats, strict=True)):
        total, parts = score(seat.reporter.report(), _asked(card, known, n), card)
        electrons = seat.guard.state().electrons_charged
        found.append(Played(policy, seed, share, total, parts, seat.looks, electrons))
    return found


def _asked(card: Card, known: Mapping[str, Array], place: int) -> dict[str, list[float]]:
    """The truth of one of some worlds as it is scored: without the start."""
    before = {target.name: card.cells**2 if target.kind == "field" else 0 for target in card.targets}
    return {name: known[name][place][first:].tolist() for name, first in before.items()}


def told(world: str, seeds: Sequence[int], share: float) -> list[Played]:
    """How good reports are that were told all fields as good as exactly: what no plan of looking can do better."""
    card, prior = load_card(world), prior_of(world)
    known, found = true_values(world, tuple(seeds)), []
    for n, seed in enumerate(seeds):
        belief = Belief.of(prior)
        for field, target in enumerate(prior.fields):
            true = known[target.name][n].reshape(len(prior.times_s), -1)
            for time, time_s in list(enumerate(prior.times_s))[1:]:
                sd = TOLD_SD * float(prior.sd[prior.place(field, time, 0)])
                rows = [
                    prior.row(field, cell, time_s, Estimate(value=float(value), sd=sd))
                    for cell, value in enumerate(true[time])
                ]
                belief = belief.after(prior, Rows.of(rows))
        total, parts = score(report_of(prior, belief), _asked(card, known, n), card)
        found.append(Played(TOLD, seed, share, total, parts, 0, 0.0))
    return found
