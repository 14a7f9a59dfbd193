"""de-twin behind the bridge, over the wire: the contract, read-backs, refusals, and the beam when the bridge dies."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract import CHECKS, Acquisition
from foreign import ROOT, python_of
from processes import wait_until

from experiments.foreign_detwin.running import Microscope, microscope
from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError, Rejected
from hardware_bridge.messages import Acquire, Command, Go, Holder, Optics, Settings
from hardware_bridge.microscope import execute

# The first start of all compiles de-twin's kernels.
pytestmark = pytest.mark.timeout(300)

SILENCE_S = 40.0
FOV_NM = 384.0


def exposure(name: str, frames: int = 1, **fields: object) -> Command:
    """A command for images of 512 x 512 pixels."""
    asked = {"fov_nm": FOV_NM, "pixels_x": 512, "pixels_y": 512, "dwell_s": 0.1, "max_frames": frames, **fields}
    return Command(id=name, acquire=Acquire(mode="HRTEM", **asked))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def detwin() -> Iterator[Microscope]:
    with microscope(python_of("detwin"), seed=3) as made:
        yield made


@pytest.fixture(scope="module")
def endpoint(detwin: Microscope, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with detwin.served(tmp_path_factory.mktemp("detwin")) as endpoint:
        yield endpoint


@pytest.fixture
def client(endpoint: str) -> Iterator[Client]:
    with Client(endpoint) as made:
        yield made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(client: Client, check: Callable[[Client, Acquisition], None]) -> None:
    check(client, exposure)


def test_what_is_set_reads_back_and_is_so(client: Client, detwin: Microscope) -> None:
    before = client.state().optics.C10_nm
    assert before is not None
    offset_nm = detwin.truth()["C10_nm"] - before
    assert abs(offset_nm) > 100.0  # or it would not show that the zero of the lens is not focus
    wanted = Settings(optics=Optics(C10_nm=-1444.805, C12_nm=80.0, phi12_rad=0.7), holder=Holder(temperature_K=400.0))
    go = Go(stage_x_nm=48000.0, stage_y_nm=-40000.0, stage_z_nm=250.0, tilt_alpha_deg=3.0, tilt_beta_deg=-2.0)
    seen = execute(client, Command(id="set", go=go, set=wanted), SILENCE_S)
    assert not seen.aborted, seen.reason  # though the column answers six digits
    now = client.state()
    for name in ("stage_x_nm", "stage_y_nm", "stage_z_nm", "tilt_alpha_deg", "tilt_beta_deg"):
        assert getattr(now.go, name) == pytest.approx(getattr(go, name), abs=1e-3)
    assert (now.optics.C10_nm, now.optics.C12_nm, now.optics.phi12_rad) == pytest.approx(
        (-1444.805, 80.0, 0.7), abs=0.01
    )
    wait_until(lambda: abs((client.state().holder.temperature_K or 0.0) - 400.0) < 0.1)
    truth = detwin.truth()
    assert truth["C10_nm"] == pytest.approx(-1444.805 + 250.0 + offset_nm, abs=0.01)
    execute(client, Command(id="back", go=Go(stage_z_nm=0.0, tilt_alpha_deg=0.0, tilt_beta_deg=0.0)), SILENCE_S)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (exposure("few", pixels_x=256, pixels_y=256), "512 x 512"),
        (exposure("wide", fov_nm=500.0), "384 at this magnification"),
        (exposure("odd", dwell_s=0.12), "a multiple of 0.1 s"),
        (Command(id="shift", go=Go(beam_shift_x_nm=10.0)), "beam_shift_x_nm"),
        (Command(id="cs", set=Settings(optics=Optics(C30_um=1.0))), "C30_um"),
        (Command(id="far", go=Go(stage_x_nm=2e5)), "-100000..100000"),
    ],
    ids=lambda value: value.id if isinstance(value, Command) else "",
)
def test_what_it_cannot_do_is_refused_by_name(client: Client, command: Command, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        client.submit(command)


def there(code: str, detwin: Microscope) -> str:
    """Run code in de-twin's environment, with the column's port in PORT; returns what it printed."""
    program = f"PORT = {detwin.sheet['column']}\n{code}"
    command = [str(python_of("detwin")), "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.slow
def test_a_value_that_the_column_clamps_in_silence_is_noticed(detwin: Microscope) -> None:
    code = """
from experiments.foreign_detwin.column import Column
from hardware_bridge.messages import Command, Go
from hardware_bridge.read_back import mismatch
column = Column("127.0.0.1", PORT)
far = Command(id="far", go=Go(tilt_beta_deg=31.0))
column.apply(far, lambda: False)
print(mismatch(far, column.read(), {}))
column.apply(Command(id="back", go=Go(tilt_beta_deg=0.0)), lambda: False)
"""
    assert there(code, detwin).strip() == "go.tilt_beta_deg = 31 reads back 30: tolerance 3.1e-05"


@pytest.mark.slow
def test_lenses_that_somebody_else_has_changed_are_noticed(client: Client, detwin: Microscope) -> None:
    code = """
from de_twin.column.soap import SoapTemChannelClient
SoapTemChannelClient("127.0.0.1", PORT).set("SpotSize", {})
"""
    there(code.format(1), detwin)
    with pytest.raises(Rejected, match="changed"):
        client.submit(exposure("brighter"))
    there(code.format(3), detwin)
    execute(client, exposure("as-before"), SILENCE_S)


def test_a_dead_bridge_leaves_the_beam_blank(detwin: Microscope, tmp_path: Path) -> None:
    """The line from the supervisor reaches the column; that the bridge pulls it in time is tested beside the bridge.

    There is no deadline of half a second here: de-twin itself answers nobody while it computes an image.
    """
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(stack.enter_context(detwin.served(tmp_path))))
        client.submit(exposure("long", dwell_s=10.0))
        wait_until(lambda: not detwin.beam()["is_blanked"])
        detwin.kill_server()
        wait_until(lambda: bool(detwin.beam()["is_blanked"]))
        with contextlib.suppress(BridgeError):
            client.close()


@pytest.mark.slow
def test_the_snippet_of_the_documentation_runs(tmp_path: Path) -> None:
    python_of("detwin")
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "detwin.md").read_text(), flags=re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 0.0
