"""The card of a world: what is public about it, with the prior of its targets from 200 seeds used for nothing else.

python -m envs.prior growth      writes envs/cards/growth.json again
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from digital_twin.growth import EXTENT_NM
from digital_twin.truth import CELLS, TIMES_S, truths
from envs.score import crps_gaussian
from hardware_bridge.report import Card, Target

Array = NDArray[np.float64]

PRIOR_SEEDS = range(100_000, 100_200)
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


def growth_card(values: Mapping[str, Array]) -> Card:
    """Make the card of the growth world from an ensemble of truths, (seeds, values) each."""
    targets, kernel = [], {}
    for name, unit in FIELDS.items():
        ensemble = values[name].reshape(len(values[name]), len(TIMES_S), -1)
        # Cells are exchangeable before anything is seen: their sites are drawn alike.
        mean = np.broadcast_to(ensemble.mean(axis=(0, 2))[:, None], ensemble.shape[1:]).ravel()
        sd = np.broadcast_to(ensemble.std(axis=(0, 2))[:, None], ensemble.shape[1:]).ravel()
        targets.append(_target(name, "field", unit, 0.5 / len(FIELDS), (mean, sd), values[name]))
        kernel.update({f"{name}.{key}": number for key, number in _correlation(ensemble).items()})
    for name, unit in GLOBALS.items():
        mean, sd = values[name].mean(axis=0), values[name].std(axis=0)
        targets.append(_target(name, "global", unit, 0.5 / len(GLOBALS), (mean, sd), values[name]))
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


def _target(name: str, kind: str, unit: str, weight: float, prior: tuple[Array, Array], values: Array) -> Target:
    mean, sd = prior
    return Target(
        name=name,
        kind="field" if kind == "field" else "global",
        unit=unit,
        weight=weight,
        prior_mean=tuple(mean.tolist()),
        prior_sd=tuple(sd.tolist()),
        crps_scale=float(crps_gaussian(mean, sd, values).sum(axis=1).mean()),
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


def main(arguments: Sequence[str]) -> None:
    """Write the card of a world again, saying how far it has come."""
    if list(arguments) != ["growth"]:
        raise SystemExit("usage: python -m envs.prior growth")
    parts = []
    for start in range(0, len(PRIOR_SEEDS), BATCH):
        parts.append(truths(PRIOR_SEEDS[start : start + BATCH]))
        print(f"{min(start + BATCH, len(PRIOR_SEEDS))} of {len(PRIOR_SEEDS)} seeds", flush=True)
    card = growth_card({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    CARDS.mkdir(exist_ok=True)
    (CARDS / "growth.json").write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
