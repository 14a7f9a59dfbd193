"""The beam-sensitive world: how its spots fade in diffraction patterns, and how order comes without a beam."""

from __future__ import annotations

import math
from functools import cache
from unittest.mock import patch

import numpy as np
import torch

from digital_twin import beam_sensitive
from digital_twin.beam_sensitive import EXTENT_NM, BeamSensitive, Draw, draw
from digital_twin.optics import Aberrations
from digital_twin.specimen import Grid
from digital_twin.waves import Probe, cbed, transmission
from experiments.validation.check import Check, Mutation

SEED, BEAM_keV, SEMI_ANGLE_mrad, WAVELENGTH_nm = 1, 200.0, 0.8, 0.00250793
PIXELS, PIXEL_nm = 256, 0.1
THIN = 0.005
"""Of the film's thickness, so that spots are in proportion to the square of the potential: a quarter of a nm."""

SPOTS = {(1, 0): 1.2014, (0, 1): 0.8496, (1, 1): 0.6937, (2, 1): 0.4905, (1, 2): 0.4005}
"""Orders along [1-10] and [001] with their spacings in nm, a cube of 1.6991 nm."""

DOSES = (0.0, 0.3, 0.6, 0.9, 1.2)
"""In critical doses of the innermost spot."""

DECAY = "closed form: I = I_0 exp(-D / D_c(q)), D_c the seed's"
WORLDS = 40


def in_order() -> tuple[BeamSensitive, Grid, float]:
    """A thin film without grain, a scan inside one of its grains that is in order, and the angle of its lattice."""
    world = BeamSensitive(SEED)
    world._thickness_nm *= THIN
    side = PIXEL_nm * (np.arange(PIXELS) - PIXELS / 2)
    for index in world.order[0].nonzero()[:, 0].tolist():
        x, y = world.grains.centre_nm[0, index].tolist()
        grid = Grid(
            np.stack([np.full(PIXELS, x + side[0]), y + side], axis=1),
            np.array([PIXEL_nm, 0.0]),
            np.array([0.0, PIXEL_nm]),
            PIXELS,
        )
        # Also the nodes around it, between which thickness and order are interpolated.
        reach = torch.tensor([-30.0, 0.0, 30.0], dtype=torch.float64)
        owner = world.grains.owner(x + reach.expand(1, 3, 3), y + reach[:, None].expand(1, 3, 3))
        if bool((owner == index).all()):
            return world, grid, float(world.grains.turn_rad[0, index])
    raise ValueError("no grain of this seed is wide enough and in order")


def expose(world: BeamSensitive, fluence_e_per_A2: float) -> None:
    """Let the whole film take a fluence."""
    half = EXTENT_NM / 2
    world.expose(0, (-half, half, -half, half), fluence_e_per_A2 * (20 * half) ** 2)


@cache
def fading() -> tuple[np.ndarray, np.ndarray]:
    """Fluences (D,) in e/A^2, and intensities (D, spots) of discs in the pattern of a probe after each."""
    fluences = draw(SEED).critical_dose_e_per_A2 * np.array(DOSES)
    with patch.object(beam_sensitive, "speckle_V_nm", lambda grids, *given: torch.zeros(1, PIXELS, PIXELS).double()):
        world, grid, turn = in_order()
        patterns = []
        for step in np.diff(fluences, prepend=0.0):
            expose(world, float(step))
            wave = transmission(world.potential_V_nm([grid]), BEAM_keV)
            place = torch.full((1, 1, 2), PIXELS / 2, dtype=torch.float64)
            probe = Probe(BEAM_keV, SEMI_ANGLE_mrad)
            patterns.append(cbed(wave, PIXEL_nm, place, PIXELS, [Aberrations()], probe)[0, 0].double().numpy())
    index = np.arange(PIXELS) - PIXELS // 2
    radius = 1.1e-3 * SEMI_ANGLE_mrad / WAVELENGTH_nm * PIXELS * PIXEL_nm
    discs = []
    for h, k in SPOTS:
        gx, gy = h / SPOTS[1, 0], k / SPOTS[0, 1]
        x, y = gx * math.cos(turn) - gy * math.sin(turn), gx * math.sin(turn) + gy * math.cos(turn)
        away = np.hypot(index - x * PIXELS * PIXEL_nm, (index - y * PIXELS * PIXEL_nm)[:, None])
        discs.append(away <= radius)
    return fluences, np.array([[pattern[disc].sum() for disc in discs] for pattern in patterns])


def critical_e_per_A2() -> np.ndarray:
    """Fluence that leaves 1/e of each spot, from straight lines through the logarithms."""
    fluences, intensities = fading()
    critical: np.ndarray = -1 / np.polyfit(fluences, np.log(intensities), 1)[0]
    return critical


def decay() -> float:
    """Largest relative deviation of a spot's critical dose."""
    truth = draw(SEED)
    spacings = np.array(list(SPOTS.values()))
    expected = truth.critical_dose_e_per_A2 * (spacings / 1.2) ** truth.exponent
    return float(np.abs(critical_e_per_A2() / expected - 1).max())


def curvature() -> float:
    """Largest relative deviation of an intensity from the line through its logarithms: the decay is of first order."""
    fluences, intensities = fading()
    lines = np.polyfit(fluences, np.log(intensities), 1)
    return float(np.abs(intensities / np.exp(np.outer(fluences, lines[0]) + lines[1]) - 1).max())


def exponent() -> float:
    """Deviation of the exponent by which critical doses fall with frequency."""
    slope = np.polyfit(np.log(list(SPOTS.values())), np.log(critical_e_per_A2()), 1)[0]
    return float(abs(slope - draw(SEED).exponent))


def ordering() -> float:
    """Largest deviation of the share of grains in order, 40 films, from that of a first-order nucleation and growth.

    With a the share at once, k the rate and r the time of ripening: 1 - (1 - a) (r' e^(-k t) - k e^(-r' t)) / (r' - k)
    with r' = 1 / r, all at the reference temperature.
    """
    worlds = BeamSensitive(*range(WORLDS))
    worlds._rate[:] = 1 / 400.0
    worlds.window.temperature_K = worlds.window.set_point_K = 373.0
    worst, k, r = 0.0, 1 / 400.0, 1 / 40.0
    for time_s in (50.0, 150.0, 300.0, 600.0):
        worlds.advance_to(time_s)
        missing = 0.65 * (r * math.exp(-k * time_s) - k * math.exp(-r * time_s)) / (r - k)
        worst = max(worst, abs(float(worlds.order.mean()) - 1 + missing))
    return worst


def locality() -> float:
    """Largest change of a field where the beam did not fall, and by how little it changed less than a third there."""
    lit, dark = BeamSensitive(SEED), BeamSensitive(SEED)
    lit.expose(0, (-512.0, -128.0, 128.0, 512.0), 100.0 * 3840.0**2)
    for world in (lit, dark):
        world.advance_to(300.0)
    before, after = (world.fields()["order"][0].view(8, 8) for world in (dark, lit))
    lost = before - after
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[5:, :3] = True
    # A square of dose is mixed with its neighbour over its edge.
    border = torch.zeros(8, 8, dtype=torch.bool)
    border[4, :4] = border[4:, 3] = border[0, :4] = border[4:, 7] = True
    outside = float(lost[~inside & ~border].abs().max())
    return outside + max(0.0, 1 / 3 - float((lost[inside] / before[inside].clamp(min=1e-9)).mean()))


def swapped(expose: object) -> object:
    """Rows for columns."""
    return lambda world, one, box, electrons: expose(  # type: ignore[operator]
        world, one, (box[2], box[3], box[0], box[1]), electrons
    )


CHECKS = (
    Check(
        name="beam_sensitive: critical doses of five spots in diffraction patterns, relative",
        reference=DECAY,
        achieved=decay,
        tolerance=0.01,
        mutation=Mutation(
            "the decay of intensity taken for that of amplitude",
            BeamSensitive,
            "_amplitude",
            lambda it: lambda world, q, fluence, *rest, **out: it(world, q, 2 * fluence, *rest, **out),
        ),
        slow=True,
    ),
    Check(
        name="beam_sensitive: fading is of first order, relative",
        reference=DECAY,
        achieved=curvature,
        tolerance=0.01,
        mutation=Mutation(
            "fluence squared",
            BeamSensitive,
            "_amplitude",
            lambda it: lambda world, q, fluence, *rest, **out: it(world, q, fluence**2 / 50, *rest, **out),
        ),
        slow=True,
    ),
    Check(
        name="beam_sensitive: exponent of critical doses over frequency",
        reference="closed form: D_c ~ q^-p, p the seed's",
        achieved=exponent,
        tolerance=0.02,
        mutation=Mutation(
            "the sign of the exponent",
            Draw,
            "critical_e_per_A2",
            lambda it: lambda drawn, q: drawn.critical_dose_e_per_A2**2 / it(drawn, q),
        ),
        slow=True,
    ),
    Check(
        name="beam_sensitive: order without a beam, absolute",
        reference="closed form: two first-order steps in a row; 4000 grains, 0.008 is one sd",
        achieved=ordering,
        tolerance=0.025,
        mutation=Mutation("rates doubled", beam_sensitive, "pace", lambda it: lambda *given: 2 * it(*given)),
    ),
    Check(
        name="beam_sensitive: damage is where the beam fell and nowhere else",
        reference="beam off, same seed",
        achieved=locality,
        tolerance=1e-12,
        mutation=Mutation("rows for columns", BeamSensitive, "expose", swapped),
    ),
)
