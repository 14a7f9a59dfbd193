"""The report on synthetic worlds of the law: better than the prior, honest, and the prior where nothing was seen."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from agent.perception.kinetics import APPARENT_NM, driver_s
from agent.perception.reporter import Reporter
from hardware_bridge.report import Card, Particle, Percept, Target, prior_report
from hardware_bridge.words import validated

CELLS, EXTENT, TIMES = 4, 1024.0, (150.0, 300.0, 450.0, 600.0)
FIELDS = ("covered_fraction", "count", "mean_radius_nm")
PER_CELL = 2.5
TYPICAL_NM = 15.0


class World:
    """Particles born evenly over drive time that grow by the law and hardly ever meet."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.rate = 1.65 * math.exp(0.35 * rng.standard_normal())
        reaction_nm = 4.0 * math.exp(0.7 * rng.standard_normal())
        # Ripening and mergers that nobody sees: a looks larger, and growth at typical radii is what it is.
        self.reaction_nm = reaction_nm + rng.normal(*APPARENT_NM)
        self.pace = self.rate * (TYPICAL_NM + self.reaction_nm) / (TYPICAL_NM + reaction_nm)
        n = rng.poisson(PER_CELL * math.exp(0.5 * rng.standard_normal()) * CELLS**2)
        self.place = rng.uniform(-EXTENT / 2, EXTENT / 2, (n, 2))
        self.born = rng.uniform(0.0, driver_s(600.0), n)
        self.rng = rng

    def radii(self, time_s):
        square = (1.0 + self.reaction_nm) ** 2 + self.pace * (driver_s(time_s) - self.born)
        radius = np.sqrt(np.maximum(square, 0.0)) - self.reaction_nm
        return np.where(radius > 1.0, radius, 0.0)

    def truth(self):
        values = {name: np.zeros((len(TIMES), CELLS**2)) for name in FIELDS}
        column, row = np.floor((self.place + EXTENT / 2) / (EXTENT / CELLS)).astype(int).T
        for k, time_s in enumerate(TIMES):
            radius = self.radii(time_s)
            for c in range(CELLS**2):
                here = radius[(row * CELLS + column == c) & (radius > 0.0)]
                values["count"][k, c] = here.size
                values["covered_fraction"][k, c] = math.pi * (here**2).sum() / (EXTENT / CELLS) ** 2
                values["mean_radius_nm"][k, c] = here.mean() if here.size else 0.0
        return {**values, "growth_rate": np.array([self.rate])}

    def look(self, time_s, x, y, size=512.0):
        """A percept of a field: particles over 4 nm, radii to 2 %."""
        inside = (np.abs(self.place - (x, y)) < size / 2).all(axis=1)
        found = []
        for i in np.flatnonzero(inside & (self.radii(time_s) > 4.0)):
            radius = float(self.radii(time_s)[i])
            found.append(
                Particle(
                    track=int(i) + 1,
                    x_nm=float(self.place[i, 0]),
                    y_nm=float(self.place[i, 1]),
                    radius_nm=radius * (1.0 + 0.02 * self.rng.standard_normal()),
                    x_sd_nm=1.0,
                    y_sd_nm=1.0,
                    radius_sd_nm=0.02 * radius,
                    snr=20.0,
                )
            )
        return Percept(
            command_id="c",
            mode="HAADF",
            start_s=time_s - 1.0,
            end_s=time_s + 1.0,
            x_nm=x,
            y_nm=y,
            width_nm=size,
            height_nm=size,
            quality={"detection_limit_nm": 4.0, "incident_electrons": 0.0},
            particles=tuple(found),
        )


@pytest.fixture(scope="module")
def card():
    ensemble = [World(10_000 + seed).truth() for seed in range(100)]
    targets = []
    for name in FIELDS:
        values = np.array([t[name] for t in ensemble])
        mean, sd = values.mean(axis=(0, 2), keepdims=True), values.std(axis=(0, 2), keepdims=True)
        mean, sd = (np.broadcast_to(a[0], values.shape[1:]).ravel().tolist() for a in (mean, sd))
        targets.append(
            Target(
                name=name,
                kind="field",
                unit="",
                weight=1.0,
                prior_mean=tuple(mean),
                prior_sd=tuple(sd),
                crps_scale=1.0,
            )
        )
    for name, mean, sd in (("growth_rate", 1.75, 0.63), ("beam_coupling", 1.2, 0.62)):
        targets.append(
            Target(name=name, kind="global", unit="", weight=1.0, prior_mean=(mean,), prior_sd=(sd,), crps_scale=1.0)
        )
    return Card(
        world="growth",
        version=1,
        extent_nm=EXTENT,
        cells=CELLS,
        times_s=TIMES,
        duration_s=600.0,
        budget_electrons=1e8,
        max_fluence_e_per_A2=20.0,
        targets=tuple(targets),
        kernel={f"{name}.shared_share": 0.2 for name in FIELDS},
    )


def crps(mean, sd, value):
    z = np.abs(value - mean) / sd
    return sd * (z * (2 * ndtr(z) - 1) + 2 * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) - 1 / math.sqrt(math.pi))


def observed(card, seed, quadrants=((-1, -1), (1, -1), (1, 1), (-1, 1)), every_s=12.0):
    world = World(seed)
    reporter = Reporter(card)
    reporter.add(Percept(command_id="start", mode=None, start_s=0.0, end_s=0.0))
    for i, time_s in enumerate(np.arange(10.0, 595.0, every_s)):
        x, y = quadrants[i % len(quadrants)]
        reporter.add(world.look(float(time_s), 256.0 * x, 256.0 * y))
    return world, reporter


def test_nothing_seen_is_the_prior(card) -> None:
    assert Reporter(card).report() == prior_report(card)


def test_the_report_beats_the_prior_and_is_honest(card) -> None:
    z = {name: [] for name in (*FIELDS, "growth_rate")}
    for seed in range(8):
        world, reporter = observed(card, seed)
        report, truth, prior = validated(reporter.report()), world.truth(), prior_report(card)
        for name, scores in z.items():
            claimed, before = report.targets[name], prior.targets[name]
            mean, sd = np.array(claimed.mean), np.array(claimed.sd)
            true = truth[name].ravel()
            loss = crps(mean, sd, true).mean()
            assert loss < 0.5 * crps(np.array(before.mean), np.array(before.sd), true).mean() or name == "growth_rate"
            scores.extend((mean - true) / sd)
    for name, scores in z.items():
        # What is allowed for mergers and beads is not used up here.
        assert 0.15 < np.std(scores) < 1.25, name
        assert abs(np.mean(scores)) < 0.6, name


def test_cells_never_seen_keep_nearly_the_prior(card) -> None:
    _, reporter = observed(card, 1, quadrants=((-1, -1),))
    report = reporter.report()
    corner = np.arange(len(TIMES)) * CELLS**2 + CELLS**2 - 1
    for target in card.targets[:3]:
        sd = np.array(report.targets[target.name].sd)
        assert (sd[corner] > 0.8 * np.array(target.prior_sd)[corner]).all()
        assert (sd[corner - CELLS**2 + 1] < 0.5 * np.array(target.prior_sd)[corner]).all()
        assert (sd > 0.0).all()


def test_order_is_time_row_column(card) -> None:
    """One particle at high x and low y shows in the last column of the first row."""
    reporter = Reporter(card)
    world = World(0)
    world.place, world.born = np.array([[400.0, -400.0]]), np.array([0.0])
    reporter.add(Percept(command_id="start", mode=None, start_s=0.0, end_s=0.0))
    for x in (-256.0, 256.0):
        for y in (-256.0, 256.0):
            reporter.add(world.look(590.0, x, y))
    count = np.reshape(reporter.report().targets["count"].mean, (len(TIMES), CELLS, CELLS))
    assert np.unravel_index(count[-1].argmax(), (CELLS, CELLS)) == (0, CELLS - 1)


def test_targets_that_are_not_understood_keep_the_prior() -> None:
    target = Target(
        name="tilt", kind="global", unit="deg", weight=1.0, prior_mean=(1.0,), prior_sd=(2.0,), crps_scale=1.0
    )
    card = Card(
        world="measured",
        version=1,
        extent_nm=50.0,
        cells=1,
        times_s=(),
        duration_s=60.0,
        budget_electrons=1e8,
        max_fluence_e_per_A2=1e6,
        targets=(target,),
    )
    reporter = Reporter(card)
    reporter.add(World(0).look(10.0, 0.0, 0.0, 50.0))
    assert reporter.report() == prior_report(card)
