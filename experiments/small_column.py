"""A column that nobody has: what it can do, what it may do and how it stands, for tests, faults and benchmarks.

Each of those takes it as it is here, or replaces by name what has to be different.
"""

from __future__ import annotations

from hardware_bridge.messages import (
    Box,
    Capabilities,
    Go,
    Holder,
    InstrumentState,
    Interlocks,
    Limits,
    Optics,
    Range,
)

CAPABILITIES = Capabilities(
    name="small",
    version="1",
    time="real",
    beam_energy_keV=200.0,
    convergence_semi_angle_mrad=10.0,
    collection_semi_angle_mrad=20.0,
    haadf_inner_mrad=60.0,
    haadf_outer_mrad=200.0,
    modes=("HAADF", "EELS"),
    holder_channels=("temperature_K", "flow_nl_per_s"),
    probe_diameter_nm=0.2,
    energy_offset_eV=400.0,
    energy_step_eV=1.0,
    energy_channels=16,
    detector_fraction={"HAADF": 0.1, "EELS": 0.01},
    stage_to_specimen=(1.0, 0.0, 0.0, 1.0),
    beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
    stage_speed_nm_per_s=1000.0,
    decision_s=0.0,
    settle_s=0.1,
    flyback_s=1e-4,
    frame_overhead_s=0.01,
    blank_latency_s=1e-4,
)
RANGES = {
    "stage_x_nm": Range(low=-1000.0, high=1000.0),
    "stage_y_nm": Range(low=-1000.0, high=1000.0),
    "stage_z_nm": Range(low=-5000.0, high=5000.0),
    "tilt_alpha_deg": Range(low=-30.0, high=30.0),
    "beam_shift_x_nm": Range(low=-200.0, high=200.0),
    "beam_shift_y_nm": Range(low=-200.0, high=200.0),
    "C10_nm": Range(low=-2000.0, high=2000.0),
    "beam_current_pA": Range(low=0.0, high=200.0),
    "flow_nl_per_s": Range(low=0.0, high=50.0),
    "fov_nm": Range(low=10.0, high=600.0),
    "pixels_x": Range(low=8, high=512),
    "pixels_y": Range(low=8, high=512),
    "dwell_s": Range(low=1e-7, high=1e-3),
    "max_frames": Range(low=1, high=64),
}
LIMITS = Limits(
    ranges=RANGES,
    z_loss_per_deg_nm=100.0,
    keep_out=(Box(x=Range(low=300.0, high=400.0), y=Range(low=300.0, high=400.0)),),
    max_step_nm=1500.0,
    dose_map=Box(x=Range(low=-1600.0, high=1600.0), y=Range(low=-1600.0, high=1600.0)),
    dose_cell_nm=64.0,
    max_electrons=1e12,
    max_fluence_e_per_A2=1e6,
    max_dose_rate_e_per_A2_s=1e8,
    max_detector_e_per_s={"HAADF": 1e9, "EELS": 1e9},
    on_loss={"flow_nl_per_s": "off"},
)
ORIGIN = Go(
    stage_x_nm=0.0,
    stage_y_nm=0.0,
    stage_z_nm=0.0,
    tilt_alpha_deg=0.0,
    tilt_beta_deg=0.0,
    beam_shift_x_nm=0.0,
    beam_shift_y_nm=0.0,
    image_shift_x_nm=0.0,
    image_shift_y_nm=0.0,
    scan_rotation_deg=0.0,
)
STATE = InstrumentState(
    clock_s=0.0,
    go=ORIGIN,
    optics=Optics(beam_current_pA=50.0, C10_nm=0.0),
    holder=Holder(temperature_K=298.0, flow_nl_per_s=5.0),
    beam_blanked=True,
    interlocks=Interlocks(
        vacuum_ok=True,
        valves_open=True,
        high_tension_on=True,
        screen_up=True,
        aperture_inserted=True,
        detectors_inserted=("HAADF", "EELS"),
    ),
)
