"""The experiment: measure how the stage moves the image, focus from wrong defoci, survey a grid of fields."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

from agent.config import Budget, Config, Goal, PolicyChoice
from agent.eventlog import Header
from agent.loop import Loop
from agent.record import Record
from agent.recorder import FileRecorder, now, versions
from agent.review import Autonomous, Walls
from agent.steering import setup_of
from experiments.foreign_detwin.eyes import Eyes
from experiments.foreign_detwin.limits import limits
from experiments.foreign_detwin.policy import Focusing, Survey, grid
from experiments.foreign_detwin.running import Microscope
from hardware_bridge.client import Client
from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.messages import Acquire, Command, Go, InstrumentState, Matrix, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Percept
from policies.interface import Policy

SILENCE_S = 60.0
NOMINAL_FOV_NM = 384.0
FOCUS_S, SURVEY_S = 1.0, 0.5
NUDGE_NM = 100.0
PLACES = (4, 3)
PLACES_APART_NM = 800.0
MOST_OFF_NM = 3000.0
FIELDS, OVERLAP = 6, 0.15
UNDERFOCUS_NM = 300.0
MOST_ELECTRONS = 1e12
TRIES = 3

Image = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What the stage told of the image: the map from stage to specimen frame, and true by nominal pixel size."""

    stage_to_specimen: Matrix
    pixel_scale: float


@dataclass(frozen=True)
class Focused:
    """One autofocus: true C10 before and after, what it claimed, and what it cost; an infinite sd is no claim."""

    start_nm: float
    end_nm: float
    sd_nm: float
    images: int
    electrons: float
    fluence_e_per_A2: float
    first: Image
    last: Image

    @property
    def is_found(self) -> bool:
        """Whether the agent says that it found focus."""
        return math.isfinite(self.sd_nm)


@dataclass(frozen=True)
class Field:
    """One field of the survey: what was perceived, the image, and how much gold there is in truth."""

    percept: Percept
    image: Image
    true_share: float
    true_pieces: float
    electrons: float

    @property
    def share(self) -> float:
        """Share of the field that particles cover, as perceived."""
        return self.percept.quality["covered_share"]


def view(fov_nm: float, pixels: int, exposure_s: float) -> Acquire:
    """A square image."""
    return Acquire(mode="HRTEM", fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=exposure_s)


def measured(client: Client) -> Measured:
    """Nudge the stage along both axes, from the negative side, and see where the image goes.

    Raises:
        RuntimeError: an image did not come, time after time.
    """
    home = client.state().go
    x_nm, y_nm = home.stage_x_nm or 0.0, home.stage_y_nm or 0.0
    images = []
    for number, (dx, dy) in enumerate(((0.0, 0.0), (NUDGE_NM, 0.0), (0.0, NUDGE_NM))):
        go = Go(stage_x_nm=x_nm + dx, stage_y_nm=y_nm + dy, approach="from_negative")
        images.append(_image(client, f"nudge-{number}", go))
    pixel_nm = NOMINAL_FOV_NM / images[0].shape[0]
    columns = [_axis_shift(images[0], image) * pixel_nm / NUDGE_NM for image in images[1:]]
    a, b, c, d = columns[0][0], columns[1][0], columns[0][1], columns[1][1]
    scale = 1.0 / math.sqrt(abs(a * d - b * c))
    return Measured((float(scale * a), float(scale * b), float(scale * c), float(scale * d)), scale)


def _image(client: Client, name: str, go: Go) -> Image:
    for attempt in range(TRIES):
        command = Command(id=f"{name}-{attempt}", go=go, acquire=view(NOMINAL_FOV_NM, 1024, FOCUS_S))
        seen = execute(client, command, SILENCE_S)
        client.blank()
        if seen.data is not None and seen.row_seen.all():
            return np.asarray(seen.data, dtype=np.float64)
    raise RuntimeError(f"no image came in {TRIES} tries: {seen.reason}")


def _axis_shift(before: Image, after: Image) -> NDArray[np.float64]:
    """By how many pixels (x, y) the axis moved over the specimen between two images."""
    window = np.outer(np.hanning(before.shape[0]), np.hanning(before.shape[1]))
    shift = phase_cross_correlation(  # type: ignore[no-untyped-call]  # scikit-image has no types
        *(window * (image - image.mean()) for image in (before, after)), upsample_factor=20, normalization=None
    )[0]
    return np.array([shift[1], shift[0]], dtype=np.float64)


def focus_all(client: Client, microscope: Microscope, fov_nm: float, folder: Path) -> Iterator[Focused]:
    """Focus at a dozen places, each from a defocus that the experiment has spoilt; yields one after the other."""
    home = client.state().go
    random = np.random.default_rng(1)
    disc_A2 = math.pi * (5.0 * client.describe().probe_diameter_nm) ** 2
    for index in range(math.prod(PLACES)):
        x_nm = (home.stage_x_nm or 0.0) + PLACES_APART_NM * (index % PLACES[0])
        y_nm = (home.stage_y_nm or 0.0) + PLACES_APART_NM * (index // PLACES[0])
        C10_nm = float(random.uniform(-MOST_OFF_NM, MOST_OFF_NM))
        spoil = Command(
            id=f"spoil-{index}",
            go=Go(stage_x_nm=x_nm, stage_y_nm=y_nm),
            set=Settings(optics=Optics(C10_nm=C10_nm)),
        )
        execute(client, spoil, SILENCE_S)
        before = microscope.truth()["C10_nm"]
        policy = Focusing(view(fov_nm, 1024, FOCUS_S), f"focus-{index}")
        taken = list(turns(client, policy, folder / f"focus-{index}", index))
        seen = [image for _, image in taken if image is not None]
        electrons = sum(record.electrons for record, _ in taken)
        yield Focused(
            start_nm=before,
            end_nm=microscope.truth()["C10_nm"],
            sd_nm=policy.found[1] if policy.found is not None else math.inf,
            images=len(seen),
            electrons=electrons,
            fluence_e_per_A2=electrons / disc_A2,
            first=seen[0],
            last=seen[-1],
        )


def survey(client: Client, microscope: Microscope, fov_nm: float, folder: Path) -> Iterator[Field]:
    """Look at every field of a grid about the present place, a little under focus; yields one after the other."""
    state: InstrumentState = client.state()
    centre_nm = field_centre_nm(state.go, client.describe())
    focused_nm = state.optics.C10_nm or 0.0
    execute(client, Command(id="underfocus", set=Settings(optics=Optics(C10_nm=focused_nm - UNDERFOCUS_NM))), SILENCE_S)
    points = grid(centre_nm, FIELDS, (1.0 - OVERLAP) * fov_nm)
    for record, image in turns(client, Survey(view(fov_nm, 512, SURVEY_S), "survey", points), folder / "survey", 0):
        if image is None or record.percept is None:
            continue
        gold = microscope.gold()
        yield Field(
            percept=record.percept,
            image=image,
            true_share=gold["share"],
            true_pieces=gold["pieces"],
            electrons=record.electrons,
        )


def turns(client: Client, policy: Policy, folder: Path, seed: int) -> Iterator[tuple[Record, Image | None]]:
    """Run the real loop with its recorder; yields each record with its image, if one came whole."""
    header = _header(client, policy, folder.name, seed)
    eyes, images = Eyes(header.capabilities), []

    def perceive(observation: Observation) -> Percept:
        percept = eyes(observation)
        images.append(np.asarray(observation.data, dtype=np.float64) if percept.quality.get("usable") else None)
        return percept

    setup = setup_of(header)
    policy.begin(setup, seed)
    with FileRecorder(folder, header) as recorder:
        loop = Loop(
            microscope=client,
            policy=policy,
            perceive=perceive,
            review=Autonomous(Walls(setup.limits, setup.capabilities)),
            recorder=recorder,
            setup=setup,
            silence_s=SILENCE_S,
            electrons_at_start=header.electrons_at_start,
        )
        for record in loop.run():
            yield record, images.pop() if images else None


def _header(client: Client, policy: Policy, question: str, seed: int) -> Header:
    state = client.state()
    budget = Budget(electrons=MOST_ELECTRONS, duration_s=3600.0)
    name = type(policy).__name__.lower()
    config = Config(
        goal=Goal(question=question, world="detwin"), limits=limits(), budget=budget, policy=PolicyChoice(name=name)
    )
    card = Card(
        world="detwin",
        version=1,
        extent_nm=1e5,
        cells=1,
        times_s=(),
        duration_s=budget.duration_s,
        budget_electrons=budget.electrons,
        max_fluence_e_per_A2=config.limits.max_fluence_e_per_A2,
        targets=(),
    )
    return Header(
        created=now(),
        versions=versions(),
        config=config,
        seed=seed,
        capabilities=client.describe(),
        card=card,
        start_s=state.clock_s,
        end_s=state.clock_s + budget.duration_s,
        max_electrons=budget.electrons,
        electrons_at_start=state.electrons_charged,
    )
