"""Cells counted: tracks carried by the law, and births that no look could show."""

import math
from dataclasses import replace

import numpy as np
import pytest

from agent.perception.census import take_census
from agent.perception.chronicle import Chronicle
from agent.perception.kinetics import Growth, driver_s
from hardware_bridge.report import Card, Particle, Percept, Target

CELLS, TIMES = 4, (150.0, 300.0, 450.0, 600.0)
RATE = 1.5
KNOWN = Growth(rate=(RATE, 0.01), coupling=(1.0, 0.01))


def card():
    values = len(TIMES) * CELLS**2
    count = Target(
        name="count",
        kind="field",
        unit="",
        weight=1.0,
        prior_mean=(2.0,) * values,
        prior_sd=(1.8,) * values,
        crps_scale=1.0,
    )
    return Card(
        world="growth",
        version=1,
        extent_nm=1024.0,
        cells=CELLS,
        times_s=TIMES,
        duration_s=600.0,
        budget_electrons=1e8,
        max_fluence_e_per_A2=20.0,
        targets=(count,),
    )


def look(start_s, particles=(), x=0.0, width=1024.0):
    return Percept(
        command_id="c",
        mode="HAADF",
        start_s=start_s - 1.0,
        end_s=start_s + 1.0,
        x_nm=x,
        width_nm=width,
        height_nm=1024.0,
        quality={"detection_limit_nm": 3.0},
        particles=tuple(particles),
    )


def particle(track, x, y, radius, real=1.0):
    return Particle(
        track=track,
        x_nm=x,
        y_nm=y,
        radius_nm=radius,
        x_sd_nm=2.0,
        y_sd_nm=2.0,
        radius_sd_nm=0.1,
        snr=30.0,
        real=real,
    )


def census_of(*looks, known=KNOWN):
    chronicle = Chronicle(card())
    chronicle.add(Percept(command_id="start", mode=None, start_s=0.0, end_s=0.0))
    for one in looks:
        chronicle.add(one)
    return take_census(chronicle, card(), known)


def test_one_late_look_tells_the_past() -> None:
    """A particle seen at 590 s was there at 450 s with r^2 smaller by K dF, and not yet at 150 s."""
    square = 1.0 + RATE * 300.0
    census = census_of(look(590.0, [particle(1, -384.0, -384.0, math.sqrt(square))]))
    there = census.mean["count"][:, 0]
    assert there[0] < 0.1
    assert there[2] == pytest.approx(1.0, abs=0.08)
    before = math.sqrt(square - RATE * float(driver_s(590.0) - driver_s(450.0)))
    assert census.mean["mean_radius_nm"][2, 0] == pytest.approx(before, rel=0.07)
    area = math.pi * before**2 / 256.0**2
    assert census.mean["covered_fraction"][2, 0] == pytest.approx(area, rel=0.15)
    assert census.seen.tolist() == [1.0] * 16


def test_where_attachment_limits_the_past_was_larger() -> None:
    """By (r + a)^2 = (r0 + a)^2 + K dF a particle that is as large at 590 s was larger at 450 s, and born earlier."""
    radius, a = 18.0, 8.0
    census = census_of(look(590.0, [particle(1, -384.0, -384.0, radius)]), known=replace(KNOWN, reaction_nm=a))
    grown = RATE * float(driver_s(590.0) - driver_s(450.0))
    before = math.sqrt((radius + a) ** 2 - grown) - a
    assert before > math.sqrt(radius**2 - grown) + 2.0
    assert census.mean["mean_radius_nm"][2, 0] == pytest.approx(before, rel=0.07)


def test_one_early_look_leaves_births_to_come() -> None:
    census = census_of(look(150.0))
    count, var = census.mean["count"][:, 5], census.var["count"][:, 5]
    assert count[0] < 0.3
    assert (np.diff(count) > 0.2).all()
    assert (np.diff(var) > 0.0).all()
    # Fewer than the card has it: nothing was seen in a quarter of the time.
    assert count[-1] < 2.0


def test_debris_does_not_count() -> None:
    census = census_of(look(590.0, [particle(1, -384.0, -384.0, 20.0, real=0.01)]))
    assert census.mean["count"][-1, 0] < 0.3


def test_a_particle_on_the_border_counts_half_on_either_side() -> None:
    census = census_of(look(590.0, [particle(1, -256.0, -384.0, 20.0)]))
    left, right = census.mean["count"][-1, :2] - census.mean["count"][-1, 3]
    assert left == pytest.approx(0.5, abs=0.05)
    assert right == pytest.approx(0.5, abs=0.05)
    assert census.var["count"][-1, 0] > 0.25


def test_half_a_cell_seen_stands_for_half() -> None:
    census = census_of(look(590.0, (), x=-448.0, width=128.0))
    half, none = census.mean["count"][-1, 0], census.mean["count"][-1, 5]
    assert census.seen[0] == pytest.approx(0.5)
    assert 0.3 < half / none < 0.7


def test_exposure_is_taken_back() -> None:
    """What the beam has made grow faster is smaller in the world without it."""
    plain = census_of(look(400.0, [particle(1, -384.0, -384.0, 20.0)]))
    chronicle = Chronicle(card())
    chronicle.add(Percept(command_id="start", mode=None, start_s=0.0, end_s=0.0))
    chronicle.chart.radical_s += 50.0
    chronicle.add(look(400.0, [particle(1, -384.0, -384.0, 20.0)]))
    exposed = take_census(chronicle, card(), KNOWN)
    k = 1
    assert exposed.mean["covered_fraction"][k, 0] < plain.mean["covered_fraction"][k, 0]
    drop = plain.mean["mean_radius_nm"][k, 0] ** 2 - exposed.mean["mean_radius_nm"][k, 0] ** 2
    assert drop == pytest.approx(RATE * 50.0, rel=0.1)
