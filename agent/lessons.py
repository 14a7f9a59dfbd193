"""What is known of a world before it is looked at, what was there after all, and what a reader of it learns from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType

import numpy as np
from msgspec.structs import replace

from agent import twins
from agent.perception.columns import CRYSTALS
from agent.perception.ensemble import Prior
from agent.perception.outlook import ReaderOutlook
from agent.perception.reader import load_eyesight
from digital_twin.column import capabilities
from digital_twin.world import World, truths
from digital_twin.worlds import WORLDS, world_type
from envs.coding import MODES, VIEWS, WIDE
from envs.examples import CLOSE, HABITS, examples
from envs.prior import load_card, load_ensemble, since_start
from envs.score import Truth, score
from hardware_bridge.messages import Capabilities, Mode
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Report
from policies.commands import View
from policies.outlook import Way

Looks = Iterable[tuple[int, Observation, dict[str, np.ndarray]]]

REMEMBERED = 256
"""Truths: what a policy is compared with on one seed is compared with others on it too."""


@dataclass(frozen=True)
class Lessons:
    """What the reader of a world learns from.

    ``examples`` gives looks at the worlds of seeds, each with the fields that were there to see and the globals, and
    ``stares`` looks in one mode at small places, each again and again; ``score`` says how good a report on the world of
    a seed is. ``trajectories`` are what is true of worlds that no beam touched: fields (seeds, times x cells^2) at the
    times that are asked for, and globals (seeds, 1).
    """

    card: Card
    capabilities: Capabilities
    ensemble: Mapping[str, np.ndarray]
    examples: Callable[[Sequence[int]], Looks]
    stares: Callable[[Sequence[int], Mode], Looks]
    score: Callable[[Report, int], float]
    trajectories: Callable[[Sequence[int], Sequence[float]], dict[str, np.ndarray]]


def lessons(world: str) -> Lessons:
    """The lessons of a world.

    Raises:
        ValueError: there is no such world.
    """
    card = load_card(world)

    def looks(
        seeds: Sequence[int], stared: Mode | None = None
    ) -> Iterator[tuple[int, Observation, dict[str, np.ndarray]]]:
        habits = CLOSE if world in CRYSTALS else HABITS
        for each in examples(card, lambda some: twins.guarded(world, card, some), seeds, stared, habits):
            yield each.seed, each.observation, each.truth

    return Lessons(
        card=card,
        capabilities=capabilities(world_type(world).facts.column),
        ensemble=load_ensemble(world),
        examples=looks,
        stares=looks,
        score=lambda report, seed: score(report, truth_of(card, seed), card)[0],
        trajectories=lambda seeds, times_s: truths(world_type(world), seeds, tuple(times_s)),
    )


@cache
def prior_of(world: str) -> Prior:
    """What is known of a world before anything is seen, with the errors of its reader: made once, shared by all.

    Raises:
        ValueError: there is no such world, or no reader of it.
    """
    return Prior.of(load_card(world), load_ensemble(world), load_eyesight(world).kept)


def weighed(card: Card, weights: Mapping[str, float]) -> Card:
    """The card with other weights for some of its targets, scaled so that all are 1 together."""
    if not weights:
        return card
    asked = {target.name: weights.get(target.name, target.weight) for target in card.targets}
    whole = sum(asked.values())
    return replace(card, targets=tuple(replace(each, weight=asked[each.name] / whole) for each in card.targets))


def weighed_prior(world: str, weights: Mapping[str, float]) -> Prior:
    """What is known of a world before anything is seen, with other weights for some of its targets.

    Raises:
        ValueError: there is no such world, or no reader of it.
    """
    prior = prior_of(world)
    if not weights:
        return prior
    card = weighed(prior.card, weights)
    fields = tuple(target for target in card.targets if target.kind == "field")
    constants = tuple(target for target in card.targets if target.kind == "global")
    return dataclasses.replace(prior, card=card, fields=fields, globals=constants)


def outlook_of(world: str, weights: Mapping[str, float] = MappingProxyType({})) -> ReaderOutlook:
    """What looks at a world would tell, for a policy that foresees: all ways to look that its reader was trained on.

    ``weights`` are what single targets are worth instead of what the card says.

    Raises:
        ValueError: there is no such world, or no reader of it.
    """
    return ReaderOutlook(weighed_prior(world, weights), load_eyesight(world), ways_of(world))


def ways_of(world: str) -> tuple[Way, ...]:
    """All ways to look that the reader of a world was trained on.

    Raises:
        ValueError: there is no such world.
    """
    return tuple(_ways(load_card(world)))


def _ways(card: Card) -> Iterator[Way]:
    for mode, (times, pixels, dwell_s) in zip(MODES, VIEWS, strict=True):
        wider, finer = WIDE[mode]
        # Pixels of wide fields do not resolve columns of atoms.
        for wide, fine in ((1.0, 1), (wider, finer))[: 1 if card.world in CRYSTALS else 2]:
            fov_nm = card.extent_nm / times * wide
            view = View(mode=mode, fov_nm=fov_nm, pixels=pixels * fine, dwell_s=dwell_s / fine**2)
            yield Way(view, max(1, round(fov_nm / card.extent_nm * card.cells)))


def truth_of(card: Card, seed: int) -> Truth:
    """The beam-off truth of a world, simulated again from its seed; the last ones are remembered.

    Raises:
        ValueError: the world has no truth that can be simulated.
    """
    if card.world not in WORLDS:
        raise ValueError(f"world {card.world} has no truth that can be simulated")
    return _simulated(world_type(card.world), seed)


def values_of(world: str, seed: int) -> np.ndarray:
    """All values of the world of a seed that no beam touched, (values,), in the order and the units of its prior.

    Raises:
        ValueError: there is no such world, or no reader of it.
    """
    prior, kind = prior_of(world), world_type(world)
    found = truths(kind, [seed], since_start(kind.facts))
    return np.concatenate([found[target.name][0] for target in (*prior.fields, *prior.globals)])


@lru_cache(maxsize=REMEMBERED)
def _simulated(kind: type[World], seed: int) -> Truth:
    return {name: tuple(value[0].tolist()) for name, value in truths(kind, [seed]).items()}
