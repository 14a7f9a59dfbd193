"""Nion Swift's simulator behind the bridge: the contract, over the wire, and what its driver makes of its units."""

import io
import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from bench import LIMITS, Bench, scan
from contract import BAD_COMMANDS, CHECKS, refusal
from foreign import ROOT, python_of, served
from msgspec.structs import replace
from numpy.typing import NDArray

from agent.config import dump, load
from agent.perception.surveyor import SurveyorSettings
from agent.reading import open_run
from agent.watched import Watched
from experiments.foreign_usim.__main__ import flakes as flakes_there
from experiments.foreign_usim.__main__ import run
from experiments.foreign_usim.judge import judge
from hardware_bridge.client import Client
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Acquire, Command, End, Go, Holder, Mode, Optics, Range, Settings, Start
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk, Part

CONFIG = ROOT / "experiments/foreign_usim/config.toml"
SILENCE_S = 5.0
MORE = {
    "C12_nm": (0.0, 500.0),
    "phi12_rad": (-4.0, 4.0),
    "scan_rotation_deg": (-180.0, 180.0),
    "pixels_x": (1.0, 512.0),
    "pixels_y": (1.0, 512.0),
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("usim") / "config.json"
    ranges = LIMITS.ranges | {name: Range(low=low, high=high) for name, (low, high) in MORE.items()}
    config = load(CONFIG)
    limits = replace(LIMITS, ranges=ranges)
    budget = replace(config.budget, electrons=1e9)
    path.write_bytes(dump(replace(config, limits=limits, budget=budget)))
    with served("usim", "experiments.foreign_usim.serve", str(path)) as ready:
        yield ready


@pytest.fixture
def usim(endpoint: str) -> Iterator[Client]:
    with Client(endpoint, lease_wait_s=5.0) as client:
        yield client


@pytest.fixture(scope="module")
def flakes() -> list[dict[str, Any]]:
    command = [str(python_of("usim")), "-m", "experiments.foreign_usim.truth", "0"]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return found


def layers(flakes: list[dict[str, Any]], x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int_]:
    """How many flakes lie on each other at these points of the specimen frame."""
    count = np.zeros(x.shape, dtype=int)
    for f in flakes:
        count += (abs(x - f["x_nm"]) < f["width_nm"] / 2) & (abs(y - f["y_nm"]) < f["height_nm"] / 2)
    return count


def look(name: str, mode: Mode = "HAADF", pixels: tuple[int, int] = (128, 128), fov_nm: float = 300.0) -> Command:
    acquire = Acquire(mode=mode, fov_nm=fov_nm, pixels_x=pixels[0], pixels_y=pixels[1], dwell_s=1e-6)
    return Command(id=name, acquire=acquire, go=Go(stage_x_nm=0.0, stage_y_nm=0.0))


def taken(usim: Client, command: Command) -> list[Part]:
    """The parts of a command that was not cut short.

    On a machine with far too much to do the supervisor blanks; that is right, and not what these tests are about.
    """
    for attempt in range(5):
        usim.submit(replace(command, id=f"{command.id}-{attempt}"))
        parts = list(usim.watch(SILENCE_S))
        assert isinstance(parts[-1], End)
        if not parts[-1].aborted:
            return parts
    raise AssertionError(f"{command.id} was cut short five times")


def image(usim: Client, command: Command) -> tuple[NDArray[Any], Start, End]:
    """What one frame of a command showed, and its first and last part."""
    start, *chunks, end = taken(usim, command)
    assert isinstance(start, Start)
    assert isinstance(end, End)
    return np.concatenate([chunk.data for chunk in chunks if isinstance(chunk, Chunk)]), start, end


def test_it_keeps_the_contract(usim: Client) -> None:
    def acquisition(name: str, frames: int) -> Command:
        return scan(name, frames=frames, dwell_s=1e-5)

    said = {bad: refusal(usim, command) for bad, command in BAD_COMMANDS.items()}
    bench = Guard(Bench(), LIMITS)
    assert said == {bad: refusal(bench, command) for bad, command in BAD_COMMANDS.items()}
    for check in CHECKS:
        check(usim, acquisition)


@pytest.mark.parametrize(
    "command",
    [
        Command(id="z", go=Go(stage_z_nm=10.0)),
        Command(id="tilt", go=Go(tilt_alpha_deg=1.0)),
        Command(id="flow", set=Settings(holder=Holder(flow_nl_per_s=1.0))),
    ],
    ids=lambda command: command.id,
)
def test_what_it_does_not_have_is_refused(usim: Client, command: Command) -> None:
    assert "unable" in refusal(usim, command)[1]


@pytest.mark.parametrize(
    ("go", "pixels"),
    [
        (Go(stage_x_nm=0.0, stage_y_nm=0.0), (128, 128)),
        (Go(stage_x_nm=60.0, stage_y_nm=-30.0), (128, 128)),
        (Go(stage_x_nm=0.0, beam_shift_x_nm=60.0, beam_shift_y_nm=-30.0), (128, 64)),
        (Go(beam_shift_x_nm=0.0, beam_shift_y_nm=0.0, scan_rotation_deg=20.0), (128, 128)),
    ],
    ids=["centre", "stage", "beam shift, wide field", "rotated"],
)
def test_flakes_lie_where_the_geometry_says(
    usim: Client, flakes: list[dict[str, Any]], go: Go, pixels: tuple[int, int]
) -> None:
    name = f"place-{go.stage_x_nm}-{go.beam_shift_x_nm}-{go.scan_rotation_deg}"
    command = replace(look(name, pixels=pixels), go=go)
    assert command.acquire is not None
    data, _, end = image(usim, command)
    able = usim.describe()
    turn = np.radians(end.state.go.scan_rotation_deg or 0.0)
    pixel_nm = command.acquire.fov_nm / pixels[0]
    rows, columns = np.mgrid[: pixels[1], : pixels[0]]
    x, y = ((columns + 0.5) - pixels[0] / 2) * pixel_nm, ((rows + 0.5) - pixels[1] / 2) * pixel_nm
    at = end.state.go
    stage, shift = (at.stage_x_nm, at.stage_y_nm), (at.beam_shift_x_nm, at.beam_shift_y_nm)
    centre = (
        np.reshape(able.stage_to_specimen, (2, 2)) @ stage + np.reshape(able.beam_shift_to_specimen, (2, 2)) @ shift
    )
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    alike = {
        (right, down): np.corrcoef(
            data.ravel(),
            layers(flakes, centre[0] + x + right * pixel_nm, centre[1] + y + down * pixel_nm).ravel(),
        )[0, 1]
        for right in range(-4, 5)
        for down in range(-4, 5)
    }
    best = max(alike, key=lambda moved: float(alike[moved]))
    # Flakes are drawn to whole pixels, rounded down; noise of 0.3 layers leaves the rest of the correlation.
    assert alike[best] > 0.75
    assert max(map(abs, best)) <= (2 if turn else 1)


def test_rows_come_while_the_scan_goes_on(usim: Client) -> None:
    command = look("rows", pixels=(128, 128))
    assert command.acquire is not None
    slow = replace(command, acquire=replace(command.acquire, dwell_s=1e-5))
    headers = [part.header for part in taken(usim, slow) if isinstance(part, Chunk)]
    assert len(headers) > 5
    assert sum(header.rows for header in headers) == 128
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(headers))


def test_a_spectrum_tells_flake_from_vacuum(usim: Client, flakes: list[dict[str, Any]]) -> None:
    """Two points in one raster: one on a flake of nickel, one beside; the zero loss is where the axis says."""
    x, y = np.meshgrid(np.arange(-150.0, 150.0, 5.0), np.arange(-150.0, 150.0, 5.0))
    here, beside = layers(flakes, x, y), layers(flakes, x + 20.0, y)
    row, column = np.argwhere((here >= 2) & (beside == 0))[0]
    # Points of a raster of 2 x 1 over 40 nm lie 10 nm to either side of its middle.
    shift = float(x[row, column]) + 10.0, float(y[row, column])
    go = Go(stage_x_nm=0.0, stage_y_nm=0.0, beam_shift_x_nm=shift[0], beam_shift_y_nm=shift[1], scan_rotation_deg=0.0)
    command = replace(look("spectra", "EELS", (2, 1), 40.0), go=go)
    data, start, _ = image(usim, command)
    assert data.shape == (1, 2, 1024)
    axis = start.axes[2]
    energy = axis.offset + axis.scale * np.arange(axis.size)
    flake, vacuum = data[0]
    assert abs(energy[int(vacuum.argmax())]) < 1.0
    plasmons = (energy > 10.0) & (energy < 60.0)
    assert flake[plasmons].sum() > 20.0 * abs(vacuum[plasmons].sum())


def test_aberrations_come_back_as_they_were_set(usim: Client) -> None:
    optics = Optics(C10_nm=-250.0, C12_nm=40.0, phi12_rad=0.7, beam_current_pA=120.0)
    seen = execute(usim, Command(id="optics", set=Settings(optics=optics)), SILENCE_S).state.optics
    for name in ("C10_nm", "C12_nm", "phi12_rad", "beam_current_pA"):
        assert getattr(seen, name) == pytest.approx(getattr(optics, name))
    # One alone leaves the other.
    turned = Settings(optics=Optics(phi12_rad=-0.2))
    assert execute(usim, Command(id="turned", set=turned), SILENCE_S).state.optics.C12_nm == pytest.approx(40.0)


def test_it_says_what_does_not_answer(usim: Client) -> None:
    able = msgspec.structs.asdict(usim.describe())
    assert "C10_nm" in able["unresponsive"]["HAADF"]
    assert "beam_current_pA" not in able["unresponsive"]["EELS"]


@pytest.mark.slow
def test_its_noise_follows_from_the_seed() -> None:
    def seen(seed: str) -> list[NDArray[Any]]:
        with (
            served("usim", "experiments.foreign_usim.serve", str(CONFIG), "--seed", seed) as fresh,
            Client(fresh, lease_wait_s=5.0) as client,
        ):
            return [image(client, look(name, mode, (16, 16)))[0] for name, mode in (("a", "HAADF"), ("b", "EELS"))]

    once, again, other = (seen(seed) for seed in "112")
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(once, other, strict=True))


@pytest.mark.slow
def test_the_agent_finds_flakes_and_names_their_elements(tmp_path: Path) -> None:
    python_of("usim")
    run(tmp_path / "run", Watched(-1, io.StringIO()), ("budget.turns=30",))
    config = load(CONFIG)
    settings = msgspec.convert(config.perception.settings, SurveyorSettings)
    with open_run(tmp_path / "run") as whole:
        judged = judge(whole.records, flakes_there(), config.goal.extent_nm or 0.0, settings)
    found, there = judged.seen(12.0)
    assert found > 0.8 * there
    assert judged.false() <= 2
    assert len(judged.readings) == 14
    assert sum(r.claimed == r.true for r in judged.readings) >= 13
