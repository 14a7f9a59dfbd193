"""Null microscope of temscript behind the bridge: the contract, units both ways, clamping noticed, deaths survived."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract import CHECKS, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from processes import wait_until

from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError
from hardware_bridge.messages import Acquire, Command, Go, Optics, Settings
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.wire import Unknown

sys.path.insert(0, str(Path(__file__).parent))
from null_column import Bridge, NullColumn

SILENCE_S = 10.0
FIELD_NM = 24.0 * 1e3 * 512 / 100_000.0  # a quarter of 2048 pixels of 24 um at 100,000 x
STAGE = ("stage_x_nm", "stage_y_nm", "stage_z_nm", "tilt_alpha_deg", "tilt_beta_deg")
SHIFTS = ("beam_shift_x_nm", "beam_shift_y_nm", "image_shift_x_nm", "image_shift_y_nm")
names = (f"c{number}" for number in range(10**6))


def exposure(name: str, frames: int, dwell_s: float = 0.04, fov_nm: float = FIELD_NM) -> Command:
    acquire = Acquire(mode="HRTEM", fov_nm=fov_nm, pixels_x=64, pixels_y=64, dwell_s=dwell_s, max_frames=frames)
    return Command(id=name, acquire=acquire)


@pytest.fixture(scope="module")
def column(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NullColumn]:
    started = NullColumn(tmp_path_factory.mktemp("column"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def client(column: NullColumn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    column.as_at_start()
    with Bridge(column, tmp_path_factory.mktemp("bridge")) as bridge, Client(bridge.endpoint) as made:
        yield made


def test_nothing_is_exposed_before_the_operator_has_opened_the_column(column: NullColumn, client: Client) -> None:
    assert client.state().beam_blanked
    assert column.get("beam_blanked")
    assert "valves_open" in refusal(client, exposure("closed", 1))[1]
    column.put("column_valves_open", True)
    assert "screen_up" in refusal(client, exposure("dark", 1))[1]
    column.ready()
    assert not execute(client, exposure("open", 1), SILENCE_S).aborted


def test_capabilities_are_those_of_the_column(column: NullColumn, client: Client) -> None:
    can = client.describe()
    assert (can.beam_energy_keV, can.modes, can.holder_channels) == (column.get("voltage"), ("HRTEM",), ())
    assert can.convergence_semi_angle_mrad == pytest.approx(1e3 * column.get("convergence_angle"))
    assert client.state().optics.beam_current_pA == pytest.approx(1e12 * column.get("screen_current"))
    assert 0.1 < can.blank_latency_s < 0.18


nm = st.floats(-800e3, 800e3)
small_nm = st.floats(-2000.0, 2000.0)
deg = st.floats(-20.0, 20.0)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=nm, y=nm, z=st.floats(-190e3, 190e3), alpha=deg, beta=deg, beam=small_nm, image=small_nm, c10=small_nm)
def test_units_go_there_and_back(
    column: NullColumn,
    client: Client,
    x: float,
    y: float,
    z: float,
    alpha: float,
    beta: float,
    beam: float,
    image: float,
    c10: float,
) -> None:
    go = Go(stage_x_nm=x, stage_y_nm=y, stage_z_nm=z, tilt_alpha_deg=alpha, tilt_beta_deg=beta)
    shifts = Go(beam_shift_x_nm=beam, beam_shift_y_nm=-beam, image_shift_x_nm=image, image_shift_y_nm=2.0)
    execute(client, Command(id=next(names), go=go), SILENCE_S)
    execute(client, Command(id=next(names), go=shifts, set=Settings(optics=Optics(C10_nm=c10))), SILENCE_S)

    # There: what temscript itself says, in m and rad; its defocus is negative in underfocus, where C10 is.
    stage = column.get("stage_position")
    assert [stage[axis] for axis in "xyz"] == pytest.approx([x * 1e-9, y * 1e-9, z * 1e-9], rel=1e-12, abs=1e-21)
    radians = 3.141592653589793 / 180.0
    assert [stage[axis] for axis in "ab"] == pytest.approx([alpha * radians, beta * radians], rel=1e-12, abs=1e-15)
    assert column.get("beam_shift") == pytest.approx([beam * 1e-9, -beam * 1e-9], rel=1e-12, abs=1e-21)
    assert column.get("image_shift") == pytest.approx([image * 1e-9, 2e-9], rel=1e-12, abs=1e-21)
    assert column.get("defocus") == pytest.approx(c10 * 1e-9, rel=1e-12, abs=1e-21)

    # And back.
    state = client.state()
    asked = {name: getattr(go, name) for name in STAGE} | {name: getattr(shifts, name) for name in SHIFTS}
    assert {name: getattr(state.go, name) for name in asked} == pytest.approx(asked, rel=1e-12, abs=1e-9)
    assert state.optics.C10_nm == pytest.approx(c10, rel=1e-12, abs=1e-9)


def test_half_a_shift_leaves_the_other_half(column: NullColumn, client: Client) -> None:
    column.put("beam_shift", [1e-8, 2e-8])
    execute(client, Command(id="half", go=Go(beam_shift_x_nm=-30.0)), SILENCE_S)
    assert column.get("beam_shift") == pytest.approx([-3e-8, 2e-8])


def test_images_that_the_camera_does_not_take_are_refused(client: Client) -> None:
    said = refusal(client, exposure("wide", 1, fov_nm=2 * FIELD_NM))[1]
    assert "acquire.fov_nm = 64 x 64 pixels on 245.76 nm refused (image)" in said
    assert "64 pixels on 122.88 nm" in said


def test_what_cannot_be_set_is_refused(client: Client) -> None:
    assert "from_negative" in refusal(client, Command(id="x", go=Go(stage_x_nm=1.0, approach="from_negative")))[1]
    assert "beam_current_pA" in refusal(client, Command(id="x", set=Settings(optics=Optics(beam_current_pA=1.0))))[1]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(column: NullColumn, client: Microscope, check) -> None:  # type: ignore[no-untyped-def]
    column.ready()
    check(client, exposure)
    assert column.get("beam_blanked")


def test_silent_clamping_is_noticed_before_any_exposure(column: NullColumn, tmp_path: Path) -> None:
    """The lab's limits allow 1.5 mm, the stage ends at 1 mm and says nothing."""
    column.as_at_start()
    column.ready()
    column.put("stage_position?method=GO", {"x": 1.5e-3})
    assert column.get("stage_position")["x"] == 1e-3
    column.as_at_start()
    before = len(column.requests())
    with Bridge(column, tmp_path / "bridge", "--stage-um", "2000") as bridge, Client(bridge.endpoint) as client:
        column.ready()
        far = replace(exposure("far", 1), go=Go(stage_x_nm=1.5e6))
        seen = execute(client, far, SILENCE_S)
        assert seen.aborted
        assert seen.reason.startswith("go.stage_x_nm = 1500000 reads back 1000000: tolerance")
        assert (seen.electrons, seen.electrons_charged) == (0.0, 0.0)
        moved = execute(client, Command(id="moved", go=Go(stage_y_nm=-1.2e6)), SILENCE_S)
        assert moved.aborted
        assert moved.reason.startswith("go.stage_y_nm = -1200000 reads back -1000000: tolerance")
        assert column.get("beam_blanked")
        # It goes on: within what the stage can do the same is done.
        near = replace(exposure("near", 1), go=Go(stage_x_nm=0.5e6, stage_y_nm=0.0))
        asked = column.requests()[before:]
        assert "PUT /v1/stage_position?method=GO" in asked
        assert not [request for request in asked if request.startswith("GET /v1/acquire")]
        assert execute(client, near, SILENCE_S).state.go.stage_x_nm == pytest.approx(0.5e6)


def test_a_server_killed_in_mid_command_leaves_it_unknown_and_the_beam_line_blank(tmp_path: Path) -> None:
    column = NullColumn(tmp_path)
    try:
        with Bridge(column, tmp_path / "bridge") as bridge, Client(bridge.endpoint) as client:
            column.ready()
            client.submit(exposure("cut", 100))
            parts = client.watch(SILENCE_S)
            for _ in range(3):
                next(parts)
            assert not bridge.beam.is_blanked
            column.process.kill()
            killed_s = time.monotonic()
            with pytest.raises(BridgeError, match=r"temscript .*(RemoteDisconnected|ConnectionRefused|BadStatusLine)"):
                for _ in parts:
                    pass
            assert bridge.beam.is_blanked
            assert (bridge.beam.changed_ns * 1e-9 - killed_s) < 0.5
            assert isinstance(client.fate("cut"), Unknown)
            with pytest.raises(BridgeError):
                client.submit(exposure("after", 1))
    finally:
        column.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_bridge_that_dies_or_freezes_leaves_the_column_blanked(
    column: NullColumn, tmp_path: Path, number: signal.Signals
) -> None:
    for attempt in range(4):
        column.as_at_start()
        with Bridge(column, tmp_path / f"bridge-{attempt}") as bridge, Client(bridge.endpoint) as client:
            column.ready()
            client.submit(exposure("cut", 100, dwell_s=0.1))
            parts = client.watch(SILENCE_S)
            next(parts)
            while column.get("beam_blanked"):
                next(parts)  # which also keeps the heart beating
            bridge.process.send_signal(number)
            struck_s = time.monotonic()
            try:
                wait_until(lambda: column.get("beam_blanked"))
            except TimeoutError:
                # Frozen in the middle of a request, it holds temscript's server: what that means is in RESULT.md.
                assert number == signal.SIGSTOP
                bridge.process.kill()
                continue
            first_s = time.monotonic() - struck_s
            time.sleep(max(0.0, 0.5 - first_s))
            assert column.get("beam_blanked")
            assert bridge.beam.is_pulled
            return
    pytest.fail("four freezes out of four fell into a request")
