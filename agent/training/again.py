"""Learns how what a beam takes away tells of its couplings, from stares at training worlds.

Worlds are few for what differs from world to world only: each part of them is read by what was learned of the others.
All these readings say how good they are, how wide their errors are, and how these hang together; those of one half of
the worlds, widened as the other half asks for, say whether that holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from msgspec import structs
from numpy.typing import NDArray

from agent.perception.again import BLIND, Change
from agent.perception.reader import LEAST_GAINED, Eyesight, Glance
from agent.perception.response import FREEDOM, Response
from agent.training.errors import sd_about_0, shared
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

Array = NDArray[np.float64]

RANK, EPOCHS, BATCH, RATE = 3, 30, 256, 2e-2
PARTS = 4
DOSES = (0.03, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class Stared:
    """All that was compared in one mode: changes, the logarithms of all globals (n, G), fields (n, F), seeds and cells.

    ``look`` (n,) numbers the looks that changes come from.
    """

    changes: Sequence[Change]
    logs: Array
    fields: Array
    seed: NDArray[np.int_]
    cell: NDArray[np.int_]
    look: NDArray[np.int_]


def stared(
    card: Card, capabilities: Capabilities, examples: Iterable[tuple[int, Observation, Mapping[str, Array]]]
) -> Stared:
    """What the reader's glance makes of stares (seed, observation, truth), as far as looks can be compared."""
    fields, names = ([target.name for target in card.targets if target.kind == kind] for kind in ("field", "global"))
    glances: dict[int, Glance] = {}
    found: list[tuple[Change, list[float], list[float], int, int, int]] = []
    for look, (seed, observation, truth) in enumerate(examples):
        logs = [math.log(float(truth[name][0])) for name in names]
        for each in glances.setdefault(seed, Glance(capabilities, card))(observation):
            there = [float(truth[name][each.cell]) for name in fields]
            found += [(change, logs, there, seed, each.cell, look) for change in each.changes]
    changes, *columns = zip(*found, strict=True) if found else ((),) * 6
    return Stared(changes, *(np.array(column) for column in columns))


def responding(seen: Stared, own: NDArray[np.bool_]) -> Response:
    """The response that makes some of the changes most likely."""
    worlds = np.unique(seen.logs[own], axis=0)
    middle, spread = worlds.mean(axis=0), worlds.std(axis=0)
    z = (worlds - middle) / spread
    rows = [np.stack([getattr(each, name) for each in seen.changes]) for name in ("lost", "sd", "dose", "waited")]
    data = [torch.from_numpy(each.astype(np.float32)) for each in (*rows, (seen.logs - middle) / spread)]
    torch.manual_seed(0)
    losses, couplings = rows[0].shape[1], len(middle)
    free = {
        "mean": torch.full((losses,), 2.0),
        "later": torch.zeros(losses),
        "slopes": torch.full((losses, couplings), -0.1),
        "common": 0.1 * torch.randn(losses, RANK),
        "own": torch.full((losses,), -2.0),
        "common_dosed": 0.1 * torch.randn(losses, RANK),
        "own_dosed": torch.full((losses,), -2.0),
    }
    model = {name: torch.nn.Parameter(value) for name, value in free.items()}
    optimiser = torch.optim.Adam(model.values(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    chosen = torch.from_numpy(np.flatnonzero(own))
    for _ in range(EPOCHS):
        order = chosen[torch.randperm(len(chosen))]
        for start in range(0, len(order), BATCH):
            optimiser.zero_grad()
            _surprise(model, *(each[order[start : start + BATCH]] for each in data)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
    made = {name: value.detach().double().numpy() for name, value in model.items()}
    made["pixel_nm"] = np.array([seen.changes[0].pixel_nm])
    made |= {name: np.exp(made[name]) for name in ("own", "own_dosed")}
    return Response(middle, spread, (z.T @ z / len(z)) + 1e-3 * np.eye(couplings), **made)


def _surprise(
    model: Mapping[str, torch.Tensor],
    lost: torch.Tensor,
    sd: torch.Tensor,
    dose: torch.Tensor,
    waited: torch.Tensor,
    logs: torch.Tensor,
) -> torch.Tensor:
    """Mean negative logarithm of the likelihood, Student's t with FREEDOM, but for a constant."""
    dosed = dose[:, None]
    spread = torch.diag_embed(sd**2 + torch.exp(2 * model["own"]) + dosed**2 * torch.exp(2 * model["own_dosed"]))
    spread = spread + model["common"] @ model["common"].T
    spread = spread + dosed[..., None] ** 2 * (model["common_dosed"] @ model["common_dosed"].T)
    lower = torch.linalg.cholesky(spread)
    left = lost - dosed * (model["mean"] + logs @ model["slopes"].T) - waited[:, None] * model["later"]
    white = torch.linalg.solve_triangular(lower, left[..., None], upper=False)[..., 0]
    seen = (sd < BLIND).sum(dim=-1)
    size = torch.log(torch.diagonal(lower, dim1=-2, dim2=-1)).sum(dim=-1)
    return (size + (FREEDOM + seen) / 2 * torch.log1p((white**2).sum(dim=-1) / FREEDOM)).mean()


def comparing(card: Card, sight: Eyesight, mode: str, seen: Stared, say: Callable[[str], None]) -> Eyesight:
    """The same eyesight, which also compares looks in a mode, with what that tells of which global."""
    if not seen.changes:
        say(f"{card.world} {mode}: no looks that could be compared")
        return sight
    fields, names = ([target.name for target in card.targets if target.kind == kind] for kind in ("field", "global"))
    value, sd = _apart(seen)
    truth, best = np.exp(seen.logs), _best(sd, seen.look) & np.isfinite(sd)
    response = responding(seen, np.ones(len(truth), dtype=bool))
    whole = response.prior()
    tuned, dose = seen.seed % 2 == 0, np.array([change.dose for change in seen.changes])
    typical, explained, widened, z_sd, together = {}, {}, {}, {}, {}
    for n, name in enumerate(names):
        rows = np.flatnonzero(best[:, n])
        z = (value[rows, n] - truth[rows, n]) / sd[rows, n]
        widened[name] = max(sd_about_0(z), 1.0)
        z_sd[name] = sd_about_0(z[~tuned[rows]]) / max(sd_about_0(z[tuned[rows]]), 1.0)
        error = widened[name] * sd[rows, n]
        share, before = 1 / (1 + (error / whole[1][n]) ** 2), truth[rows, n] - whole[0][n]
        after = before - share * (value[rows, n] - whole[0][n])
        explained[name] = round(1 - float((after**2).sum() / (before**2).sum()), 3) if rows.size else 0.0
        together[name] = shared([(seen.seed[rows], seen.cell[rows], z[:, None] / widened[name])], 0)
        typical[name] = tuple(_typical(error, dose[rows], at) for at in DOSES)
    told_share = ", ".join(f"{name} {share:.2f}" for name, share in explained.items())
    say(f"{card.world} {mode}: {len(seen.changes)} changes, variance of globals explained apart: {told_share}")
    learned = sight.card
    return replace(
        sight,
        responses={**sight.responses, mode: response},
        card=structs.replace(
            learned,
            compared=tuple(names),
            doses=DOSES,
            kept=learned.kept | {name: together[name] for name in names if explained[name] > LEAST_GAINED},
            widened=learned.widened | {mode: learned.widened[mode] | widened},
            z_sd=learned.z_sd | {mode: learned.z_sd[mode] | z_sd},
            explained=learned.explained | {mode: learned.explained[mode] | explained},
            typical_again=learned.typical_again | {mode: typical},
            shows=learned.shows | {mode: dict(zip(fields, _shows(seen, sd / whole[1]), strict=True))},
        ),
    )


def _apart(seen: Stared) -> tuple[Array, Array]:
    """Readings of all globals and their sd (n, G) from each change, by what was learned of the other parts' worlds."""
    part = np.searchsorted(np.unique(seen.seed), seen.seed) % PARTS
    value, sd = np.zeros_like(seen.logs), np.zeros_like(seen.logs)
    for one in range(PARTS):
        response = responding(seen, part != one)
        for row in np.flatnonzero(part == one).tolist():
            value[row], sd[row] = response(seen.changes[row])
    return value, sd


def _shows(seen: Stared, error: Array) -> list[float]:
    """Regression of the share of the variance that readings tell, of all globals together, on fields: in sd of both."""
    told = (1 / (1 + error**2)).mean(axis=1)
    z, wanted = ((each - each.mean(axis=0)) / (each.std(axis=0) + 1e-12) for each in (seen.fields, told))
    return [round(float(slope), 3) for slope in np.linalg.lstsq(z, wanted, rcond=None)[0]]


def _best(sd: Array, look: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Which changes (n, G) are those of their look that tell most."""
    found = np.zeros(sd.shape, dtype=bool)
    for one in np.unique(look):
        rows = np.flatnonzero(look == one)
        found[rows[sd[rows].argmin(axis=0)], np.arange(sd.shape[1])] = True
    return found


def _typical(sd: Array, dose: Array, at: float) -> float:
    """Median sd of readings around a dose; a large number where there are none."""
    near = np.argsort(np.abs(np.log(dose / at)))[: max(20, len(sd) // 10)]
    return float(np.median(sd[near])) if near.size else 1e12
