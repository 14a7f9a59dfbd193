"""The card of a world: what is public about it, with the prior of its targets from 200 seeds used for nothing else.

The denominators of the score are expectations over another 800 seeds: a prior does not show in the ensemble that it was
fitted to how good it is elsewhere.

``python -m envs.prior growth`` writes envs/cards/growth.json again, and beside it the ensemble itself, growth.npz: the
same 200 seeds at the start and at the asked times, for who wants to know more of a prior than its moments.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from digital_twin.world import Facts, truths
from digital_twin.worlds import WORLDS, world_type
from envs.score import losses
from hardware_bridge.report import Card, Target

Array = NDArray[np.float64]

PRIOR_SEEDS = range(100_000, 100_200)
SCALE_SEEDS = range(100_200, 101_000)
CARDS = Path(__file__).parent / "cards"
BATCH = 20


def load_card(world: str) -> Card:
    """Read the shipped card of a world.

    Raises:
        ValueError: there is no such world.
    """
    path = CARDS / f"{world}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CARDS.glob("*.json")))
        raise ValueError(f"goal.world = {world!r} is unknown: choose one of {known}")
    return msgspec.json.decode(path.read_bytes(), type=Card)


def world_card(facts: Facts, values: Mapping[str, Array], others: Mapping[str, Array]) -> Card:
    """Make the card of a world from an ensemble of truths, (seeds, values) each.

    Its denominators are the mean losses of that prior on ``others``, an ensemble of other seeds.
    """
    targets, kernel = [], {}
    for name, unit in facts.fields.items():
        ensemble = values[name].reshape(len(values[name]), len(facts.times_s), -1)
        mean, sd = _moments(ensemble, facts)
        targets.append(
            _target(name, ("field", unit, 0.5 / len(facts.fields)), (mean.ravel(), sd.ravel()), others[name])
        )
        z = (ensemble - mean) / np.where(sd > 0, sd, 1.0)
        kernel.update({f"{name}.{key}": number for key, number in _correlation(z, facts).items()})
    for name, unit in facts.globals.items():
        mean, sd = values[name].mean(axis=0), values[name].std(axis=0)
        targets.append(_target(name, ("global", unit, 0.5 / len(facts.globals)), (mean, sd), others[name]))
    return Card(
        world=facts.name,
        version=1,
        extent_nm=facts.extent_nm,
        cells=facts.cells,
        times_s=facts.times_s,
        duration_s=facts.times_s[-1],
        budget_electrons=facts.budget_electrons,
        max_fluence_e_per_A2=facts.max_fluence_e_per_A2,
        targets=tuple(targets),
        kernel=kernel,
        sources=facts.sources,
    )


def _target(
    name: str, kind: tuple[Literal["field", "global"], str, float], prior: tuple[Array, Array], others: Array
) -> Target:
    what, unit, weight = kind
    mean, sd = prior
    return Target(
        name=name,
        kind=what,
        unit=unit,
        weight=weight,
        prior_mean=tuple(mean.tolist()),
        prior_sd=tuple(sd.tolist()),
        crps_scale=float(losses(unit, mean, sd, others).sum(axis=1).mean()),
    )


def _moments(ensemble: Array, facts: Facts) -> tuple[Array, Array]:
    """Mean and sd of a field, (times, cells), over an ensemble (seeds, times, cells) and cells that are alike."""
    rows = ensemble.reshape(*ensemble.shape[:2], facts.cells, facts.cells)
    alike = (0, 2, 3) if facts.rows_alike else (0, 3)
    mean, sd = (
        np.broadcast_to(moment(axis=alike, keepdims=True), (1, *rows.shape[1:])) for moment in (rows.mean, rows.std)
    )
    return mean.reshape(ensemble.shape[1:]), sd.reshape(ensemble.shape[1:])


def _correlation(z: Array, facts: Facts) -> dict[str, float]:
    """Shares and lengths of correlation of a field, from standardised values of an ensemble (seeds, times, cells).

    ``shared_share`` is the part of the variance that all cells of a seed have in common. The rest is taken as
    exp(-|dt| / time_s - distance / length_nm); both are read off its mean correlation at the shortest lags.
    """
    common = z.mean(axis=2, keepdims=True)
    shared = float(np.clip(common.var(axis=0).mean(), 0.01, 0.99))
    own = z - common
    square = own.reshape(*own.shape[:2], facts.cells, facts.cells)
    variance = float((own**2).mean())
    near = float(((square[..., 1:] * square[..., :-1]).mean() + (square[..., 1:, :] * square[..., :-1, :]).mean()) / 2)
    later = float((own[:, 1:] * own[:, :-1]).mean())
    cell_nm, step_s = facts.extent_nm / facts.cells, facts.times_s[1] - facts.times_s[0]
    return {
        "shared_share": shared,
        "time_s": -step_s / math.log(min(max(later / variance, 0.05), 0.99)),
        "length_nm": -cell_nm / math.log(min(max(near / variance, 0.05), 0.99)),
    }


def load_ensemble(world: str) -> dict[str, Array]:
    """Read the shipped prior ensemble of a world: fields (seeds, 1 + times, cells^2), globals (seeds,).

    The start comes before the asked times.

    Raises:
        ValueError: there is none of this world.
    """
    path = CARDS / f"{world}.npz"
    if not path.is_file():
        raise ValueError(f"there is no prior ensemble of world {world}: python -m envs.prior {world} makes it")
    with np.load(path) as file:
        return {name: np.asarray(values, dtype=np.float64) for name, values in file.items()}


def save_ensemble(facts: Facts, values: Mapping[str, Array], path: Path) -> None:
    """Write an ensemble that was made with the start in front of the asked times; its fields as float16."""
    fields: dict[str, Any] = {
        n: values[n].reshape(len(values[n]), 1 + len(facts.times_s), -1).astype(np.float16) for n in facts.fields
    }
    constants: dict[str, Any] = {name: values[name][:, 0] for name in facts.globals}
    np.savez_compressed(path, **fields, **constants)


def since_start(facts: Facts) -> tuple[float, ...]:
    """The asked times with the start in front."""
    return (0.0, *facts.times_s)


def ensemble(
    world: str,
    seeds: Sequence[int],
    say: Callable[[str], None] = lambda line: None,
    times_s: Sequence[float] = (),
) -> dict[str, Array]:
    """Truths (seeds, values) of many seeds of a world, a batch at a time, saying how far it has come.

    Fields are those at ``times_s``; left out, at the times that they are asked for.
    """
    parts = []
    for start in range(0, len(seeds), BATCH):
        parts.append(truths(world_type(world), seeds[start : start + BATCH], times_s))
        say(f"seed {seeds[start]} and on: {min(start + BATCH, len(seeds))} of {len(seeds)}")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def main(arguments: Sequence[str]) -> None:
    """Write the cards and ensembles of worlds again."""
    if not arguments or not set(arguments) <= set(WORLDS):
        raise SystemExit(f"usage: python -m envs.prior WORLD ..., each one of {', '.join(WORLDS)}")
    for world in arguments:
        facts = world_type(world).facts
        prior = ensemble(world, PRIOR_SEEDS, _say, since_start(facts))
        save_ensemble(facts, prior, CARDS / f"{world}.npz")
        asked = {name: prior[name][:, facts.cells**2 :] if name in facts.fields else prior[name] for name in prior}
        card = world_card(facts, asked, ensemble(world, SCALE_SEEDS, _say))
        (CARDS / f"{world}.json").write_bytes(encoded(card))


def encoded(card: Card) -> bytes:
    """A card as the JSON that is shipped."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
