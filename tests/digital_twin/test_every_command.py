"""Every valid command at every world gives finite data of the stated shape, or is refused with a reason."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digital_twin.instrument import Twin
from digital_twin.world import apparatus_of
from digital_twin.worlds import WORLDS, world_type
from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import SCANNED_MODES, Acquire, Command, Go, Holder, Mode, Optics, Settings
from hardware_bridge.microscope import execute

MODES: tuple[Mode, ...] = ("HAADF", "ABF", "BF", "HRTEM", "EELS", "EDS", "CBED", "4DSTEM")
EXAMPLES = 12
MOST_PIXELS = {"CBED": 2, "4DSTEM": 2, "EELS": 4, "EDS": 4}


def spread(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of any size between two, evenly over their logarithms."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


@st.composite
def commands(draw: st.DrawFn, extent_nm: float) -> Command:
    """Any command that there is: within what lenses and stage reach, and now and then beyond."""
    mode = draw(st.sampled_from(MODES))
    pixels = st.integers(1, MOST_PIXELS.get(mode, 24))
    place = st.one_of(st.floats(-0.6 * extent_nm, 0.6 * extent_nm), st.sampled_from((-1e5, 1e5)))
    small = st.floats(-2.0, 2.0)
    tilt = st.one_of(st.just(0.0), st.floats(-45.0, 45.0))
    focus = st.one_of(st.floats(-500.0, 500.0), st.floats(-6000.0, 6000.0))
    angle = st.floats(-math.pi, math.pi)
    return Command(
        id="any",
        go=Go(
            stage_x_nm=draw(place),
            stage_y_nm=draw(place),
            stage_z_nm=draw(st.floats(-300.0, 300.0)),
            tilt_alpha_deg=draw(tilt),
            tilt_beta_deg=draw(tilt),
            beam_shift_x_nm=draw(small),
            beam_shift_y_nm=draw(small),
            image_shift_x_nm=draw(small),
            scan_rotation_deg=draw(st.floats(-720.0, 720.0)),
            approach=draw(st.sampled_from(("direct", "from_negative"))),
        ),
        set=Settings(
            optics=Optics(
                beam_current_pA=draw(st.one_of(st.just(0.0), spread(0.1, 1e4), spread(1e-9, 1e12))),
                C10_nm=draw(focus),
                C12_nm=draw(st.floats(-20.0, 20.0)),
                phi12_rad=draw(angle),
                C21_nm=draw(st.floats(-100.0, 100.0)),
                phi21_rad=draw(angle),
                C23_nm=draw(st.floats(-100.0, 100.0)),
                phi23_rad=draw(angle),
                C30_um=draw(st.sampled_from((0.0, -5.0, 5.0, 1200.0))),
            ),
            holder=Holder(
                temperature_K=draw(st.one_of(st.none(), st.floats(0.0, 2000.0), spread(1.0, 1e18))),
                bias_V=draw(st.one_of(st.none(), st.floats(-1.0, 1.0), st.sampled_from((-1e15, 1e15)))),
                flow_nl_per_s=draw(st.one_of(st.none(), st.floats(0.0, 50.0), spread(1.0, 1e18))),
            ),
        ),
        acquire=Acquire(
            mode=mode,
            fov_nm=draw(st.one_of(spread(extent_nm / 500, extent_nm), spread(1e-6, 1e6))),
            pixels_x=draw(pixels),
            pixels_y=draw(pixels),
            dwell_s=draw(spread(1e-9, 1e-2)),
            max_frames=draw(st.sampled_from((1, 1, 3))),
            blanked=draw(st.booleans()),
        ),
    )


@pytest.mark.parametrize("name", WORLDS)
def test_every_command_is_refused_with_a_reason_or_gives_what_it_says(name: str):
    facts = world_type(name).facts
    world = world_type(name)(5)
    instrument = Twin(world, 5, apparatus=apparatus_of(facts))
    taken, refused = set(), list[tuple[str, str]]()

    @given(commands(facts.extent_nm))
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def holds(command: Command) -> None:
        before, able = instrument.state(), instrument.describe()
        acquire = command.acquire
        assert acquire is not None
        lit = instrument.dose.electrons.sum() + instrument.dose.outside
        try:
            seen = execute(instrument, command, 30.0)
        except Rejected as refusal:
            refused.append((refusal.path, refusal.limit))
            assert instrument.state() == before
            return
        assert seen.data is not None
        assert seen.data.shape == tuple(axis.size for axis in seen.axes)
        assert seen.data.shape[:2] == (acquire.pixels_y, acquire.pixels_x)
        assert seen.data.dtype == (np.uint32 if acquire.mode in ("EELS", "EDS") else np.uint16)
        assert np.isfinite(seen.data.astype(np.float64)).all()
        assert seen.electrons == pytest.approx(predict(command, before, able).electrons, rel=1e-9)
        current_pA = 0.0 if acquire.blanked else command.set.optics.beam_current_pA or 0.0
        lines = acquire.pixels_y if acquire.mode in SCANNED_MODES else 1
        probes = acquire.pixels_x * acquire.pixels_y if acquire.mode in SCANNED_MODES else 1
        beam_s = probes * acquire.dwell_s + (lines * able.flyback_s if acquire.mode in SCANNED_MODES else 0.0)
        beam_s *= acquire.max_frames
        assert seen.electrons == pytest.approx(current_pA * beam_s * ELECTRONS_PER_PA_S, rel=1e-9)
        now = instrument.dose.electrons.sum() + instrument.dose.outside
        assert now - lit == pytest.approx(seen.electrons, rel=1e-6, abs=1e-9 * max(now, 1.0))
        if not current_pA:
            assert not seen.data.any()
        assert all(torch.isfinite(values).all() for values in world.fields().values())
        taken.add(acquire.mode)

    holds()
    assert taken
    assert all(path.startswith(("acquire.", "go.", "set.")) and limit for path, limit in refused)
