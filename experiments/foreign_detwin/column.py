"""The column of a DE-TEM-Channel, over SOAP: what it reads back and how it is set, in the bridge's units.

Their units are um, deg and stigmators in parts of full scale. Their defocus is negative under focus, as C10 is, and
their aberration function has the sign of ours, so C10_nm = 1000 x Defocus; the tests measure it on Thon rings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from de_twin.column.soap import OP_RUNNING, SoapError, SoapTemChannelClient

from hardware_bridge.errors import Rejected, Unreachable
from hardware_bridge.messages import Command, Go, Interlocks, Optics

T = TypeVar("T")

NM_PER_UM = 1e3
C12_NM_PER_STIGMATOR = 1000.0
C30_UM = 1200.0
"""Of the objective lens, from its data sheet; the column cannot read it back, nor set it."""

STAGE = {"stage_x_nm": NM_PER_UM, "stage_y_nm": NM_PER_UM, "stage_z_nm": NM_PER_UM, "tilt_alpha_deg": 1.0}
STAGE |= {"tilt_beta_deg": 1.0}
AXES = dict(zip(STAGE, "xyzab", strict=True))
APPROACH_NM = 1000.0
READ_BACK_TOLERANCE = {"stage_x_nm": 1.0, "stage_y_nm": 1.0, "stage_z_nm": 1.0} | {
    "tilt_alpha_deg": 0.01, "tilt_beta_deg": 0.01, "C10_nm": 0.1, "C12_nm": 0.1, "phi12_rad": 0.001
}  # fmt: skip
"""By how much a read-back may differ from what was asked for: the column answers six digits."""

KEYS = (
    "PROJ_BeamBlankState",
    "PROJ_Defocus",
    "PROJ_ObjStig",
    "GUN_HTState",
    "GUN_HT",
    "VACUUM_Status",
    "VACUUM_ColumnValvesOpen",
    "PROJ_ScreenPosition",
    "ILLUM_CondenserApertureIndex",
    "PROJ_Magnification",
    "PROJ_Mode",
    "PROJ_TemStemMode",
    "ILLUM_SpotSize",
    "ILLUM_ProbeMode",
)
FIXED = ("GUN_HT", "PROJ_Magnification", "PROJ_Mode", "PROJ_TemStemMode", "ILLUM_SpotSize", "ILLUM_ProbeMode")
MOVE_S = 60.0
POLL_S = 0.02
TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Reading:
    """Everything that the column reads back at one time; ``fixed`` is what nobody may change while it is driven."""

    go: Go
    C10_nm: float
    C12a_nm: float
    C12b_nm: float
    is_blanked: bool
    beam_energy_keV: float
    interlocks: Interlocks
    fixed: tuple[str, ...]

    @property
    def optics(self) -> Optics:
        """Defocus and astigmatism, in Krivanek's notation."""
        return Optics(
            C10_nm=self.C10_nm,
            C12_nm=math.hypot(self.C12a_nm, self.C12b_nm),
            phi12_rad=math.atan2(self.C12b_nm, self.C12a_nm) / 2,
            C30_um=C30_UM,
        )


class Column:
    """A line to the column; every call stands alone, so several threads may use it."""

    def __init__(self, host: str, port: int) -> None:
        self._line = SoapTemChannelClient(host, port, timeout=TIMEOUT_S)

    def read(self) -> Reading:
        """Read everything back; raises Unreachable."""
        x, y, z, alpha, beta = self._ask(self._line.get_stage_position)
        told = dict(zip(KEYS, self._ask(lambda: self._line.execute_batch(KEYS)), strict=True))
        intensity = str(self._ask(lambda: self._line.get_property("Intensity"))[0])
        a, b = (C12_NM_PER_STIGMATOR * float(part) for part in told["PROJ_ObjStig"].split(";"))
        return Reading(
            go=Go(
                stage_x_nm=round(x * NM_PER_UM, 4),
                stage_y_nm=round(y * NM_PER_UM, 4),
                stage_z_nm=round(z * NM_PER_UM, 4),
                tilt_alpha_deg=alpha,
                tilt_beta_deg=beta,
            ),
            C10_nm=round(NM_PER_UM * float(told["PROJ_Defocus"]), 4),
            C12a_nm=a,
            C12b_nm=b,
            is_blanked=told["PROJ_BeamBlankState"] == "1",
            beam_energy_keV=1e-3 * float(told["GUN_HT"]),
            interlocks=Interlocks(
                vacuum_ok=told["VACUUM_Status"] == "1",
                valves_open=told["VACUUM_ColumnValvesOpen"] == "1",
                high_tension_on=told["GUN_HTState"] == "1",
                screen_up=told["PROJ_ScreenPosition"] == "0",
                aperture_inserted=int(told["ILLUM_CondenserApertureIndex"]) > 0,
                detectors_inserted=("HRTEM",),
            ),
            fixed=(*(told[key] for key in FIXED), intensity),
        )

    def blank(self, on: bool) -> None:
        """Blank the beam, or let it through; raises Unreachable where it does not read back so."""
        self._ask(lambda: self._line.set("BeamBlank", int(on)))
        if self.is_blanked() != on:
            raise Unreachable(f"the column was asked for a beam that is {'blank' if on else 'on'}, and it is not")

    def is_blanked(self) -> bool:
        """Whether the beam is blanked; raises Unreachable."""
        return bool(self._ask(lambda: self._line.get("BeamBlank")))

    def apply(self, command: Command, is_over: Callable[[], bool]) -> None:
        """Move and set what a command asks for.

        Raises:
            Rejected: the column refused a value.
            Unreachable: it does not answer, or did not come to rest.
        """
        before = self.read()
        self._move(command.go, before.go, is_over)
        optics = command.set.optics
        if optics.C10_nm is not None:
            self._set("Defocus", optics.C10_nm / NM_PER_UM)
        if optics.C12_nm is not None or optics.phi12_rad is not None:
            size = before.optics.C12_nm if optics.C12_nm is None else optics.C12_nm
            angle = before.optics.phi12_rad if optics.phi12_rad is None else optics.phi12_rad
            assert size is not None
            assert angle is not None
            scale = size / C12_NM_PER_STIGMATOR
            self._set("ObjectiveStig", (scale * math.cos(2 * angle), scale * math.sin(2 * angle)))

    def _move(self, go: Go, before: Go, is_over: Callable[[], bool]) -> None:
        wanted = {name: value for name in STAGE if (value := getattr(go, name)) is not None}
        if not wanted:
            return
        if go.approach == "from_negative":
            self._slew({name: value - APPROACH_NM for name, value in wanted.items() if name.endswith("_nm")}, is_over)
        self._slew(wanted, is_over)

    def _slew(self, wanted: dict[str, float], is_over: Callable[[], bool]) -> None:
        self._set("StagePosition", {AXES[name]: value / STAGE[name] for name, value in wanted.items()})
        deadline_s = time.monotonic() + MOVE_S
        while self._ask(self._line.operation_status) == OP_RUNNING:
            if is_over():
                self._ask(self._line.stop)
                return
            if time.monotonic() > deadline_s:
                raise Unreachable(f"the stage does not come to rest within {MOVE_S:g} s")
            time.sleep(POLL_S)

    def _set(self, name: str, value: object) -> None:
        if not self._ask(lambda: self._line.set(name, value)):
            raise Rejected("column", name, str(value), "what the column accepts")

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (SoapError, OSError) as error:
            raise Unreachable(f"the column does not answer: {error}") from None
