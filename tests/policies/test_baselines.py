"""What each baseline is for: tiles in order, one field, places at random, an expert's rule."""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.messages import Mode
from hardware_bridge.report import Particle, Percept
from policies.baseline import Baseline
from policies.catalogue import make, settings_type
from policies.expert import Expert, ExpertSettings
from policies.interface import Turn
from policies.raster import Raster, RasterSettings
from policies.refocusing import images_before, pair_offset_nm
from policies.staring import Staring, StaringSettings
from policies.tiles import nearest, tiles
from policies.uniform import Uniform, UniformSettings


def places(policy: Baseline, bench: Any, turns: int) -> list[tuple[float, float]]:
    """Where the plan goes, in whole nm, without anything being learned."""
    found = []
    for turn in range(turns):
        look = next(iter(policy.plan(bench.situation(turn))))
        found.append((round(look.point_nm[0]), round(look.point_nm[1])))
    return found


def test_tiles_cover_the_extent_as_a_serpentine() -> None:
    assert tiles(400.0, 2, 200.0) == [(-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (-100.0, 100.0)]
    assert tiles(400.0, 2, 300.0) == [(-50.0, -50.0), (50.0, -50.0), (50.0, 50.0), (-50.0, 50.0)]
    assert tiles(400.0, 2, 100.0, share=0.5) == [(-50.0, -50.0), (50.0, -50.0), (50.0, 50.0), (-50.0, 50.0)]
    assert nearest([(0.0, 0.0), (10.0, 0.0)], (7.0, 3.0)) == (10.0, 0.0)


def test_pairs_come_first_in_every_cycle() -> None:
    assert [pair_offset_nm(turn, 5, 300.0) for turn in range(6)] == [300.0, -300.0, 0.0, 0.0, 0.0, 300.0]
    assert [images_before(turn, 5) for turn in range(8)] == [0, 0, 0, 1, 2, 3, 3, 3]
    assert [pair_offset_nm(turn, 2, 300.0) for turn in range(3)] == [0.0, 0.0, 0.0]
    assert images_before(7, 0) == 7


def test_raster_visits_every_tile_once_a_round(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    raster = Raster(RasterSettings(tiles=3, refocus_every=0))
    raster.begin(bench.setup, 0)
    went = places(raster, bench, 18)
    assert len(set(went[:9])) == 9
    assert went[9:] == went[:9]
    repeated = Raster(RasterSettings(tiles=3, repeats=2, refocus_every=0))
    repeated.begin(bench.setup, 0)
    assert places(repeated, bench, 6)[::2] == places(repeated, bench, 6)[1::2] == went[:3]


def test_raster_takes_pairs_where_the_next_image_is(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    raster = Raster(RasterSettings(tiles=3, refocus_every=6))
    raster.begin(bench.setup, 0)
    went = places(raster, bench, 9)
    assert went[0] == went[1] == went[2]
    assert went[6] == went[7] == went[8] == tuple(round(v) for v in tiles(2048.0, 3, 512.0)[4])


def test_staring_stays(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    staring = Staring(StaringSettings(x_nm=100.0, y_nm=-200.0))
    staring.begin(bench.setup, 0)
    assert set(places(staring, bench, 5)) == {(100, -200)}


def test_random_places_stay_on_the_specimen(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    uniform = Uniform(UniformSettings(refocus_every=5))
    uniform.begin(bench.setup, 1)
    went = places(uniform, bench, 40)
    assert max(abs(v) for place in went for v in place) <= 1024 - 256
    assert len(set(went)) == 32
    assert went[5] == went[6]


def percept(x: float, y: float, end_s: float, radius_nm: float, sharpness: float = 0.8, real: float = 1.0) -> Percept:
    particle = Particle(
        track=1,
        x_nm=x,
        y_nm=y,
        radius_nm=radius_nm,
        x_sd_nm=1.0,
        y_sd_nm=1.0,
        radius_sd_nm=0.3,
        snr=20.0,
        real=real,
    )
    return Percept(
        command_id="c",
        mode="HAADF",
        start_s=end_s - 1.0,
        end_s=end_s,
        x_nm=x,
        y_nm=y,
        width_nm=512.0,
        height_nm=512.0,
        quality={"sharpness": sharpness},
        particles=(particle,),
    )


@pytest.fixture
def expert(make_bench: Callable[..., Any]) -> tuple[Expert, Any]:
    bench = make_bench()
    made = Expert(ExpertSettings(tiles=2, overview_every=0, spectrum_every=0, refocus_every=0))
    made.begin(bench.setup, 0)
    return made, bench


def feed(expert: Expert, bench: Any, index: int, seen: Percept | None) -> None:
    command = expert.suggest(bench.situation(index), 1)[0].command
    verdict = "approved" if seen else "refused"
    expert.ingest(Turn(index=index, command=command if seen else None, percept=seen, verdict=verdict, reason=""))


def test_expert_goes_back_to_what_grows(expert: tuple[Expert, Any]) -> None:
    policy, bench = expert
    corners = tiles(2048.0, 2, 512.0)
    for index, (x, y) in enumerate(corners):
        assert places(policy, bench, 1)[0] == (round(x), round(y))
        feed(policy, bench, index, percept(x, y, 20.0 + index, 5.0))
    for index, (x, y) in enumerate(corners):
        feed(policy, bench, 4 + index, percept(x, y, 60.0, 9.0 if index == 2 else 5.1))
    bench.state = bench.state.__class__(
        **{f: getattr(bench.state, f) for f in bench.state.__struct_fields__} | {"clock_s": 100.0}
    )
    look = next(iter(policy.plan(bench.situation(8))))
    assert look.point_nm == corners[2]
    assert "grew" in look.reason


def test_expert_refocuses_when_sharpness_drops(expert: tuple[Expert, Any]) -> None:
    policy, bench = expert
    for index in range(4):
        feed(policy, bench, index, percept(-512.0, -512.0, 20.0 + index, 5.0))
    assert policy.memory.pair_left == 0
    feed(policy, bench, 4, percept(-512.0, -512.0, 30.0, 5.0, sharpness=0.3))
    offsets = []
    for index in (5, 6):
        look = next(iter(policy.plan(bench.situation(index))))
        offsets.append(look.C10_offset_nm)
        feed(policy, bench, index, percept(-512.0, -512.0, 31.0 + index, 5.0))
    assert offsets == [400.0, -400.0]
    assert next(iter(policy.plan(bench.situation(7)))).C10_offset_nm == 0.0


def test_a_refused_pair_is_not_asked_for_for_ever(expert: tuple[Expert, Any]) -> None:
    policy, bench = expert
    policy.memory.pair_at, policy.memory.pair_left = (0.0, 0.0), 2
    for index in range(2):
        feed(policy, bench, index, None)
    assert next(iter(policy.plan(bench.situation(2)))).C10_offset_nm == 0.0


def test_expert_takes_a_spectrum_of_what_is_not_known(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    policy = Expert(ExpertSettings(spectrum_every=3, refocus_every=0))
    policy.begin(bench.setup, 0)
    feed(policy, bench, 0, percept(100.0, 100.0, 20.0, 6.0, real=0.5))
    look = next(iter(policy.plan(bench.situation(2))))
    assert (look.view.mode, look.point_nm) == ("EELS", (100.0, 100.0))
    told = Percept(command_id="c", mode="EELS", start_s=21.0, end_s=22.0, x_nm=100.0, y_nm=100.0)
    feed(policy, bench, 2, told)
    assert next(iter(policy.plan(bench.situation(5)))).view.mode == "HAADF"


def centre(proposal: Any, bench: Any) -> tuple[float, float]:
    return field_centre_nm(proposal.command.go, bench.setup.capabilities)


def test_drift_is_allowed_for(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    staring = Staring(StaringSettings(refocus_every=0))
    staring.begin(bench.setup, 0)
    first = staring.suggest(bench.situation(0), 1)[0]
    staring.ingest(Turn(0, first.command, percept(30.0, -20.0, 20.0, 5.0), "approved", ""))
    second = staring.suggest(bench.situation(1), 1)[0]
    assert centre(second, bench) == pytest.approx((-30.0, 20.0))


@pytest.mark.parametrize("policy", ["raster", "staring", "random", "expert", "bayes"])
def test_focus_is_not_moved_where_images_do_not_answer_to_it(policy: str, make_bench: Callable[..., Any]) -> None:
    tuned = {} if policy == "bayes" else {"refocus_every": 5}
    settings = msgspec.convert(tuned, settings_type(policy))

    def refocused(unresponsive: dict[Mode, tuple[str, ...]]) -> int:
        bench = make_bench()
        able = replace(bench.setup.capabilities, unresponsive=unresponsive)
        bench.setup = dataclasses.replace(bench.setup, capabilities=able)
        made = make(policy, settings)
        made.begin(bench.setup, 0)
        bench.run(made, 15)
        assert len(bench.shown) == 15
        return sum("efocus" in shown[0].reason for shown in bench.shown)

    assert refocused({}) > 0
    assert refocused({"HAADF": ("C10_nm",)}) == 0
