"""What the bridge must do, told from the documents and not from its code: the lease, the envelope, the dose."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from experiments import small_column
from experiments.small_column import CAPABILITIES, RANGES
from hardware_bridge.messages import Command, InstrumentState

HEARTBEAT_S, LEASE_S, WAIT_S = 0.4, 10.0, 3600.0
E_PER_PA_S = 1e-12 / 1.602176634e-19
LIMITS = replace(
    small_column.LIMITS,
    max_electrons=1.2e7,
    max_fluence_e_per_A2=0.6,
    max_detector_e_per_s={"HAADF": 1e8, "EELS": 5e6},
)
EDGES_NM = np.arange(-1600.0, 1601.0, 64.0)


@dataclass
class Lease:
    """At most one holder, under a token that only grows; ``given`` is the greatest that anybody was told."""

    holder: str | None = None
    token: int = 0
    given: int = 0
    heard_s: float = 0.0
    present_s: float = 0.0
    wait_until_s: float = 0.0

    def holds(self, who: str, token: int) -> bool:
        """Whether this is the holder, under the right token."""
        return self.holder == who and self.token == token

    def take(self, who: str, now_s: float) -> bool:
        """Whether it is theirs now."""
        if self.holder not in (None, who):
            return False
        if self.holder is None:
            self.token += 1
            self.wait_until_s = 0.0
        self.holder, self.heard_s = who, now_s
        return True

    def beat(self, now_s: float) -> None:
        """The loop was heard."""
        self.heard_s = now_s

    def work(self, now_s: float) -> None:
        """A command was asked for: beats are due."""
        self.heard_s, self.wait_until_s = now_s, 0.0

    def wait(self, now_s: float) -> None:
        """The holder has blanked and thinks."""
        self.present_s, self.wait_until_s = now_s, now_s + WAIT_S

    def is_live(self, now_s: float) -> bool:
        """Whether the holder may have something running."""
        return self.holder is not None and now_s - self.heard_s <= HEARTBEAT_S

    def expire(self, now_s: float) -> bool:
        """Whether the holder was lost just now."""
        heard_s = max(self.heard_s, self.present_s) if now_s < self.wait_until_s else self.heard_s
        if self.holder is None or now_s - heard_s <= LEASE_S:
            return False
        self.holder = None
        return True


def refusal(before: InstrumentState, command: Command) -> str | None:
    """Why a command may not run, the dose aside; None where it may."""
    groups = (command.go, command.set.optics, command.set.holder)
    asked = {name: v for group in groups for name in group.__struct_fields__ if (v := getattr(group, name)) is not None}
    asked.pop("approach", None)
    acquire = command.acquire
    if acquire is not None:
        names = ("fov_nm", "pixels_x", "pixels_y", "dwell_s", "max_frames")
        asked |= {name: getattr(acquire, name) for name in names}
    for name, value in asked.items():
        allowed = RANGES.get(name)
        if allowed is None or not allowed.low <= value <= allowed.high:
            return f"I1 {name}"
    then = {name: asked.get(name, getattr(before.go, name)) for name in before.go.__struct_fields__}
    steepest_deg = max(abs(then["tilt_alpha_deg"]), abs(before.go.tilt_alpha_deg))
    for z_nm in (then["stage_z_nm"], before.go.stage_z_nm):
        if "tilt_alpha_deg" in asked or "stage_z_nm" in asked:
            is_now_tilted = "tilt_alpha_deg" in asked and then["tilt_alpha_deg"] != before.go.tilt_alpha_deg
            if (is_now_tilted or z_nm == then["stage_z_nm"]) and abs(z_nm) > 5000.0 - 100.0 * steepest_deg:
                return "I1 tilt and height"
    moves = [(getattr(before.go, name), then[name]) for name in ("stage_x_nm", "stage_y_nm", "stage_z_nm")]
    if math.dist(*zip(*moves, strict=True)) > LIMITS.max_step_nm:
        return "I1 step"
    if any(a != b for a, b in moves) and all(min(m) <= 400.0 and max(m) >= 300.0 for m in moves[:2]):
        return "I1 swept path"
    if acquire is None:
        return None
    if acquire.mode not in ("HAADF", "EELS"):
        return "mode"
    if not before.interlocks.vacuum_ok:
        return "I10"
    rate = _bound_pA(before, command) * E_PER_PA_S * CAPABILITIES.detector_fraction[acquire.mode]
    return "I11" if rate > LIMITS.max_detector_e_per_s[acquire.mode] else None


def _bound_pA(before: InstrumentState, command: Command) -> float:
    asked = command.set.optics.beam_current_pA
    return 1.05 * (asked if asked is not None else before.optics.beam_current_pA or 0.0)


@dataclass(frozen=True)
class Charge:
    """Electrons of a command, its fluence in e/A^2, and the cells that it may reach: (50, 50) bool."""

    electrons: float
    fluence: float
    cells: np.ndarray
    is_on_map: bool


def charge(before: InstrumentState, command: Command) -> Charge:
    """The whole dose that a command may give, by hand (I6)."""
    acquire = command.acquire
    if acquire is None:
        return Charge(0.0, 0.0, np.zeros((50, 50), dtype=bool), True)
    on_s = acquire.max_frames * acquire.pixels_y * (acquire.pixels_x * acquire.dwell_s + CAPABILITIES.flyback_s)
    electrons = _bound_pA(before, command) * E_PER_PA_S * on_s
    height_nm = acquire.fov_nm * acquire.pixels_y / acquire.pixels_x
    touched, is_on_map = [], True
    for axis, extent_nm in (("y", height_nm), ("x", acquire.fov_nm)):
        centre_nm = 0.0
        for name in (f"stage_{axis}_nm", f"beam_shift_{axis}_nm"):
            asked = getattr(command.go, name)
            centre_nm += asked if asked is not None else getattr(before.go, name)
        reach_nm = extent_nm / 2 + CAPABILITIES.probe_diameter_nm / 2
        is_on_map &= abs(centre_nm) + reach_nm <= 1600.0
        touched.append((EDGES_NM[:-1] < centre_nm + reach_nm) & (EDGES_NM[1:] > centre_nm - reach_nm))
    return Charge(electrons, electrons / (100.0 * acquire.fov_nm * height_nm), np.outer(*touched), is_on_map)


@dataclass
class Entry:
    """A command that was begun: what it was charged, the share of it that stays, and what of it is on disk."""

    command: Command
    charge: Charge
    chunks: int
    share: float = 1.0
    is_done: bool = False
    is_result_written: bool = False


@dataclass
class Book:
    """Every command that was begun, in order."""

    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def electrons(self) -> float:
        """Charged in all."""
        return sum(entry.share * entry.charge.electrons for entry in self.entries.values())

    @property
    def fluence(self) -> np.ndarray:
        """Charged to each cell, (50, 50) e/A^2."""
        filled = np.zeros((50, 50))
        for entry in self.entries.values():
            filled[entry.charge.cells] += entry.share * entry.charge.fluence
        return filled

    def refusal(self, asked: Charge) -> str | None:
        """Why the dose does not allow a command; None where it does."""
        if not asked.electrons:
            return None
        if self.electrons + asked.electrons > LIMITS.max_electrons:
            return "I6 electrons"
        if not asked.is_on_map or self.fluence[asked.cells].max() + asked.fluence > LIMITS.max_fluence_e_per_A2:
            return "I6 fluence"
        return None

    def forget_memory(self) -> None:
        """The process is gone: what is not on disk is unknown, and charged in full."""
        for entry in self.entries.values():
            if not entry.is_result_written:
                entry.is_done, entry.share = False, 1.0
