"""What is proposed elsewhere is done where somebody wants it looked at."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.messages import Box, Range
from policies.commands import View
from policies.raster import Raster, RasterSettings
from policies.within import Within

REGION = Box(x=Range(low=-300.0, high=300.0), y=Range(low=400.0, high=700.0))
SMALL = Box(x=Range(low=-950.0, high=-900.0), y=Range(low=-20.0, high=0.0))


@pytest.fixture
def policy(bench: Any) -> Within:
    return begun(bench, REGION)


def begun(bench: Any, *regions: Box) -> Within:
    made = Within(Raster(RasterSettings(view=View(fov_nm=128.0, pixels=64, dwell_s=1e-6))), regions)
    made.begin(bench.setup, 1)
    return made


def places(bench: Any) -> list[tuple[float, float]]:
    return [(turn.percept.x_nm, turn.percept.y_nm) for turn in bench.turns]


def test_every_look_lies_in_the_region_and_all_of_it_is_seen(bench: Any, policy: Within) -> None:
    bench.run(policy, 40)
    found = places(bench)
    assert len(found) == 40
    # Fields are placed by what drift was known; it has gone on since by a nm or two.
    assert all(abs(x) < 300.0 - 60.0 and 460.0 < y < 640.0 for x, y in found)
    tiles = [(x, y) for y in (464.0, 550.0, 636.0) for x in (-236.0, -118.0, 0.0, 118.0, 236.0)]
    assert all(any(abs(x - a) < 30.0 and abs(y - b) < 30.0 for x, y in found) for a, b in tiles)


def test_how_to_look_stays_the_policys(bench: Any, policy: Within) -> None:
    alone = Raster(RasterSettings(view=View(fov_nm=128.0, pixels=64, dwell_s=1e-6)))
    alone.begin(bench.setup, 1)
    situation = bench.situation(0)
    for mine, its in zip(policy.suggest(situation, 3), alone.suggest(situation, 3), strict=True):
        assert replace(mine.command, go=its.command.go) == its.command
        assert mine.reason.startswith(its.reason)
        assert mine.reason.endswith("nm, in what is to be looked at")


def test_what_lies_inside_stays(bench: Any) -> None:
    everywhere = Box(x=Range(low=-2000.0, high=2000.0), y=Range(low=-2000.0, high=2000.0))
    policy, alone = begun(bench, everywhere), Raster(RasterSettings(view=View(fov_nm=128.0, pixels=64, dwell_s=1e-6)))
    alone.begin(bench.setup, 1)
    assert policy.suggest(bench.situation(0), 4) == alone.suggest(bench.situation(0), 4)


def test_of_two_regions_both_are_seen_and_a_small_one_in_its_middle(bench: Any) -> None:
    bench.run(begun(bench, REGION, SMALL), 20)
    small = [(x, y) for x, y in places(bench) if x < -500.0]
    assert small
    assert all(abs(x + 925.0) < 4.0 and abs(y + 10.0) < 4.0 for x, y in small)
    proposal = bench.shown[0][0]
    x, y = field_centre_nm(proposal.command.go, bench.setup.capabilities)
    assert (x, y) == pytest.approx((-236.0, 464.0))
