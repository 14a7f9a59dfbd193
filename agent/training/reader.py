"""Trains the reader of a world on looks at training worlds: ``python -m agent.training.reader WORLD ...``.

Writes agent/perception/weights/WORLD.npz and WORLD.json. The last fifth of the seeds is kept apart: on them training
is stopped and it is told how errors hang together; half of them say how wide errors are, the other half whether it is
so. Where patterns tell something, stares at further worlds teach what comparing them tells of globals. Whole runs still
tell by how much readings must be tempered (``agent.training.tempering``).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from agent import assemble
from agent.lessons import lessons
from agent.perception.columns import CRYSTALS
from agent.perception.counting import Counting
from agent.perception.network import MOST_LOG_VAR, Network, unshrunk
from agent.perception.reader import (
    WEIGHTS,
    WHOLE,
    Eyesight,
    Glance,
    Learned,
    kind_of,
    save_eyesight,
)
from agent.training.again import comparing, stared
from agent.training.counting import counting
from agent.training.errors import sd_about_0, shared
from agent.training.tempering import temper
from hardware_bridge.messages import Capabilities, Mode
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

Array = NDArray[np.float64]

SEEDS = range(10_000, 10_256)
STARED_SEEDS = range(11_000, 11_192)
COMPARED: tuple[Mode, ...] = ("CBED",)
APART_SHARE = 0.2
HIDDEN, EPOCHS, BATCH, RATE, DECAY = 48, 120, 256, 3e-3, 1e-3
COMPONENTS, RIDGES = 16, (30.0, 1000.0)
"""Inputs that are many are projected on fewer: principal components, and ridge regressions to the targets."""

ELECTRONS = tuple(10.0 ** (3 + n / 2) for n in range(13))
Examples = Iterable[tuple[int, Observation, dict[str, Array]]]
Say = Callable[[str], None]


@dataclass
class Seen:
    """All patches of one mode: inputs (n, N), truth (n, fields), and of each its seed and cell.

    ``electrons`` (n,) fell on each patch, and ``wide`` (n,) are those that lie all over their cell. The first ``few``
    of the inputs are worth looking at one by one.
    """

    few: int
    inputs: Array
    truth: Array
    seed: NDArray[np.int_]
    cell: NDArray[np.int_]
    electrons: Array
    wide: NDArray[np.bool_]

    def __getitem__(self, rows: NDArray[np.bool_] | slice) -> Seen:
        inputs, truth, electrons = self.inputs[rows], self.truth[rows], self.electrons[rows]
        return Seen(self.few, inputs, truth, self.seed[rows], self.cell[rows], electrons, self.wide[rows])


def gathered(card: Card, capabilities: Capabilities, examples: Examples) -> dict[str, Seen]:
    """What the reader's glance makes of examples (seed, observation, fields of all cells), by mode."""
    fields = [target.name for target in card.targets if target.kind == "field"]
    glances: dict[int, Glance] = {}
    found: dict[str, list[tuple[Array, list[float], int, int, float, bool]]] = {}
    few: dict[str, int] = {}
    for seed, observation, truth in examples:
        glance = glances.setdefault(seed, Glance(capabilities, card))
        acquire = observation.command.acquire
        assert acquire is not None  # it has data
        for cell, inputs, few[acquire.mode], _ in glance(observation):
            values = [float(truth[name][cell]) for name in fields]
            electrons, wide = _extent(inputs)
            found.setdefault(acquire.mode, []).append((inputs, values, seed, cell, electrons, wide))
    parts = {mode: list(zip(*patches, strict=True)) for mode, patches in found.items()}
    return {mode: Seen(few[mode], *(np.array(column) for column in columns)) for mode, columns in parts.items()}


def _extent(inputs: Array) -> tuple[float, bool]:
    """How many electrons fell on a patch, and whether it lies over most of its cell: what its context says."""
    log_electrons, log_pixel, log_pixels = inputs[:3].tolist()
    return math.exp(log_electrons + log_pixels), log_pixel + log_pixels / 2 > math.log(WHOLE)


def learned(card: Card, seen: dict[str, Seen], say: Say) -> Eyesight:
    """Train a network for every mode, and find out how good it is."""
    fields = tuple(target.name for target in card.targets if target.kind == "field")
    seeds = np.unique(np.concatenate([each.seed for each in seen.values()]))
    border = seeds[round((1 - APART_SHARE) * len(seeds))]
    networks: dict[str, Network | Counting] = {}
    z_sd, widened, typical, explained = {}, {}, {}, {}
    errors: list[tuple[NDArray[np.int_], NDArray[np.int_], Array]] = []
    for mode, each in sorted(seen.items()):
        apart = each[each.seed >= border]
        network = _seeing(card, each[each.seed < border], apart)
        left = ((apart.truth - network(apart.inputs)[0]) ** 2).mean(axis=0) / (apart.truth.var(axis=0) + 1e-12)
        explained[mode] = {name: round(1 - share, 3) for name, share in zip(fields, left.tolist(), strict=True)}
        z = np.where(1 - left > network.least_told, _errors(network, apart), np.nan)
        tuned = apart.seed < np.median(apart.seed)
        widened[mode] = {name: sd_about_0(z[tuned, n]) for n, name in enumerate(fields)}
        z /= np.array(list(widened[mode].values()))
        errors.append((apart.seed, apart.cell, z))
        networks[mode] = network
        z_sd[mode] = {name: sd_about_0(z[~tuned, n]) for n, name in enumerate(fields)}
        for wide in (False, True):
            some = each[each.wide == wide] if (each.wide == wide).any() and mode != "HAADF" else each
            whole = network(some.inputs)
            typical[kind_of(mode, wide)] = {
                name: tuple(widened[mode][name] * sd for sd in _typical(network, some, whole, n))
                for n, name in enumerate(fields)
            }
        told_share = ", ".join(f"{name} {share:.2f}" for name, share in explained[mode].items())
        say(f"{card.world} {mode}: {len(each.seed)} patches, variance explained apart: {told_share}")
    looks = sum(len(each.seed) for each in seen.values())
    return Eyesight(
        Learned(
            world=card.world,
            fields=fields,
            kept={name: shared(errors, n) for n, name in enumerate(fields)},
            tempered=1.0,
            widened=widened,
            z_sd=z_sd,
            electrons=ELECTRONS,
            typical=typical,
            explained=explained,
            seeds=(int(seeds[0]), int(seeds[-1])),
            looks=looks,
            compared=(),
            doses=(),
            typical_again={},
            shows={},
        ),
        networks,
        {},
    )


def _seeing(card: Card, own: Seen, apart: Seen) -> Network | Counting:
    """What makes readings of the patches of a mode, with errors as they are on other worlds."""
    if card.world in CRYSTALS:
        return counting(own.inputs, own.truth)
    network = _trained(own, apart)
    mean, sd = network(apart.inputs)
    return _scaled(network, np.sqrt((((apart.truth - mean) / sd) ** 2).mean(axis=0)))


def _trained(own: Seen, apart: Seen) -> Network:
    """A network trained on some patches, and stopped where it is best on others."""
    middle, scale = own.inputs.mean(axis=0), own.inputs.std(axis=0) + 1e-9
    target_mean, target_sd = own.truth.mean(axis=0), own.truth.std(axis=0) + 1e-9
    z, wanted = (own.inputs - middle) / scale, (own.truth - target_mean) / target_sd
    project = _projection(z, wanted, own.few)
    torch.manual_seed(0)
    sizes = (project.shape[1], HIDDEN, HIDDEN, 2 * wanted.shape[1])
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    model = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1], torch.nn.Tanh(), layers[2])
    x, y = _tensor(z @ project), _tensor(wanted)
    far = _tensor((apart.inputs - middle) / scale @ project), _tensor((apart.truth - target_mean) / target_sd)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    best, kept = math.inf, {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            optimiser.zero_grad()
            _loss(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
        with torch.no_grad():
            now = float(_loss(model(far[0]), far[1]))
        if now < best:
            best, kept = now, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)
    made = tuple((each.weight.detach().double().numpy().T, each.bias.detach().double().numpy()) for each in layers)
    return Network(middle, scale, project, made, target_mean, target_sd)


def _projection(z: Array, wanted: Array, few: int) -> Array:
    """Few directions (N, P) of many standardised inputs, each of unit variance; the first few inputs are kept."""
    if z.shape[1] == few:
        return np.eye(few)
    rest = z[:, few:]
    gram = rest.T @ rest / len(rest)
    values, vectors = np.linalg.eigh(gram)
    found = [vectors[:, -COMPONENTS:]]
    for ridge in RIDGES:
        weak = vectors @ ((vectors.T @ (rest.T @ wanted / len(rest))) / (values + ridge * values.mean())[:, None])
        found.append(weak)
    directions = np.concatenate(found, axis=1)
    directions /= (rest @ directions).std(axis=0) + 1e-12
    project = np.zeros((z.shape[1], few + directions.shape[1]))
    project[:few, :few], project[few:, few:] = np.eye(few), directions
    return project


def _loss(out: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Negative logarithm of a Gaussian likelihood, but for a constant."""
    mean, log_var = torch.tensor_split(out, 2, dim=1)
    log_var = log_var.clamp(max=MOST_LOG_VAR)
    return (log_var + (wanted - mean) ** 2 * torch.exp(-log_var)).mean()


def _scaled(network: Network, times: Array) -> Network:
    """The same network with other standard deviations."""
    weight, bias = network.layers[-1]
    shifted = np.concatenate([np.zeros_like(times), 2 * np.log(times)])
    return replace(network, layers=(*network.layers[:-1], (weight, bias + shifted)))


def _errors(network: Network | Counting, seen: Seen) -> Array:
    """(reading - truth) / sd (n, fields) of what would be read; NaN where nothing would."""
    mean, sd = network(seen.inputs)
    value, error = unshrunk(mean, sd, network.target_mean, network.target_sd)
    told = 1 - (sd / network.target_sd) ** 2 > network.least_told
    return np.where(told, (value - seen.truth) / error, np.nan)


def _typical(network: Network | Counting, seen: Seen, read: tuple[Array, Array], field: int) -> tuple[float, ...]:
    """Median sd of a field's readings around some numbers of electrons; the nearest's where no look has such."""
    sd = unshrunk(*read, network.target_mean, network.target_sd)[1][:, field]
    apart = np.abs(np.log(seen.electrons[:, None] / np.array(ELECTRONS)))
    return tuple(float(np.median(sd[np.argsort(column)[: max(20, len(sd) // 10)]])) for column in apart.T)


def _tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def main(arguments: Sequence[str]) -> None:
    """Train the readers of worlds."""
    known = assemble.worlds()
    if not arguments or not set(arguments) <= set(known):
        raise SystemExit(f"usage: python -m agent.training.reader WORLD ..., each one of {', '.join(known)}")
    WEIGHTS.mkdir(exist_ok=True)
    for world in arguments:
        taught = lessons(world)
        seen = gathered(taught.card, taught.capabilities, _told(taught.examples(SEEDS), world, SEEDS))
        sight = learned(taught.card, seen, _say)
        for mode in COMPARED:
            if mode in sight.networks and any(sight.sees(mode, field) for field in sight.card.fields):
                stares = _told(taught.stares(STARED_SEEDS, mode), world, STARED_SEEDS)
                sight = comparing(taught.card, sight, mode, stared(taught.card, taught.capabilities, stares), _say)
        save_eyesight(sight)
        temper(world, _say)


def _told(examples: Examples, world: str, seeds: Sequence[int]) -> Examples:
    done: set[int] = set()
    for each in examples:
        if each[0] not in done:
            done.add(each[0])
            _say(f"{world}: looking at world {len(done)} of {len(seeds)}")
        yield each


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
