"""Fixed facts of the twin's microscope that its clients may know: what it can do and how long things take."""

from __future__ import annotations

import math

from digital_twin.detectors import Column
from hardware_bridge.messages import Capabilities, Mode

SETTLE_S, STAGE_NM_PER_S = 2.0, 1000.0
FLYBACK_S, FRAME_S, BLANK_S = 50e-6, 0.05, 0.02
"""How long the stage settles and how fast it goes, how long the beam flies back, a frame begins and blanking takes.

Two seconds are what SerialEM waits by default after a move (StageMoveDelay), and TESCAN when it tests how well a stage
comes back (Expert PI). P. M. Voyles had 60 us of flyback on a Titan (STEMDistortionStack). The speed and the other
delays are assumptions: no source could be opened. They are no imperfections of data but cost time.
"""

PROBE_DIAMETER_NM = 0.2
"""Less than any probe of the twin: what dose is charged by where pixels are smaller."""

DECISION_S = 2.0
"""Time that passes on the instrument's clock while the agent thinks, in stepped time."""


def capabilities(column: Column, time: str = "stepped", specimen: str | None = None) -> Capabilities:
    """The twin's own description; ``specimen`` is the name of what it holds."""
    return Capabilities(
        name="adaptem-twin",
        version="1",
        time="real" if time == "real" else "stepped",
        beam_energy_keV=column.beam_energy_keV,
        convergence_semi_angle_mrad=column.convergence_mrad,
        collection_semi_angle_mrad=column.collection_mrad,
        haadf_inner_mrad=column.haadf_inner_mrad,
        haadf_outer_mrad=column.haadf_outer_mrad,
        modes=("HAADF", "ABF", "BF", "HRTEM", "EELS", "EDS", "CBED", "4DSTEM"),
        holder_channels=("temperature_K", "bias_V", "flow_nl_per_s"),
        probe_diameter_nm=PROBE_DIAMETER_NM,
        lit_diameter_nm=column.lit_diameter_nm,
        energy_offset_eV=column.energy_offset_eV,
        energy_step_eV=column.energy_step_eV,
        energy_channels=column.energy_channels,
        detector_fraction=_fractions(column),
        values_per_pixel={
            "EELS": column.energy_channels,
            "EDS": column.xrays.energy_channels,
            "CBED": column.pattern_pixels["CBED"] ** 2,
            "4DSTEM": column.pattern_pixels["4DSTEM"] ** 2,
        },
        stage_to_specimen=(1.0, 0.0, 0.0, 1.0),
        beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
        stage_speed_nm_per_s=STAGE_NM_PER_S,
        decision_s=0.0 if time == "real" else DECISION_S,
        settle_s=SETTLE_S,
        flyback_s=FLYBACK_S,
        frame_overhead_s=FRAME_S,
        dark_references=True,
        blank_latency_s=BLANK_S,
        specimen=specimen,
    )


def _fractions(column: Column) -> dict[Mode, float]:
    """The most that one detector element can get of the beam: a bound, from the sharpest peaks there can be."""
    discs = {
        mode: math.pi * (column.convergence_mrad / column.pattern_mrad * pixels / 2) ** 2
        for mode, pixels in column.pattern_pixels.items()
    }
    return {
        "HAADF": 0.5,
        "ABF": 1.0,
        "BF": 1.0,
        "HRTEM": 1e-3,
        "EELS": min(1.0, 0.9 * column.energy_step_eV / column.peak_fwhm_eV),
        "EDS": 1e-3,
        **{mode: min(1.0, 4.0 / pixels) for mode, pixels in discs.items()},
    }
