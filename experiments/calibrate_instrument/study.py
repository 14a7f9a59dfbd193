"""Measure one hidden twin, and put what was found against what is hidden."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agent import assemble
from agent.calibrate.geometry import geometry
from agent.calibrate.procedure import CalibrateSettings, Evidence, calibrate
from agent.config import Config, load
from digital_twin.apparatus import Apparatus
from digital_twin.instrument import Twin
from digital_twin.misalignment import Misalignment
from digital_twin.standard import PERIOD_NM, Standard
from experiments.calibrate_instrument.hidden import errors, truth
from experiments.calibrate_instrument.pointing import misses_nm
from hardware_bridge.guard import Guard

CONFIG = Path(__file__).with_name("config.toml")
DISTANCES_NM = (200.0, 1000.0)

Errors = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True)
class Outcome:
    """Of one hidden instrument: errors with the stage as reference, of pixels by the grating, and misses in nm.

    ``missed`` holds, by distance, misses without and with the calibration.
    """

    seed: int
    evidence: Evidence
    errors: Errors
    grating: Errors
    missed: dict[float, tuple[NDArray[np.float64], NDArray[np.float64]]]


def configured() -> Config:
    """The configuration of the study."""
    return load(CONFIG, (), assemble.CHOICES)


def measure(config: Config, seed: int) -> Outcome:
    """Calibrate the twin of a seed by its grating and by its stage, and send it about with and without the latter."""
    hidden = Misalignment.drawn(seed)
    settings = CalibrateSettings(grating_nm=PERIOD_NM)
    evidence = calibrate(
        Guard(Twin(Standard(seed), seed, apparatus=Apparatus(hidden=hidden)), config.limits), config.limits, settings
    )
    by_grating = evidence.calibration
    # The same images, on the scale of the stage's encoder.
    where = geometry(evidence.moves, None)
    by_stage = replace(
        by_grating,
        reference="stage",
        stage_to_specimen=where.stage,
        beam_shift_to_specimen=where.beam_shift,
        pixel_size=where.pixel_size,
    )
    missed = {}
    for distance_nm in DISTANCES_NM:
        plain, corrected = (misses_nm(seed, hidden, known, config.limits, distance_nm) for known in (None, by_stage))
        missed[distance_nm] = plain, corrected
    return Outcome(
        seed=seed,
        evidence=evidence,
        errors=errors(by_stage, truth(hidden, "stage")),
        grating=errors(by_grating, truth(hidden, "grating")),
        missed=missed,
    )
