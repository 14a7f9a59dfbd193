"""Restless: notices that a policy is stuck, says so, and proposes something else first.

Runs get trapped in local minima and need somebody to intervene (Pratiush et al., 2025). Stuck is who saw nothing that
could be read in the last looks, or who stays at one place, in one mode, that goes on promising as much: looks there do
not tell what the policy expects of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from digital_twin.optics import depth_of_focus_nm
from hardware_bridge.geometry import Point
from hardware_bridge.messages import Acquire, Command
from policies.book import Book
from policies.commands import command_id
from policies.interface import Foreseen, Policy, Proposal, Setup, Situation, Turn, foreseen
from policies.pointing import Pointing
from policies.tiles import tiles

LOOKS = 8
"""Looks in a row that are enough to call a policy stuck."""

STAYED = 0.1
"""Share of a run that goes by at one place before it is asked whether that is in vain: specimens change meanwhile."""

STILL = 0.9
"""Share of what a place promised at first that it still promises where looking is in vain."""

PLACES = 5
"""Along each edge of the specimen, places to which one may go on."""

DEPTHS = 4.0
"""By how many depths of focus another focus is tried."""

NAME = "restless"


@dataclass(frozen=True)
class Look:
    """One look: its command and exposure, where its field lay, whether it showed anything, and what it promised."""

    command: Command
    acquire: Acquire
    place_nm: Point
    usable: bool
    promised: float
    start_s: float


class Restless:
    """A policy that is not left where it is stuck: other places, a wider field or another focus come first then."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._looks: list[Look] = []

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run."""
        self._setup, self._seed = setup, seed
        self._book, self._pointing = Book(setup), Pointing(setup)
        self._looks.clear()
        self._policy.begin(setup, seed)

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return what the policy proposes, behind interventions where it is stuck."""
        proposals = self._policy.suggest(situation, n)
        why = self._stuck()
        if not why or not proposals:
            return proposals
        other = [
            each
            for command, does in self._else(situation)
            if (each := self._priced(command, f"{why}: {does}", situation))
        ]
        named = [
            replace(each, command=replace(each.command, id=command_id(NAME, self._seed, situation.turn, rank)))
            for rank, each in enumerate(other)
        ]
        return [*named, *proposals][:n]

    def foresee(self, command: Command, situation: Situation) -> Foreseen | None:
        """What the policy expects a command to tell."""
        return foreseen(self._policy, command, situation)

    def ingest(self, turn: Turn) -> None:
        """Take note of a look; after an intervention looks are counted anew."""
        self._book.ingest(turn)
        self._pointing.ingest(turn)
        command, seen = turn.command, turn.percept
        if command is not None and command.id.startswith(NAME):
            self._looks.clear()
        elif command is not None and command.acquire is not None and not command.acquire.blanked and seen is not None:
            offer = next((each for each in turn.offered if each.command.id == command.id), None)
            usable = seen.quality.get("usable", 1.0) > 0.0
            promised = offer.information if offer is not None else 0.0
            look = Look(command, command.acquire, (seen.x_nm, seen.y_nm), usable, promised, seen.start_s)
            if not self._goes_on(look):
                self._looks.clear()
            self._looks.append(look)
        self._policy.ingest(turn)

    def _goes_on(self, look: Look) -> bool:
        """Whether a look goes on with what the last ones did: showing nothing, or staying at a place in a mode."""
        if not self._looks:
            return True
        first = self._looks[0]
        if not (first.usable or look.usable):
            return True
        stays = math.dist(look.place_nm, first.place_nm) < min(look.acquire.fov_nm, first.acquire.fov_nm) / 2
        return first.usable and look.usable and stays and look.acquire.mode == first.acquire.mode

    def _stuck(self) -> str:
        """Why the policy is stuck; empty where it is not."""
        if len(self._looks) < LOOKS:
            return ""
        first, last = self._looks[0], self._looks[-1]
        if not first.usable:
            return f"Stuck: the last {len(self._looks)} looks showed nothing that could be read"
        stayed_s = last.start_s - first.start_s
        long = stayed_s > STAYED * (self._setup.end_s - self._setup.start_s)
        if long and first.promised > 0.0 and last.promised > STILL * first.promised:
            return (
                f"Stuck: {stayed_s:.0f} s at one place, and it promises {last.promised:.2g} where it promised "
                f"{first.promised:.2g}"
            )
        return ""

    def _else(self, situation: Situation) -> Iterator[tuple[Command, str]]:
        """What else could be done, and that in words: go far away, look at more, look at another focus."""
        last, limits = self._looks[-1], self._setup.limits
        command, acquire = last.command, last.acquire
        places = tiles(self._setup.card.extent_nm, PLACES, acquire.fov_nm)
        x, y = max(places, key=lambda place: min(math.dist(place, look.place_nm) for look in self._looks))
        away = replace(command, go=self._pointing.go((x, y), acquire.fov_nm, situation.state))
        yield away, f"the same look at ({x:.0f}, {y:.0f}) nm, where it is farthest from all of them"
        widest = limits.ranges.get("fov_nm")
        if widest is not None and widest.high > 1.5 * acquire.fov_nm:
            wide = replace(command, acquire=replace(acquire, fov_nm=widest.high))
            yield wide, f"a field of {widest.high:.0f} nm instead of {acquire.fov_nm:.0f} nm around it"
        C10_nm, able = command.set.optics.C10_nm, self._setup.capabilities
        if C10_nm is not None and "C10_nm" not in able.unresponsive.get(acquire.mode, ()):
            off_nm = DEPTHS * depth_of_focus_nm(able.beam_energy_keV, able.convergence_semi_angle_mrad)
            optics = replace(command.set.optics, C10_nm=C10_nm + off_nm)
            yield replace(command, set=replace(command.set, optics=optics)), f"{off_nm:.0f} nm further over focus"

    def _priced(self, command: Command, reason: str, situation: Situation) -> Proposal | None:
        """An intervention with its price; None where it is not safe or not affordable."""
        price = self._book.price(command, situation)
        if price is None:
            return None
        promised = self._looks[-1].promised
        return Proposal(
            command=command,
            information=promised,
            information_sd=promised,
            electrons=price.electrons,
            time_s=price.time_s,
            reason=reason,
            proposer=NAME,
        )
