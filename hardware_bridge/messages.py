"""The vocabulary: what an instrument is asked, what it is, and what it may do.

Signs and frames, stated once. Specimen frame: nm, right-handed, x along image columns and y along image rows when the
scan rotation is zero. ``defocus_nm = -C10_nm``, positive is underfocus. Tilts in degrees, aberrations in Krivanek's
notation. A field left at None means: leave it as it is.
"""

from __future__ import annotations

from typing import Literal

from hardware_bridge.words import Count, Fraction, Name, NotNegative, Number, Positive, Size, Text, Word

Mode = Literal["HAADF", "ABF", "BF", "HRTEM", "EELS", "EDS", "CBED", "4DSTEM"]
Kind = Literal["frame", "spectrum", "pattern"]
OnLoss = Literal["hold", "ramp", "off"]
Matrix = tuple[Number, Number, Number, Number]

SCANNED_MODES: frozenset[str] = frozenset({"HAADF", "ABF", "BF", "EELS", "EDS", "CBED", "4DSTEM"})


class Go(Word, frozen=True, kw_only=True):
    """Where to go: stage, tilts, beam shift, image shift and scan rotation, and how to approach."""

    stage_x_nm: Number | None = None
    stage_y_nm: Number | None = None
    stage_z_nm: Number | None = None
    tilt_alpha_deg: Number | None = None
    tilt_beta_deg: Number | None = None
    beam_shift_x_nm: Number | None = None
    beam_shift_y_nm: Number | None = None
    image_shift_x_nm: Number | None = None
    image_shift_y_nm: Number | None = None
    scan_rotation_deg: Number | None = None
    approach: Literal["direct", "from_negative"] = "direct"


class Optics(Word, frozen=True, kw_only=True):
    """Beam current and aberrations (Krivanek); angles phi orient the aberration of the same index."""

    beam_current_pA: NotNegative | None = None
    C10_nm: Number | None = None
    C12_nm: Number | None = None
    phi12_rad: Number | None = None
    C21_nm: Number | None = None
    phi21_rad: Number | None = None
    C23_nm: Number | None = None
    phi23_rad: Number | None = None
    C30_um: Number | None = None


class Holder(Word, frozen=True, kw_only=True):
    """What the specimen is driven with; read-backs lag their set points."""

    temperature_K: NotNegative | None = None
    bias_V: Number | None = None
    flow_nl_per_s: NotNegative | None = None


class Settings(Word, frozen=True, kw_only=True):
    """What to set before acquiring."""

    optics: Optics = Optics()
    holder: Holder = Holder()


class Acquire(Word, frozen=True, kw_only=True):
    """One finite acquisition.

    ``dwell_s`` is the time at one probe position in scanned modes and the exposure of a frame otherwise. ``fov_nm`` is
    the width of the field; pixels are square, so its height is fov_nm * pixels_y / pixels_x. Within one pixel the
    probe is scanned evenly. The whole dose of ``max_frames`` is charged on acceptance and what was not used is
    refunded at the end. ``blanked`` leaves the beam off: a dark reference, which costs time and no dose.
    """

    mode: Mode
    fov_nm: Positive
    pixels_x: Size
    pixels_y: Size
    dwell_s: Positive
    max_frames: Size = 1
    blanked: bool = False


class Command(Word, frozen=True, kw_only=True):
    """Everything the instrument must do for one turn: go, set, acquire, in this order."""

    id: Name
    go: Go = Go()
    set: Settings = Settings()
    acquire: Acquire | None = None


class Interlocks(Word, frozen=True, kw_only=True):
    """What must read back right before any acquisition; the agent has no command for any of it."""

    vacuum_ok: bool
    valves_open: bool
    high_tension_on: bool
    screen_up: bool
    aperture_inserted: bool
    detectors_inserted: tuple[Mode, ...]


class InstrumentState(Word, frozen=True, kw_only=True):
    """What the instrument reads back, stamped with its own clock; every None-able setting is filled in.

    ``position_sd_nm`` is how well the driver knows where the optical axis meets the specimen. ``electrons_charged`` and
    ``fluence_max_e_per_A2`` (of the most exposed cell) are the guard's bookkeeping; a bare driver reports zero there.
    """

    clock_s: Number
    go: Go
    optics: Optics
    holder: Holder
    beam_blanked: bool
    interlocks: Interlocks
    position_sd_nm: NotNegative = 0.0
    electrons_charged: NotNegative = 0.0
    fluence_max_e_per_A2: NotNegative = 0.0


class Capabilities(Word, frozen=True, kw_only=True):
    """What a driver can do, how fast, and how its coordinates map onto the specimen.

    ``stage_to_specimen`` and ``beam_shift_to_specimen`` are row-major 2x2 matrices: the specimen-frame point on the
    axis moves by matrix @ (dx, dy). ``detector_fraction`` is, per mode, the largest share of the incident electrons
    that one detector element can receive. ``decision_s`` is what the instrument lets pass before it begins a command,
    for the decision (stepped time; 0 in real time, where decisions take what they take). ``probe_diameter_nm`` is a
    lower bound on the illuminated disc; outside scanned modes it is ``lit_diameter_nm``, where that is above zero.
    ``energy_*`` describe the spectrum axis. ``values_per_pixel`` says how many values a mode delivers at each pixel;
    without an entry ``energy_channels`` of spectra and one of images. Where ``backlash_nm`` is above zero,
    moves are to be approached from the negative side, which takes the stage up to ``overshoot_nm`` beyond each
    coordinate that is asked for. ``unresponsive`` names, per mode, the settings that change nothing in its data, though
    they can be set; a mode without an entry answers to all.
    ``specimen`` names the one that is in the holder, where the driver knows; that of a simulator tells two apart and
    nothing else about them.
    ``read_back_tolerance`` is, per setting of stage, beam and optics and in its unit, how far its read-back may be from
    what was asked; without an entry a millionth.
    """

    name: Name
    version: Name
    time: Literal["stepped", "real"]
    beam_energy_keV: Positive
    convergence_semi_angle_mrad: Positive
    collection_semi_angle_mrad: Positive
    haadf_inner_mrad: Positive
    haadf_outer_mrad: Positive
    modes: tuple[Mode, ...]
    holder_channels: tuple[Name, ...]
    probe_diameter_nm: Positive
    lit_diameter_nm: NotNegative = 0.0
    energy_offset_eV: Number
    energy_step_eV: Positive
    energy_channels: Size
    detector_fraction: dict[Mode, Fraction]
    values_per_pixel: dict[Mode, Size] = {}
    stage_to_specimen: Matrix
    beam_shift_to_specimen: Matrix
    backlash_nm: NotNegative = 0.0
    overshoot_nm: NotNegative = 0.0
    stage_speed_nm_per_s: Positive
    decision_s: NotNegative
    settle_s: NotNegative
    flyback_s: NotNegative
    frame_overhead_s: NotNegative
    blank_latency_s: NotNegative
    dark_references: bool = False
    unresponsive: dict[Mode, tuple[Name, ...]] = {}
    read_back_tolerance: dict[Name, NotNegative] = {}
    specimen: Name | None = None


class Range(Word, frozen=True, kw_only=True):
    """A closed interval."""

    low: Number
    high: Number


class Box(Word, frozen=True, kw_only=True):
    """A closed box in stage coordinates, in nm; z is unbounded where it is left out."""

    x: Range
    y: Range
    z: Range | None = None


class Slew(Word, frozen=True, kw_only=True):
    """The largest change of a setting at once, and the rate that it may keep up, per s of the instrument's clock."""

    step: Positive
    per_s: Positive


class Limits(Word, frozen=True, kw_only=True):
    """What the lab allows. A setting without a range here cannot be commanded at all.

    ``ranges`` is keyed by field name (``stage_x_nm``, ``C10_nm``, ``dwell_s``, ...). ``z_loss_per_deg_nm`` narrows
    the range of ``stage_z_nm`` by that much at either end per degree of tilt, alpha and beta added. ``keep_out``
    are boxes that neither the end nor the path of a move may touch. ``slew`` is keyed by field name as ``ranges``
    is. ``max_step_nm`` is the longest single stage move. The dose map covers ``dose_map`` (specimen frame) in cells
    of ``dose_cell_nm``. ``current_bound`` multiplies the set beam current to an upper bound for charging.
    ``on_loss`` says for each holder channel what happens when the agent is lost; a channel without an entry holds.
    """

    ranges: dict[Name, Range]
    z_loss_per_deg_nm: NotNegative = 0.0
    keep_out: tuple[Box, ...] = ()
    max_step_nm: Positive
    slew: dict[Name, Slew] = {}
    dose_map: Box
    dose_cell_nm: Positive
    current_bound: Positive = 1.05
    max_electrons: Positive
    max_fluence_e_per_A2: Positive
    max_dose_rate_e_per_A2_s: Positive
    max_detector_e_per_s: dict[Mode, Positive]
    on_loss: dict[Name, OnLoss] = {}


class Axis(Word, frozen=True, kw_only=True):
    """One calibrated axis of delivered data: value = offset + scale * index."""

    name: Name
    size: Size
    offset: Number
    scale: Number
    unit: Text


class Start(Word, frozen=True, kw_only=True):
    """Opens a finite acquisition: what will come, of which command."""

    command_id: Name
    epoch: Count
    kind: Kind
    mode: Mode
    axes: tuple[Axis, ...]
    dtype: Literal["uint8", "uint16", "uint32", "float32"]
    frames: Size
    start_s: Number


class ChunkHeader(Word, frozen=True, kw_only=True):
    """Heads the rows [row_start, row_start + rows) of frame ``frame``; counts only on the instrument's clock.

    A fast detector hands over as many frames as are ready: where ``frames`` is more than one, these are so many whole
    frames from ``frame`` on, taken at even steps from ``start_s`` to ``end_s``.
    """

    command_id: Name
    epoch: Count
    sequence: Count
    frame: Count
    frames: Size = 1
    row_start: Count
    rows: Size
    start_s: Number
    end_s: Number
    dropped_total: Count = 0
    blanked: bool = False


class Reading(Word, frozen=True, kw_only=True):
    """What the holder measured, at a time on the instrument's clock."""

    clock_s: Number
    holder: Holder


class End(Word, frozen=True, kw_only=True):
    """Closes an acquisition (or a command without one) with what the beam really did.

    ``electrons`` is current x beam-on time / e as measured by the instrument; ``beam_on_share`` is the part of the
    commanded beam-on time that happened, by which the charge is reconciled. ``readings`` are the holder's, all through
    the command, where it is a device of its own.
    """

    command_id: Name
    epoch: Count
    end_s: Number
    electrons: NotNegative
    beam_on_share: Fraction
    aborted: bool
    reason: Text
    chunks: Count
    state: InstrumentState
    readings: tuple[Reading, ...] = ()
