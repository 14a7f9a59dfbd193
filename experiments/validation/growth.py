"""The growth world with the beam off beside closed forms, what the beam adds, and what moves and blurs its images."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import j0, y0

from digital_twin import broadening, drift, growth, radiolysis, ripening
from digital_twin.conditions import STILL
from digital_twin.detectors import Column
from digital_twin.drift import Drift
from digital_twin.growth import Draw, GrowthWorld, draw
from digital_twin.imaging import expected_haadf
from digital_twin.liquid_cell import LiquidCell
from digital_twin.materials import COPPER, NITRIDE, WATER
from digital_twin.optics import Aberrations
from digital_twin.specimen import Grid
from experiments.validation.check import Check, Mutation

# Numbers of the world, written out so that a mistake in its own is not made here as well.
TICK_S, LAG_S, AREA_NM2 = 0.5, 20.0, 2560.0**2
EINSTEIN_nm3_PER_S = 1e27 * 1.380649e-23 * 298.0 / (6 * math.pi * 0.89e-3)
QUIET = Draw(0.0, 0.0, 0.0, 0.0, 300.0)
ZENER = "closed form: C. Zener, J. Appl. Phys. 20 (1949) 950, in series with attachment"
LSW = "closed form: I. M. Lifshitz and V. V. Slyozov (1961), C. Wagner (1961)"
WAGNER_LAW = "closed form: C. Wagner, Z. Elektrochem. 65 (1961) 581"
SMOLUCHOWSKI = "closed form: Smoluchowski's flux to a disc in a plane"


def worlds(some: int, parameters: Draw, flow_nl_per_s: float = 0.0) -> GrowthWorld:
    """Worlds of given parameters at 298 K, whose driver is where its set point is."""
    made = GrowthWorld(range(some), draws=[parameters] * some)
    made.set_holder(flow_nl_per_s, 298.0)
    made.driver.copy_(made.set_point)
    return made


def series(reaction_radius_nm: float, rate_nm2_per_s: float) -> float:
    """Largest relative deviation of (r^2 - r0^2) / K + 2 a (r - r0) / K from the time that has passed."""
    law = replace(QUIET, growth_rate_nm2_per_s=rate_nm2_per_s, reaction_radius_nm=reaction_radius_nm)
    world = worlds(1, law, flow_nl_per_s=5.0)
    start = torch.linspace(1.0, 3.0, 5, dtype=torch.float64)
    sites = np.argsort(-np.abs(world.position_nm[0].numpy()).max(axis=1))[:5].copy()
    world.radius_nm[0, sites] = start
    worst = 0.0
    for clock_s in (50.0, 100.0, 200.0):
        world.advance_to(clock_s)
        r = world.radius_nm[0, sites]
        took = ((r**2 - start**2) + 2 * reaction_radius_nm * (r - start)) / rate_nm2_per_s
        worst = max(worst, float((took / clock_s - 1).abs().max()))
    return worst


def attachment() -> float:
    """Relative deviation of dr/dt from K / 2a for particles far smaller than a."""
    law = replace(QUIET, growth_rate_nm2_per_s=2e4, reaction_radius_nm=1e5)
    world = worlds(1, law, flow_nl_per_s=5.0)
    world.radius_nm[0, 0] = 2.0
    world.advance_to(100.0)
    return abs((float(world.radius_nm[0, 0]) - 2.0) / 100.0 / 0.1 - 1)


def driver() -> float:
    """Relative deviation of the driver under twice the flow and ten kelvins more, after 20 s and after 400 s."""
    world, worst = worlds(1, QUIET), 0.0
    settled = 2 * math.exp(0.30 / 8.617333e-5 * (1 / 298.0 - 1 / 308.0))
    world.set_holder(10.0, 308.0)
    for clock_s in (20.0, 400.0):
        world.advance_to(clock_s)
        worst = max(worst, abs(float(world.driver[0]) / settled / -math.expm1(-clock_s / LAG_S) - 1))
    return worst


@cache
def coarsened(reaction_radius_nm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times as K t, mean radii, and std / mean, as 40,000 particles ripen to 1000, at every halving."""
    random = np.random.default_rng(1)
    radii = torch.from_numpy(10.0 * np.exp(0.06 * random.standard_normal((1, 40000))))
    attachment, way_nm3, seen = torch.full((1, 1), reaction_radius_nm, dtype=torch.float64), 0.0, []
    for left in (10000, 5000, 2500, 1250, 1000):
        while radii.shape[1] > left:
            mean = float(radii.mean())
            step = torch.full((1, 1), 0.02 * mean**2 * (mean + reaction_radius_nm), dtype=torch.float64)
            radii = ripening.ripened(radii, attachment, step)
            radii, way_nm3 = radii[radii > 0][None], way_nm3 + float(step)
        seen.append((way_nm3, float(radii.mean()), float(radii.std() / radii.mean())))
    times, means, spreads = np.array(seen).T
    return times, means, spreads


def ripening_slope() -> float:
    """Relative deviation of the slope of <r>^3 over K t from 4/9, from 10,000 to 1000 of 40,000 particles."""
    times, means, _ = coarsened(0.0)
    return abs(float(np.polyfit(times, means**3, 1)[0]) * 9 / 4 - 1)


def attached_slope() -> float:
    """Relative deviation of the slope of <r>^2 over K t / a from 32/81, where attachment limits ripening."""
    times, means, _ = coarsened(1e6)
    return abs(float(np.polyfit(times / 1e6, means**2, 1)[0]) * 81 / 32 - 1)


def ripening_spread() -> float:
    """Deviation of std / mean of the radii from 0.215, mean of five times from 10,000 to 1000 particles."""
    return abs(float(coarsened(0.0)[2].mean()) - 0.215)


def spreading() -> float:
    """Relative deviation of the mean square way in 10 s from 4 D t, of 19,000 particles of 0.5 to 2 nm."""
    diffusion_nm3_per_s, world = 0.1, worlds(16, replace(QUIET, hindrance=0.1 / EINSTEIN_nm3_PER_S))
    sizes = torch.linspace(0.5, 2.0, growth.SITES, dtype=torch.float64).expand_as(world.radius_nm)
    world.radius_nm.copy_(sizes)
    start = world.position_nm.clone()
    world.advance_to(10.0)
    kept = world.radius_nm == sizes
    square = ((world.position_nm - start) ** 2).sum(dim=-1) * sizes
    return abs(float(square[kept].mean()) / (4 * diffusion_nm3_per_s * 10.0) - 1)


def flux_nm2_per_s(diffusion_nm2_per_s: float, radius_nm: float, time_s: float) -> float:
    """What diffuses per s and unit density to a disc that has swallowed all that it met since time 0.

    8 D / pi times the integral of exp(-D u^2 t) / (J0^2(u R) + Y0^2(u R)) over ln u (Carslaw and Jaeger, 13.5). Below
    ln u R = -60, where Y0 is (2 / pi) (ln(u R / 2) + Euler's constant), it is done by hand: it is 2 to 4 % of the flux.
    """
    tau = diffusion_nm2_per_s * time_s / radius_nm**2

    def share(log_u: float) -> float:
        u = math.exp(log_u)
        return float(math.exp(-tau * u * u) / (j0(u) ** 2 + y0(u) ** 2))

    below = math.pi / 2 * (math.pi / 2 + math.atan(2 / math.pi * (-60.0 - math.log(2.0) + np.euler_gamma)))
    return 8 * diffusion_nm2_per_s / math.pi * (below + quad(share, -60.0, 0.5 * math.log(40.0 / tau), limit=800)[0])


def meeting(left: float, diffusion_nm2_per_s: float) -> float:
    """Relative deviation of the time to ``left`` N0 of 19,000 particles of 5 nm from 1/N = 1/N0 + integral k dt / 2.

    In a plane k falls as 1 / ln t (D = 0.5 nm^2/s: 6.0 nm^2/s after 100 s, 2.5 after 3600), so that the law with a
    constant K holds only for a while. This k is that of particles that have not merged; that merged ones are larger
    brings more encounters, that they are slower, fewer. Steps of a tick shorten the radius of an encounter by 0.5826 of
    their standard deviation.
    """
    radius, each_s = 5.0, 10.0 / diffusion_nm2_per_s
    world = worlds(16, replace(QUIET, hindrance=diffusion_nm2_per_s * radius / EINSTEIN_nm3_PER_S))
    world.radius_nm[:] = radius
    clocks: list[float] = []
    counts: list[int] = []
    while not counts or counts[-1] > left * counts[0]:
        # What overlaps from the start has merged after the first tick.
        world.advance_to(world.clock_s + (each_s * counts[0] / counts[-1] if counts else TICK_S))
        clocks.append(world.clock_s - TICK_S)
        counts.append(int((world.radius_nm > 0).sum()))
    reached_s = float(np.interp(-left * counts[0], -np.array(counts), clocks))
    times = np.geomspace(1e-2, 2 * reached_s, 80)
    encounter = 2 * radius - 0.5826 * math.sqrt(4 * diffusion_nm2_per_s * TICK_S)
    k = np.array([flux_nm2_per_s(2 * diffusion_nm2_per_s, encounter, float(t)) for t in times])
    met = np.concatenate([[0.0], np.cumsum(np.diff(times) * (k[1:] + k[:-1]) / 2)]) + times[0] * k[0]
    law = 1 / (1 + counts[0] / 16 / AREA_NM2 * met / 2)
    return abs(reached_s / float(np.interp(-left, -law, times)) - 1)


def volume() -> float:
    """Relative change of the volume of copper while hundreds of particles shake, meet and dissolve; none flows in."""
    law = replace(QUIET, hindrance=2.5 / EINSTEIN_nm3_PER_S, ripening_nm3_per_s=1.0)
    world = worlds(2, law)
    world.radius_nm[:] = torch.linspace(3.0, 8.0, growth.SITES, dtype=torch.float64)
    before = (world.radius_nm**3).sum(dim=1)
    world.advance_to(60.0)
    return float(((world.radius_nm**3).sum(dim=1) / before - 1).abs().max())


def autocorrelation() -> float:
    """Deviation of the autocorrelation of the specimen's wander after its time constant from 1/e; 3000 of them."""
    return abs(1 - float(moved_square(np.array([60.0]))[0]) / 2 - math.exp(-1))


def structure() -> float:
    """Largest relative deviation of the mean square way of the wander from 2 sd^2 (1 - exp(-t / tau))."""
    times_s = np.array([6.0, 30.0, 60.0, 240.0])
    return float(np.abs(moved_square(times_s) / (2 * -np.expm1(-times_s / 60.0)) - 1).max())


def moved_square(times_s: np.ndarray) -> np.ndarray:
    """Mean square ways of a wander with a time constant of 60 s, in units of its variance."""
    conditions = msgspec.structs.replace(STILL, wander_nm=3.0, wander_s=60.0)
    moved = np.array([Drift(seed, conditions).specimen_nm(times_s) for seed in range(1500)])
    return np.asarray((moved**2).mean(axis=(0, 2)) / 9.0)


def boost() -> float:
    """Largest relative deviation of d(r^2)/dt from K (1 + kappa / 2) under an even 0.025 e/A^2/s, of the first seed."""
    parameters = draw(5)
    law = replace(QUIET, growth_rate_nm2_per_s=parameters.growth_rate_nm2_per_s, beam_coupling=parameters.beam_coupling)
    world = worlds(1, law, flow_nl_per_s=5.0)
    half = 1536.0
    world.radius_nm[0, ::300] = 2.0
    squares = []
    for end_s in (60.0, 100.0):
        while world.clock_s < end_s:
            world.expose(0, (-half, half, -half, half), 0.025 * (20 * half) ** 2 * TICK_S)
            world.advance_to(world.clock_s + TICK_S)
        squares.append(world.radius_nm[0, ::300] ** 2)
    expected = parameters.growth_rate_nm2_per_s * (1 + parameters.beam_coupling / 2) * 40.0
    return float(((squares[1] - squares[0]) / expected - 1).abs().max())


def departure() -> float:
    """Gain of copper within 150 nm of a field under 3 e/A^2 in 100 s, of ten seeds together, short of a tenth."""
    lit, dark = GrowthWorld(range(10)), GrowthWorld(range(10))
    while lit.clock_s < 100.0:
        for index in range(10):
            lit.expose(index, (-128.0, 128.0, -128.0, 128.0), 3.0 / 200 * 2560.0**2)
        lit.advance_to(lit.clock_s + TICK_S)
    dark.advance_to(100.0)
    volumes = [float(((each.position_nm.abs() < 278.0).all(-1) * each.radius_nm**3).sum()) for each in (lit, dark)]
    return max(0.1 - (volumes[0] / volumes[1] - 1), 0.0)


def element() -> float:
    """Relative deviation of the widening by 100 nm of copper and by 150 nm of water from the formula by hand.

    sqrt(ln 2 / ln 10) of 6.25e5 / 2e5 sqrt(29^2 8.96 / 63.546) (1e-5)^1.5 cm, and of sqrt((64 + 2) / 18.015) for water.
    """
    copper = 0.54867 * 3.125 * math.sqrt(841 * 8.96 / 63.546) * math.pow(1e-5, 1.5) * 1e7
    water = 0.54867 * 3.125 * math.sqrt(66 * 1.0 / 18.015) * math.pow(1.5e-5, 1.5) * 1e7
    found = [broadening.broadening_fwhm_nm([layer], 200.0) for layer in ((COPPER, 100.0), (WATER, 150.0))]
    return max(abs(found[0] / copper - 1), abs(found[1] / water - 1))


def blur() -> float:
    """Relative deviation of what 30 nm of nitride and 150 nm of water above a particle add to its width in HAADF.

    By hand: a variance of FWHM^2 / 8 ln 2, in which the window counts with 180^3 - 150^3 nm^3. It is read from the
    spectrum at 0.1 per nm, exp(-2 pi^2 variance q^2), since tails of the probe have no variance.
    """
    square = 66 * 33.4 * 150.0**3 + (3 * 196 + 4 * 49) * 13.6 * (180.0**3 - 150.0**3)
    fwhm = 0.54867 * 3.125 * math.sqrt(square / 602.214 * 1e-21) * 1e7
    cell = LiquidCell(1)
    cell.world.radius_nm[0, 0], cell.world.position_nm[0, 0] = 4.0, torch.zeros(2, dtype=torch.float64)
    cell.debris_radius_nm[:] = 1e-6
    cell._window.drawn[:] = 0.0
    pixels = np.arange(96) - 47.5
    grid = Grid(np.stack([np.full(96, pixels[0]), pixels], axis=1), np.array([1.0, 0.0]), np.array([0.0, 1.0]), 96)
    at_0_1_per_nm = []
    for above in ((), ((NITRIDE, 30.0), (WATER, 150.0))):
        image = expected_haadf(cell, [grid], Column(above=above), [Aberrations()])[0].numpy()
        bright = image - image[0, 0]
        at_0_1_per_nm.append(bright.sum(0) @ np.cos(2 * math.pi * 0.1 * pixels) / bright.sum())
    damped = -math.log(float(at_0_1_per_nm[1] / at_0_1_per_nm[0]))
    return abs(damped / (2 * math.pi**2 * 0.1**2) / (fwhm**2 / (8 * math.log(2))) - 1)


def slipping(unite: Any) -> Any:
    """Merging that loses a thousandth of the radius."""

    def lossy(world: GrowthWorld, index: int, first: int, second: int) -> None:
        unite(world, index, first, second)
        world.radius_nm[index, [first, second]] *= 0.999

    return lossy


HALVED = Mutation(
    "radius for diameter in the flux: half of K", growth, "grown_nm", lambda it: lambda r, a, w: it(r, a, w / 2)
)
TWICE = Mutation("ripening twice as fast", ripening, "ripened", lambda it: lambda r, a, way: it(r, a, 2 * way))
WAGNER = Mutation("ripening limited by attachment", ripening, "excess", lambda it: lambda size: size * (size - 1))
ONE_WAY = Mutation("2 D t for 4 D t", growth, "diffusion_nm3_per_s", lambda it: lambda h, kelvin: it(h, kelvin) / 2)
SLOW = Mutation("wander of twice the time constant", drift, "Wander", lambda it: lambda sd, tau, r: it(sd, 2 * tau, r))
CHECKS = (
    Check("growth: r^2 over time, limited by diffusion, relative", ZENER, lambda: series(0.0, 2.0), 1e-9, HALVED),
    Check("growth: r over time, limited by attachment, relative", ZENER, attachment, 1e-3, HALVED),
    Check("growth: time to a radius where both limit, relative", ZENER, lambda: series(6.0, 2.0), 1e-9, HALVED),
    Check(
        name="growth: driver under flow and heat, relative",
        reference="closed form: flow, Arrhenius with 0.30 eV, first-order lag of 20 s",
        achieved=driver,
        tolerance=1e-6,
        mutation=Mutation("Boltzmann's constant doubled", growth, "BOLTZMANN_eV_PER_K", lambda it: 2 * it),
    ),
    Check("growth: slope of the cube of the mean radius in ripening, relative", LSW, ripening_slope, 0.15, TWICE),
    Check(
        "growth: slope of the square of it where attachment limits ripening", WAGNER_LAW, attached_slope, 0.15, TWICE
    ),
    Check("growth: std / mean of radii in ripening, absolute", LSW, ripening_spread, 0.03, WAGNER),
    Check(
        name="growth: mean square way on the window, relative",
        reference="closed form: 4 D t, D by Stokes and Einstein times the hindrance",
        achieved=spreading,
        tolerance=0.08,
        mutation=ONE_WAY,
    ),
    Check(
        name="growth: time in which a fifth has merged, relative",
        reference=SMOLUCHOWSKI,
        achieved=lambda: meeting(0.8, 0.5),
        tolerance=0.03,
        mutation=ONE_WAY,
        slow=True,
    ),
    Check(
        name="growth: time in which nine tenths have merged, relative",
        reference=SMOLUCHOWSKI,
        achieved=lambda: meeting(0.1, 8.0),
        tolerance=0.03,
        mutation=ONE_WAY,
        slow=True,
        unmet="the law leaves out that merged particles are slower, so that nine tenths take 5 % longer; with the "
        "diffusion and size of each, but still without the gaps that it left around it, it says 16 % too long",
    ),
    Check(
        name="growth: copper kept in ripening and coalescence, relative",
        reference="closed form: none is lost",
        achieved=volume,
        tolerance=1e-9,
        mutation=Mutation("a thousandth of the radius lost in merging", GrowthWorld, "_unite", slipping),
    ),
    Check(
        name="growth: what the beam adds to d(r^2)/dt, relative",
        reference="closed form: 1 + kappa / 2 at half of the reference dose rate",
        achieved=boost,
        tolerance=2e-3,
        mutation=Mutation("half as many radicals", radiolysis, "REFERENCE_E_PER_A2_S", lambda it: 2 * it),
    ),
    Check(
        name="growth: a tenth more copper under 3 e/A^2, short by",
        reference="beam off, same seed",
        achieved=departure,
        tolerance=0.0,
        mutation=Mutation("a beam that does nothing", GrowthWorld, "expose", lambda it: lambda *given: None),
        slow=True,
    ),
    Check("growth: wander of the specimen, autocorrelation at tau", "closed form: 1/e", autocorrelation, 0.05, SLOW),
    Check(
        name="growth: mean square of the wander, 0.1 to 4 tau, relative",
        reference="closed form: 2 sd^2 (1 - exp(-t / tau)), Ornstein and Uhlenbeck",
        achieved=structure,
        tolerance=0.08,
        mutation=SLOW,
    ),
    Check(
        name="growth: widening of the beam by copper and water, relative",
        reference="closed form: 6.25e5 (Z / E0) sqrt(rho / A) t^1.5",
        achieved=element,
        tolerance=5e-3,
        mutation=Mutation("n Z for n Z^2", broadening, "MOLE_PER_CM3", lambda it: it / 29),
    ),
    Check(
        name="growth: width that window and water give a particle in HAADF, relative",
        reference="closed form: the same, and variances add up",
        achieved=blur,
        tolerance=0.03,
        mutation=Mutation("standard deviation for FWHM", broadening, "FWHM_SHARE", lambda it: it * 2.3548),
    ),
)
