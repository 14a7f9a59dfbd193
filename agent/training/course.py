"""Puts together what is practised on: a prior made small, what looks cost, how they are read, and what is true."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from agent.config import Config
from agent.lessons import lessons, outlook_of, prior_of
from agent.perception.ensemble import Prior
from agent.perception.outlook import ReaderOutlook
from agent.perception.reader import WHOLE, kind_of
from agent.training.beliefs import Small
from agent.training.foresight import Costs, Rules
from agent.training.misreading import Misreading, PerceptErrors, load_errors, units
from agent.training.practice import Bank, Errs, Game, Practice
from agent.training.shipped import greedy_of, shipped
from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.dose import predict_charge
from hardware_bridge.messages import Capabilities, Go
from hardware_bridge.report import Card
from policies.book import blank_state
from policies.chooser.spec import MODES
from policies.commands import looking
from policies.interface import Setup
from policies.outlook import Way

LATENT = 24
"""Values that cells have in common: more tell hardly more, and make every look dearer."""

STEPS = 12
"""Parts of a run between which what is true is on a line."""

FINE = 49
BATCH = 16
PROBABILITY = "probability"


def practice(world: str, bank: Bank, worlds: int, seed: int) -> Practice:
    """So many runs at once in worlds of a bank.

    Raises:
        ValueError: how the reader of the world errs is not known, or it is scored in a way that is not practised.
    """
    prior, config = prior_of(world), shipped(world)
    if any(target.unit == PROBABILITY for target in prior.card.targets):
        raise ValueError(f"world = {world!r}: targets that are probabilities are not practised")
    outlook, able = outlook_of(world), lessons(world).capabilities
    game = Game(
        small=Small.of(prior, LATENT),
        costs=costs(config, able, outlook, prior.card),
        errs=errs(load_errors(world), outlook.ways, prior),
        bank=bank,
        rules=rules(world),
    )
    return Practice(game, worlds, seed)


def rules(world: str) -> Rules:
    """The rules of a run in a world, as its configuration and greedy's settings have them."""
    config = shipped(world)
    greedy = greedy_of(config)
    return Rules(
        duration_s=config.budget.duration_s,
        budget_electrons=config.budget.electrons,
        spends=greedy.spends,
        priced=greedy.priced,
        electron_weight=greedy.electron_weight,
    )


def costs(config: Config, able: Capabilities, outlook: ReaderOutlook, card: Card) -> Costs:
    """What the ways to look of an outlook cost at an instrument within the limits of a configuration."""
    setup = Setup(
        capabilities=able, limits=config.limits, card=card, start_s=0.0, end_s=card.duration_s, max_electrons=1.0
    )
    state, limits = blank_state(setup), config.limits
    still, electrons, fluence, most = [], [], [], []
    for way in outlook.ways:
        command = looking("look", Go(), way.view, 1.0, 0.0)
        charge = predict_charge(command, limits, state, able)
        still.append(predict(command, state, able).time_s)
        electrons.append(charge.electrons)
        fluence.append(charge.fluence_e_per_A2 / charge.electrons)
        detected = limits.current_bound * ELECTRONS_PER_PA_S * able.detector_fraction.get(way.view.mode, 1.0)
        of_detector = limits.max_detector_e_per_s.get(way.view.mode, 0.0) / detected if detected else math.inf
        of_rate = limits.max_dose_rate_e_per_A2_s / charge.dose_rate_e_per_A2_s
        most.append(min(limits.ranges["beam_current_pA"].high, of_rate, of_detector))
    shown, middles = zip(*(_places(way, card) for way in outlook.ways), strict=True)
    grid = np.linspace(math.log(1e2), math.log(1e10), FINE)
    fields = sum(target.kind == "field" for target in card.targets)
    usual = np.full((len(outlook.ways), fields, FINE), 40.0)
    for k, way in enumerate(outlook.ways):
        for n, at in enumerate(np.exp(grid)):
            for field, sd in outlook.usual(way, at * way.cells**2).items():
                usual[k, field, n] = math.log(sd)
    return Costs(
        shown=_padded(shown),
        middle_nm=_far(middles),
        mode=torch.tensor([MODES.index(way.view.mode) for way in outlook.ways]),
        still_s=torch.tensor(still, dtype=torch.float32),
        electrons_per_pA=torch.tensor(electrons, dtype=torch.float32),
        fluence_per_electron=torch.tensor(fluence, dtype=torch.float32),
        least_pA=torch.full((len(still),), limits.ranges["beam_current_pA"].low),
        most_pA=torch.tensor(most, dtype=torch.float32),
        usual=torch.tensor(usual, dtype=torch.float32),
        log_electrons=torch.tensor(grid, dtype=torch.float32),
        settle_s=able.settle_s,
        speed_nm_per_s=able.stage_speed_nm_per_s,
        charged=limits.current_bound,
        max_fluence=limits.max_fluence_e_per_A2,
    )


def _places(way: Way, card: Card) -> tuple[np.ndarray, np.ndarray]:
    """The cells (P, M) that a way shows at each of its places, and the middles of its fields (P, 2) in nm."""
    corner = np.arange(card.cells - way.cells + 1)
    first = (corner[:, None] * card.cells + corner).ravel()
    within = np.arange(way.cells)
    along = (corner + way.cells / 2) / card.cells * card.extent_nm - card.extent_nm / 2
    middles = np.array([(x, y) for y in along for x in along])
    return first[:, None] + (within[:, None] * card.cells + within).ravel(), middles


def _padded(shown: Sequence[np.ndarray]) -> torch.Tensor:
    places, members = (max(each.shape[n] for each in shown) for n in (0, 1))
    table = np.full((len(shown), places, members), -1)
    for n, each in enumerate(shown):
        table[n, : each.shape[0], : each.shape[1]] = each
    return torch.from_numpy(table)


def _far(middles: Sequence[np.ndarray]) -> torch.Tensor:
    """Middles of fields (K, P, 2); places that a way does not have have none."""
    table = np.full((len(middles), max(map(len, middles)), 2), np.inf, dtype=np.float32)
    for n, each in enumerate(middles):
        table[n, : len(each)] = each
    return torch.from_numpy(table)


def errs(errors: PerceptErrors, ways: Sequence[Way], prior: Prior) -> Errs:
    """How readings of each way err, as fitted."""
    cell_nm = prior.card.extent_nm / prior.card.cells
    names = [target.name for target in prior.fields]
    of = [
        [errors.kinds[kind_of(way.view.mode, way.view.fov_nm > WHOLE * cell_nm)][name] for name in names]
        for way in ways
    ]

    def table(pick: Callable[[Misreading], float | tuple[float, ...]]) -> torch.Tensor:
        return torch.tensor([[pick(each) for each in row] for row in of], dtype=torch.float32)

    return Errs(
        said=table(lambda each: each.said),
        said_sd=table(lambda each: each.said_sd),
        bias=table(lambda each: each.bias),
        spread=table(lambda each: each.spread),
        cell=table(lambda each: each.cell),
        world=table(lambda each: each.world),
        missed=table(lambda each: each.missed),
        unit=torch.tensor(units(prior), dtype=torch.float32),
    )


def bank(world: str, seeds: Sequence[int], kept: Path | None, say: Callable[[str], None]) -> Bank:
    """What is true of the worlds of seeds, simulated, or read from a file that this once wrote."""
    prior, card = prior_of(world), prior_of(world).card
    cells, times = card.cells**2, np.linspace(0.0, card.duration_s, STEPS + 1)
    asked = [int(np.argmin(np.abs(times - at))) for at in (0.0, *card.times_s)]
    assert np.allclose(times[asked], (0.0, *card.times_s))
    found = _kept(kept, seeds)
    if found is None:
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, len(seeds), BATCH):
            some = seeds[start : start + BATCH]
            parts.append(lessons(world).trajectories(some, tuple(times.tolist())))
            say(f"{world}: simulated world {start + len(some)} of {len(seeds)}")
        found = {name: np.concatenate([part[name] for part in parts]).astype(np.float32) for name in parts[0]}
        if kept is not None:
            held = {"seeds": np.array(seeds), **found}
            np.savez(kept, allow_pickle=False, **held)
    fields = np.stack([found[t.name].reshape(len(seeds), STEPS + 1, cells) for t in prior.fields], axis=-1)
    mean, sd = (each[: prior.size - len(prior.globals)].reshape(-1, cells).T for each in (prior.mean, prior.sd))
    values = fields[:, asked].transpose(0, 2, 3, 1).reshape(len(seeds), cells, -1)
    constants = np.stack([found[t.name][:, 0] for t in prior.globals], axis=-1)
    first = prior.size - len(prior.globals)
    z = (constants - prior.mean[first : prior.size]) / prior.sd[first : prior.size]
    made = (fields, (values - mean) / np.maximum(sd, 1e-12), z)
    return Bank(*(torch.from_numpy(np.ascontiguousarray(each, dtype=np.float32)) for each in made))


def _kept(path: Path | None, seeds: Sequence[int]) -> dict[str, np.ndarray] | None:
    if path is None or not path.is_file():
        return None
    with np.load(path) as file:
        found = dict(file.items())
    return found if np.array_equal(found.pop("seeds"), np.array(seeds)) else None
