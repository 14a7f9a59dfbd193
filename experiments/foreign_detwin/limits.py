"""What may be done on this microscope."""

from __future__ import annotations

from hardware_bridge.messages import Box, Limits, Range

STAGE = Range(low=-100e3, high=100e3)


def limits() -> Limits:
    """What may be done: 0.1 mm to either side, and a pixel's share of electrons that no read-out saturates at."""
    charted = Range(low=-150e3, high=150e3)
    return Limits(
        ranges={
            "stage_x_nm": STAGE,
            "stage_y_nm": STAGE,
            "stage_z_nm": Range(low=-50e3, high=50e3),
            "tilt_alpha_deg": Range(low=-30.0, high=30.0),
            "tilt_beta_deg": Range(low=-20.0, high=20.0),
            "C10_nm": Range(low=-20e3, high=20e3),
            "C12_nm": Range(low=0.0, high=900.0),
            "phi12_rad": Range(low=-3.2, high=3.2),
            "temperature_K": Range(low=290.0, high=1270.0),
            "fov_nm": Range(low=1.0, high=1e4),
            "pixels_x": Range(low=256, high=1024),
            "pixels_y": Range(low=256, high=1024),
            "dwell_s": Range(low=0.1, high=10.0),
            "max_frames": Range(low=1, high=64),
        },
        z_loss_per_deg_nm=500.0,
        max_step_nm=300e3,
        dose_map=Box(x=charted, y=charted),
        dose_cell_nm=500.0,
        max_electrons=1e13,
        max_fluence_e_per_A2=1e5,
        max_dose_rate_e_per_A2_s=100.0,
        max_detector_e_per_s={"HRTEM": 60.0},
        on_loss={"temperature_K": "hold"},
    )
