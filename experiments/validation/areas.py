"""The checks of all areas; a new area adds its module here."""

from __future__ import annotations

from experiments.validation import (
    beam_sensitive,
    defects,
    diffraction,
    growth,
    instrument,
    interface,
    noise,
    optics,
    spectra,
    transformation,
    valence,
    waves,
    white_lines,
    xrays,
)
from experiments.validation.check import Check

AREAS: dict[str, tuple[Check, ...]] = {
    "optics": optics.CHECKS,
    "waves": waves.CHECKS,
    "diffraction": diffraction.CHECKS,
    "noise": noise.CHECKS,
    "instrument": instrument.CHECKS,
    "spectra": spectra.CHECKS,
    "white lines": white_lines.CHECKS,
    "xrays": xrays.CHECKS,
    "growth": growth.CHECKS,
    "interface": interface.CHECKS,
    "transformation": transformation.CHECKS,
    "beam_sensitive": beam_sensitive.CHECKS,
    "defects": defects.CHECKS,
    "valence": valence.CHECKS,
}
