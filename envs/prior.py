"""The card of a world: what is public about it, with the prior of its targets from 200 seeds used for nothing else.

The denominators of the score are expectations over another 800 seeds: a prior does not show in the ensemble that it was
fitted to how good it is elsewhere.

``python -m envs.prior growth`` writes envs/cards/growth.json again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from digital_twin.growth import EXTENT_NM
from digital_twin.truth import CELLS, TIMES_S, truths
from envs.score import losses
from hardware_bridge.report import Card, Target

Array = NDArray[np.float64]

PRIOR_SEEDS = range(100_000, 100_200)
SCALE_SEEDS = range(100_200, 101_000)
CARDS = Path(__file__).parent / "cards"
FIELDS = {"covered_fraction": "", "count": "", "mean_radius_nm": "nm"}
GLOBALS = {"growth_rate": "nm^2/s", "beam_coupling": ""}
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


def growth_card(values: Mapping[str, Array], others: Mapping[str, Array]) -> Card:
    """Make the card of the growth world from an ensemble of truths, (seeds, values) each.

    Its denominators are the mean losses of that prior on ``others``, an ensemble of other seeds.
    """
    targets, kernel = [], {}
    for name, unit in FIELDS.items():
        ensemble = values[name].reshape(len(values[name]), len(TIMES_S), -1)
        # Cells are exchangeable before anything is seen: their sites are drawn alike.
        mean = np.broadcast_to(ensemble.mean(axis=(0, 2))[:, None], ensemble.shape[1:]).ravel()
        sd = np.broadcast_to(ensemble.std(axis=(0, 2))[:, None], ensemble.shape[1:]).ravel()
        targets.append(_target(name, ("field", unit, 0.5 / len(FIELDS)), (mean, sd), others[name]))
        kernel.update({f"{name}.{key}": number for key, number in _correlation(ensemble).items()})
    for name, unit in GLOBALS.items():
        mean, sd = values[name].mean(axis=0), values[name].std(axis=0)
        targets.append(_target(name, ("global", unit, 0.5 / len(GLOBALS)), (mean, sd), others[name]))
    return Card(
        world="growth",
        version=1,
        extent_nm=EXTENT_NM,
        cells=CELLS,
        times_s=TIMES_S,
        duration_s=TIMES_S[-1],
        budget_electrons=4e8,
        max_fluence_e_per_A2=20.0,
        targets=tuple(targets),
        kernel=kernel,
        sources=(
            "Kinetics: diffusion-limited growth, Zener, J. Appl. Phys. 20 (1949) 950",
            "Radiolysis: Schneider et al., J. Phys. Chem. C 118 (2014) 22373",
        ),
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


def _correlation(ensemble: Array) -> dict[str, float]:
    """Shares and lengths of correlation of a field, from moments of an ensemble (seeds, times, cells).

    ``shared_share`` is the part of the variance that all cells of a seed have in common. The rest is taken as
    exp(-|dt| / time_s - distance / length_nm); both are read off its mean correlation at the shortest lags.
    """
    spread = ensemble.std(axis=(0, 2), keepdims=True)
    z = (ensemble - ensemble.mean(axis=(0, 2), keepdims=True)) / np.where(spread > 0, spread, 1.0)
    common = z.mean(axis=2, keepdims=True)
    shared = float(np.clip(common.var(axis=0).mean(), 0.01, 0.99))
    own = z - common
    square = own.reshape(*own.shape[:2], CELLS, CELLS)
    variance = float((own**2).mean())
    near = float(((square[..., 1:] * square[..., :-1]).mean() + (square[..., 1:, :] * square[..., :-1, :]).mean()) / 2)
    later = float((own[:, 1:] * own[:, :-1]).mean())
    cell_nm, step_s = EXTENT_NM / CELLS, TIMES_S[1] - TIMES_S[0]
    return {
        "shared_share": shared,
        "time_s": -step_s / math.log(min(max(later / variance, 0.05), 0.99)),
        "length_nm": -cell_nm / math.log(min(max(near / variance, 0.05), 0.99)),
    }


def ensemble(seeds: Sequence[int], say: Callable[[str], None] = lambda line: None) -> dict[str, Array]:
    """Truths (seeds, values) of many seeds, a batch at a time, saying how far it has come."""
    parts = []
    for start in range(0, len(seeds), BATCH):
        parts.append(truths(seeds[start : start + BATCH]))
        say(f"seed {seeds[start]} and on: {min(start + BATCH, len(seeds))} of {len(seeds)}")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def main(arguments: Sequence[str]) -> None:
    """Write the card of a world again."""
    if list(arguments) != ["growth"]:
        raise SystemExit("usage: python -m envs.prior growth")
    card = growth_card(ensemble(PRIOR_SEEDS, _say), ensemble(SCALE_SEEDS, _say))
    (CARDS / "growth.json").write_bytes(encoded(card))


def encoded(card: Card) -> bytes:
    """A card as the JSON that is shipped."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
