"""The walls of an episode: what a learner may command, from what is public about its world and instrument."""

from __future__ import annotations

import math

from envs.coding import MODES, Coding
from hardware_bridge.messages import Box, Capabilities, Limits, Range
from hardware_bridge.report import Card

DETECTOR_E_PER_S = 1e10
"""What a detector bears: more than ten times the middle current of any world gives it."""

DOSE_RATE_E_PER_A2_S = 1e9
"""No wall where a pixel holds a few atoms: there what is harmed is told by the fluence."""

DECADES = 1.0
"""The current goes so many decades either way."""


def beat_s(card: Card, capabilities: Capabilities) -> float:
    """Time of a turn: for the decision, the longest move there is and what settles after it, in whole seconds."""
    move_s = math.sqrt(2) * card.extent_nm / capabilities.stage_speed_nm_per_s + capabilities.settle_s
    return float(math.ceil(capabilities.decision_s + move_s))


def world_limits(card: Card, capabilities: Capabilities) -> Limits:
    """Limits that hold every action of the environments, and no more electrons than the budget."""
    coding, half = Coding.of(card, capabilities), card.extent_nm / 2
    stage, charted = Range(low=-half, high=half), Range(low=-1.5 * half, high=1.5 * half)
    return Limits(
        ranges={
            "stage_x_nm": stage,
            "stage_y_nm": stage,
            "beam_shift_x_nm": Range(low=0.0, high=0.0),
            "beam_shift_y_nm": Range(low=0.0, high=0.0),
            "beam_current_pA": Range(
                low=coding.middle_pA * 10**-DECADES / 1.001, high=coding.middle_pA * 10**DECADES * 1.001
            ),
            "C10_nm": Range(low=-coding.C10_span_nm, high=coding.C10_span_nm),
            "fov_nm": Range(low=card.extent_nm / 256, high=card.extent_nm / 2),
            "pixels_x": Range(low=1.0, high=512.0),
            "pixels_y": Range(low=1.0, high=512.0),
            "dwell_s": Range(low=1e-7, high=1.0),
            "max_frames": Range(low=1.0, high=1.0),
        },
        max_step_nm=4 * half,
        dose_map=Box(x=charted, y=charted),
        dose_cell_nm=card.extent_nm / 64,
        max_electrons=card.budget_electrons,
        max_fluence_e_per_A2=card.max_fluence_e_per_A2,
        max_dose_rate_e_per_A2_s=DOSE_RATE_E_PER_A2_S,
        max_detector_e_per_s=dict.fromkeys(MODES, DETECTOR_E_PER_S),
    )
