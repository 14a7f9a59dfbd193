"""The reader: from one observation to the fields of a world in the cells that it shows, with standard deviations.

It knows nothing of a world but what a network was trained to see in observations of others. What comes out are
readings, without a prior, of what the cells would hold had no beam been there. Where a place goes on being looked
at, what it loses tells how the beam couples to the world: readings of globals. The reporter puts all together.

Estimates are named TARGET:ROW:COLUMN, cells counted from the top left of the card's grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agent.perception.again import Again, Change
from agent.perception.belief import Belief, Rows, report_of
from agent.perception.columns import CRYSTALS, Columns, find_columns
from agent.perception.counting import Counting
from agent.perception.edges import CoreLosses
from agent.perception.ensemble import Kept, Prior, Row
from agent.perception.features import (
    RINGS,
    Dose,
    Patch,
    context,
    counts_of,
    of_image,
    of_pattern,
    of_spectrum,
    patches,
)
from agent.perception.framed import framed
from agent.perception.network import Network, unshrunk
from agent.perception.response import Response
from hardware_bridge.geometry import Point, field_centre_nm
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Estimate, Percept, Report
from hardware_bridge.words import Count, Name, NotNegative, Number, Positive, Word

Array = NDArray[np.float64]

WEIGHTS = Path(__file__).parent / "weights"
MOST_BLUR_NM = 0.065
"""Columns that are blurred more are not counted: what shape the probe has decides more than who sits there."""

WHOLE = 0.7
"""What is looked at and is wider than this share of a cell lies all over it."""

LEAST_GAINED = 0.05
"""A global is not read by comparing looks in a mode where that explains less of its variance."""


class ReaderSettings(Word, frozen=True, kw_only=True):
    """The reader has none: all that it knows was learned."""


class Learned(Word, frozen=True, kw_only=True):
    """The card of a reader: what it reads, from which modes, how its errors hang together, and how good it was.

    ``kept`` are, by field and compared global, the shares of the errors' variance that readings of a cell, and of a
    world, have in common; where a field is left out its errors count as new at each reading. ``widened`` is, by mode
    and field, what the sd of readings is multiplied by; ``z_sd`` is then the sd of (reading - truth) / sd on worlds
    that were kept apart. At last all are multiplied by ``tempered``: hundreds of readings of one run are never as
    independent as they say, and with that reports on whole runs are best. ``typical`` is, by ``kind_of`` look and
    field, the median sd of readings of cells that about so many ``electrons`` fell on, not tempered yet. ``explained``
    is, by mode and field, the share of the variance that readings explain on worlds that were kept apart.

    All the same is said of the globals that comparing looks tells of, by mode and ``compared`` global. Of them
    ``explained`` counts what is read at all, and ``typical_again`` is, by mode and global, the median sd at ``doses``
    between two looks, in parts of the most that the world's card allows. ``shows`` is, by mode and field, how many
    sd more of their variance a cell tells where the field is an sd higher.
    """

    world: Name
    fields: tuple[Name, ...]
    kept: dict[Name, tuple[Number, Number]]
    tempered: Positive
    widened: dict[Name, dict[Name, NotNegative]]
    z_sd: dict[Name, dict[Name, NotNegative]]
    electrons: tuple[NotNegative, ...]
    typical: dict[Name, dict[Name, tuple[NotNegative, ...]]]
    explained: dict[Name, dict[Name, Number]]
    seeds: tuple[Count, Count]
    looks: Count
    compared: tuple[Name, ...]
    doses: tuple[NotNegative, ...]
    typical_again: dict[Name, dict[Name, tuple[NotNegative, ...]]]
    shows: dict[Name, dict[Name, Number]]


def kind_of(mode: str, wide: bool) -> str:
    """Looks are alike that are of one mode and see all of a cell, or a part of it; images see all of what they show."""
    return f"{mode}.wide" if wide and mode != "HAADF" else mode


@dataclass(frozen=True)
class Eyesight:
    """What a reader of a world has learned: a network for each mode, responses to the beam for some, and its card.

    Of crystals whose columns are counted there is a ``Counting`` instead of a network.
    """

    card: Learned
    networks: Mapping[str, Network | Counting]
    responses: Mapping[str, Response]

    @property
    def kept(self) -> dict[str, Kept]:
        """How errors hang together, by field."""
        return {name: Kept(*shares) for name, shares in self.card.kept.items()}

    def sees(self, mode: str, field: str) -> bool:
        """Whether a mode tells of a field at all."""
        return self.card.explained[mode][field] > self.networks[mode].least_told

    def gains(self, mode: str, name: str) -> bool:
        """Whether comparing looks in a mode tells of a global."""
        return mode in self.responses and self.card.explained[mode][name] > LEAST_GAINED

    def read(self, mode: str, inputs: Array) -> tuple[Array, Array]:
        """Readings of all fields and their sd (n, fields) from inputs (n, N); one that tells nothing has no end."""
        network = self.networks[mode]
        mean, sd = network(inputs)
        value, error = unshrunk(mean, sd, network.target_mean, network.target_sd)
        wider = self.card.tempered * np.array([self.card.widened[mode][name] for name in self.card.fields])
        told = np.array([self.sees(mode, name) for name in self.card.fields])
        told = told & (1.0 - (sd / network.target_sd) ** 2 > network.least_told)
        return value, np.where(told, error * wider, np.inf)

    def compares(self, mode: str, change: Change) -> bool:
        """Whether a change is of the kind that it was learned to make something of."""
        return mode in self.responses and self.responses[mode].knows(change)

    def compare(self, mode: str, changes: Sequence[Change]) -> tuple[Array, Array]:
        """Readings of all compared globals and their sd (globals,): of each that of the change which tells it best."""
        response, names = self.responses.get(mode), self.card.compared
        if response is None or not changes:
            return np.zeros(len(names)), np.full(len(names), np.inf)
        value, sd = (np.stack(each) for each in zip(*map(response, changes), strict=True))
        best = sd.argmin(axis=0), np.arange(len(names))
        wider = self.card.tempered * np.array([self.card.widened[mode][name] for name in names])
        told = np.array([self.gains(mode, name) for name in names])
        return value[best], np.where(told, sd[best] * wider, np.inf)


def load_eyesight(world: str) -> Eyesight:
    """Read what was learned of a world.

    Raises:
        ValueError: nothing was.
    """
    path = WEIGHTS / f"{world}.npz"
    if not path.is_file():
        raise ValueError(f"no reader was trained for world {world}: python -m agent.training.reader {world} does it")
    card = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Learned)
    with np.load(path) as file:
        arrays = dict(file.items())
    responses = {mode: Response.of(f"{mode}.again", arrays) for mode in card.typical_again}
    kind = Counting if world in CRYSTALS else Network
    return Eyesight(card, {mode: kind.of(mode, arrays) for mode in card.z_sd}, responses)


def save_eyesight(sight: Eyesight, folder: Path = WEIGHTS) -> None:
    """Write what was learned of a world."""
    arrays: dict[str, Any] = {
        name: array for mode, net in sight.networks.items() for name, array in net.arrays(mode).items()
    }
    for mode, response in sight.responses.items():
        arrays |= response.arrays(f"{mode}.again")
    np.savez_compressed(folder / f"{sight.card.world}.npz", **arrays)
    card = msgspec.json.format(msgspec.json.encode(sight.card), indent=1)
    (folder / f"{sight.card.world}.json").write_bytes(card + b"\n")


class Glimpse(NamedTuple):
    """What is made of one cell: ``inputs`` (N,) of networks, of which the first ``few`` are worth looking at singly.

    ``changes`` are since earlier looks at the same place.
    """

    cell: int
    inputs: Array
    few: int
    changes: list[Change]


class Glance:
    """Turns observations into the inputs of networks, remembering what fell where before. One for each run.

    ``figures`` tell how good the last image was, where the specimen is known to be a crystal: its columns are counted.
    """

    def __init__(self, capabilities: Capabilities, card: Card) -> None:
        self._capabilities, self._card = capabilities, card
        self._dose, self._edges, self._again = Dose(card.extent_nm), CoreLosses.of(capabilities), Again(card)
        self._centre: Point | None = None
        self._crystal = CRYSTALS.get(card.world)
        self.figures: dict[str, float] = {}
        at = round(-capabilities.energy_offset_eV / capabilities.energy_step_eV)
        self._zero = at if 8 <= at < capabilities.energy_channels - 8 else None

    def __call__(self, observation: Observation) -> list[Glimpse]:
        """A glimpse of every patch that can be read."""
        centre = field_centre_nm(observation.state.go, self._capabilities)
        if centre != self._centre:
            self._again.leave()
        self._centre = centre
        columns = self._columns(observation)
        self.figures = {} if columns is None else columns.quality
        seen = [
            self._inputs(patch, observation, columns)
            for patch in patches(observation, self._card, self._capabilities, self._dose)
            if columns is None or (columns.usable and columns.quality["blur_nm"] < MOST_BLUR_NM)
        ]
        acquire = observation.command.acquire
        if acquire is not None and observation.electrons > 0.0:
            tall_nm = acquire.fov_nm * acquire.pixels_y / acquire.pixels_x
            box = self._dose.box(centre, (acquire.fov_nm, tall_nm))
            area_A2 = (box[1] - box[0]) * (box[3] - box[2]) * (10 * self._dose.cell_nm) ** 2
            self._dose.add(box, observation.electrons / area_A2)
        return seen

    def _columns(self, observation: Observation) -> Columns | None:
        """The columns of an image, where the specimen is known to be a crystal."""
        acquire, image = observation.command.acquire, observation.data
        if self._crystal is None or acquire is None or image is None or image.ndim != 2:
            return None
        return find_columns(image, acquire.fov_nm / acquire.pixels_x, self._crystal)

    def _inputs(self, patch: Patch, observation: Observation, columns: Columns | None) -> Glimpse:
        before = self._dose.mean(patch.box)
        how = context(patch, observation, self._card, before)
        if observation.kind == "frame":
            few, many = [how, of_image(patch)], np.zeros(0)
            if columns is not None:
                (top, left), (tall, wide) = patch.corner, patch.data.shape
                box, cell_nm = (top, top + tall, left, left + wide), self._card.extent_nm / self._card.cells
                # Drift carries the specimen off by and by.
                late = observation.start_s / self._card.duration_s
                few = [how, columns.told(box, patch.pixel_nm, cell_nm), np.array([late])]
        elif observation.kind == "spectrum":
            few, many = [how, self._edges(counts_of(patch))], of_spectrum(patch, self._zero)
        else:
            few, many = [how], of_pattern(patch)
            few, many = [how, many[: 2 * RINGS]], many[2 * RINGS :]
        changes = self._again(patch, before, (observation.start_s + observation.end_s) / 2)
        return Glimpse(patch.cell, np.concatenate([*few, many]), sum(len(each) for each in few), changes)


class Reader:
    """Perceives: ``reader(observation)`` gives its percept; modes that it was not trained in give no estimates."""

    def __init__(self, capabilities: Capabilities, card: Card, sight: Eyesight) -> None:
        self._capabilities, self._card, self._sight = capabilities, card, sight
        self._glance = Glance(capabilities, card)

    def __call__(self, observation: Observation) -> Percept:
        """Perceive one observation."""
        acquire = observation.command.acquire
        centre = field_centre_nm(observation.state.go, self._capabilities)
        seen = self._glance(observation)
        estimates: dict[str, Estimate] = {}
        if acquire is not None and seen and acquire.mode in self._sight.networks:
            value, sd = self._sight.read(acquire.mode, np.stack([each.inputs for each in seen]))
            for each, values, sds in zip(seen, value, sd, strict=True):
                changes = [change for change in each.changes if self._sight.compares(acquire.mode, change)]
                if changes:
                    # Of what a place has lost since, a network that sees it once would say that it was never there.
                    changed = self._sight.compare(acquire.mode, changes)
                    estimates |= self._estimates(each.cell, self._sight.card.compared, *changed)
                else:
                    estimates |= self._estimates(each.cell, self._sight.card.fields, values, sds)
        quality = {"incident_electrons": observation.electrons, "gaps": float(observation.gaps)}
        quality |= self._glance.figures
        return replace(
            framed(observation, centre),
            quality=quality | {"usable": float(bool(estimates))} if acquire else {},
            estimates=estimates,
        )

    def _estimates(self, cell: int, names: Sequence[str], values: Array, sds: Array) -> dict[str, Estimate]:
        row, column = divmod(cell, self._card.cells)
        return {
            f"{name}:{row}:{column}": Estimate(value=float(value), sd=float(sd))
            for name, value, sd in zip(names, values, sds, strict=True)
            if np.isfinite(sd)
        }


class Conditioned:
    """A reporter: the prior ensemble, conditioned on all readings; what is read at one time tells of all times."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self.belief = Belief.of(prior)
        self._fields = {target.name: n for n, target in enumerate(prior.fields)}

    def add(self, *percepts: Percept) -> None:
        """Take in the readings of one percept, or of many at once, which is quicker."""
        rows = [row for percept in percepts for row in self.rows(percept)]
        if rows:
            self.belief = self.belief.after(self._prior, Rows.of(rows))

    def rows(self, percept: Percept) -> Iterator[Row]:
        """The readings of a percept, as the belief takes them."""
        time_s = (percept.start_s + percept.end_s) / 2
        for name, estimate in percept.estimates.items():
            target, *place = name.split(":")
            if len(place) != 2:
                continue
            cell = int(place[0]) * self._prior.card.cells + int(place[1])
            if target in self._fields:
                yield self._prior.row(self._fields[target], cell, time_s, estimate)
            elif target in self._prior.compared:
                yield self._prior.row_of_global(target, cell, estimate)

    def report(self) -> Report:
        """Claim mean and standard deviation of every value of every target."""
        return report_of(self._prior, self.belief)
