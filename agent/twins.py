"""The twin that a configuration asks for: its specimen, its microscope, and what a configuration may say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from agent.config import Config, ConfigErrors, Setting
from agent.decoding import laid_over
from digital_twin.apparatus import Apparatus
from digital_twin.camera import Camera
from digital_twin.column import capabilities
from digital_twin.conditions import Conditions
from digital_twin.contamination import Contaminated, Contamination
from digital_twin.detectors import Column
from digital_twin.fleet import Fleet
from digital_twin.gold_on_carbon import GoldOnCarbon
from digital_twin.holder import TwinHolder
from digital_twin.image_files import read_image
from digital_twin.instrument import Twin
from digital_twin.layered import Upon, Worlds
from digital_twin.measured import MeasuredSpecimen
from digital_twin.misalignment import Misalignment
from digital_twin.optics import aberrations_of, strehl, summed
from digital_twin.readout import IDEAL, Readout
from digital_twin.specimen import Specimen
from digital_twin.standard import Standard
from digital_twin.world import apparatus_of
from digital_twin.worlds import WORLDS, world_type
from envs.autotune import RANGES_NM, Bench, optics_of, tuning_limits
from envs.limits import beat_s, world_limits
from hardware_bridge.calibrated import Calibrated
from hardware_bridge.calibration import read_calibration
from hardware_bridge.guard import Guard
from hardware_bridge.holder import WithHolder
from hardware_bridge.messages import Optics
from hardware_bridge.microscope import Microscope
from hardware_bridge.report import Card
from hardware_bridge.words import WordT

TUNING_OPTICS = Optics(
    beam_current_pA=100.0,
    C10_nm=0.0,
    C12_nm=0.0,
    phi12_rad=0.0,
    C21_nm=0.0,
    phi21_rad=0.0,
    C23_nm=0.0,
    phi23_rad=0.0,
    C30_um=0.0,
)
"""A corrected microscope as it claims to be."""

STANDARD = "standard"
"""The specimen to calibrate on; it has no truth."""

XRAYS = "xray_"
COLUMN = (
    "source_fwhm_nm",
    "chromatic_mm",
    "gun_fwhm_eV",
    "energy_fwhm_eV",
    "source_angle_mrad",
    "xray_resolution_eV",
    "xray_dead_layer_nm",
)
"""What of the column a configuration may say, XRAYS before names of its X-ray detector; the rest is the world's."""


def specimen(config: Config, seed: int) -> Specimen:
    """The specimen that a configuration asks for.

    Raises:
        ValueError: a file that it names holds no image with a known pixel size.
    """
    if config.instrument.specimen is not None:
        return MeasuredSpecimen(Path(config.instrument.specimen), pixel_nm=config.instrument.specimen_pixel_nm)
    if config.instrument.world == STANDARD:
        return Standard(seed)
    worlds: Worlds = world_type(config.instrument.world)(seed)
    if config.instrument.image is not None:
        worlds = Upon(worlds, Path(config.instrument.image), config.instrument.specimen_pixel_nm)
    if config.instrument.contamination_nm_per_e_per_A2:
        worlds = Contaminated(worlds, Contamination(config.instrument.contamination_nm_per_e_per_A2))
    return worlds


def label(world: str, seed: int) -> str:
    """The name by which clients tell the specimens of a twin apart; it says nothing else about them."""
    return f"{world}-{xxhash.xxh3_64_hexdigest(f'{world} {seed}'.encode())}"


def twin(config: Config, seed: int) -> Microscope:
    """The bare twin with its holder; whoever drives it puts a guard in front."""
    speed = config.instrument.speed if config.instrument.time == "real" else None
    readout = _made(IDEAL, config.instrument.readout, "instrument.readout")
    apparatus = Apparatus()
    if config.instrument.world in WORLDS:
        apparatus = apparatus_of(world_type(config.instrument.world).facts)
    camera = _made(apparatus.camera, config.instrument.camera, "instrument.camera")
    conditions = _made(apparatus.conditions, config.instrument.conditions, "instrument.conditions")
    hidden = Misalignment(backlash_nm=(conditions.backlash_nm, conditions.backlash_nm))
    if config.instrument.misaligned is not None:
        hidden = Misalignment.drawn(config.instrument.misaligned)
    apparatus = replace(
        apparatus,
        column=column_with(apparatus.column, config.instrument.column),
        readout=readout,
        camera=camera,
        conditions=conditions,
        hidden=hidden,
        label=label(config.instrument.world, seed) if config.instrument.specimen is None else None,
    )
    column = Twin(specimen(config, seed), seed, speed, apparatus=apparatus)
    return WithHolder(column, TwinHolder(apparatus.holder, lambda: column.state().clock_s, seed))


def column_with(base: Column, given: Mapping[str, float]) -> Column:
    """A column with some of COLUMN as they are given.

    Raises:
        ValueError: a column that cannot be.
    """
    xrays: dict[str, Any] = {name.removeprefix(XRAYS): value for name, value in given.items() if name.startswith(XRAYS)}
    plain: dict[str, Any] = {name: value for name, value in given.items() if not name.startswith(XRAYS)}
    return replace(base, **plain, xrays=replace(base.xrays, **xrays))


def driver(config: Config, seed: int) -> Microscope:
    """The twin as it is driven: through its calibration, where the configuration names one.

    Raises:
        ValueError: the file of the calibration is not in order, or of another instrument.
    """
    bare, path = twin(config, seed), config.instrument.calibration
    return bare if path is None else Calibrated(bare, read_calibration(Path(path)))


def _made(base: WordT, given: Mapping[str, Setting], path: str) -> WordT:
    settings, errors = laid_over(type(base), given, path, base)
    if settings is None:
        raise ConfigErrors("the configuration", errors)
    return settings


def bare(world: str, seed: int) -> Microscope:
    """A twin of a world, without walls.

    Raises:
        ValueError: there is no such world.
    """
    kind = world_type(world)
    return Twin(kind(seed), seed, apparatus=apparatus_of(kind.facts))


def guarded(world: str, card: Card, seeds: Sequence[int]) -> list[Guard]:
    """Instruments of a fleet, each within the walls of an episode.

    Raises:
        ValueError: there is no such world.
    """
    kind = world_type(world)
    able = capabilities(kind.facts.column)
    limits, fleet = world_limits(card, able), Fleet(kind, seeds, beat_s(card, able), kind.facts.shortcuts)
    return [Guard(seat, limits) for seat in fleet.seats]


def tuning_apparatus(seed: int, names: Sequence[str]) -> Apparatus:
    """A microscope of 300 kV and 20 mrad with hidden aberrations drawn evenly over their ranges."""
    random = np.random.default_rng([seed, 15])
    drawn = [random.uniform(-1.0, 1.0) * RANGES_NM[n] for n in names for _ in range(1 if n == "C10" else 2)]
    column = Column(
        beam_energy_keV=300.0, convergence_mrad=20.0, haadf_inner_mrad=60.0, haadf_outer_mrad=200.0, source_fwhm_nm=0.06
    )
    conditions = Conditions(
        decay_nm=0.5,
        wander_nm=0.2,
        jitter_nm=0.005,
        creep_nm=0.5,
        backlash_nm=0.5,
        position_sd_nm=0.5,
        C10_wander_nm=0.0,
    )
    hidden = Misalignment(residual=aberrations_of(optics_of(names, drawn)))
    return Apparatus(column=column, hidden=hidden, conditions=conditions, optics=TUNING_OPTICS)


def tuning_bench(seed: int, names: Sequence[str]) -> Bench:
    """Gold on carbon in the microscope of ``tuning_apparatus``, behind walls."""
    apparatus, specimen = tuning_apparatus(seed, names), GoldOnCarbon(seed)

    def strehl_of(optics: Optics) -> float:
        return strehl(summed(aberrations_of(optics), apparatus.hidden.residual), apparatus.column.probe())

    return Bench(Guard(Twin(specimen, seed, apparatus=apparatus), tuning_limits(names, specimen.extent_nm)), strehl_of)


def check_instrument(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a table of the instrument that its types cannot say: (path below it, complaint)."""
    if got.get("world") not in (None, STANDARD, *WORLDS):
        yield "world", f"{got['world']!r} is unknown: choose one of {', '.join((*WORLDS, STANDARD))}"
    if got.get("calibration") is not None:
        try:
            read_calibration(Path(got["calibration"]))
        except ValueError as error:
            yield "calibration", str(error).removeprefix("calibration = ")
    if got.get("image") is not None:
        try:
            read_image(Path(got["image"]), got.get("specimen_pixel_nm"))
        except ValueError as error:
            yield "image", str(error)
    for name in ("image", "contamination_nm_per_e_per_A2"):
        if got.get(name) and (got.get("specimen") is not None or got.get("world") == STANDARD):
            yield name, "only worlds have one: leave it out, or instrument.specimen and world = standard"
    yield from _check_column(got.get("column", {}), got.get("world", "growth"))
    for name, kind in (("readout", Readout), ("camera", Camera), ("conditions", Conditions)):
        for each in laid_over(kind, got.get(name, {}), name)[1]:
            path, _, complaint = each.partition(": ")
            yield path, complaint


def _check_column(given: Mapping[str, Any], world: str) -> Iterator[tuple[str, str]]:
    unknown = given.keys() - set(COLUMN)
    for name in sorted(unknown):
        yield f"column.{name}", f"unknown field, known is {', '.join(COLUMN)}"
    if not unknown:
        try:
            column_with(WORLDS[world].facts.column if world in WORLDS else Column(), given)
        except ValueError as error:
            yield "column", str(error)
