"""A driver seen through its calibration: what is asked in true units reaches it in its own, and back."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from hardware_bridge.calibration import Calibration
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Capabilities, Command, End, InstrumentState, Start
from hardware_bridge.microscope import Microscope, gather_from_watch
from hardware_bridge.observation import Observation, Part
from hardware_bridge.report import Estimate


class Calibrated:
    """Wraps a driver; goes below the guard, so that limits and dose are counted in true units. A ``Microscope``.

    Matrices and backlash go into ``describe``, for whoever plans moves; field of view, scan rotation, C10 and the
    energy axis are translated, so that an asked field is as wide, and a defocus as strong, as asked.
    """

    def __init__(self, inner: Microscope, calibration: Calibration) -> None:
        """Wrap a driver.

        Raises:
            ValueError: the calibration is of another instrument.
        """
        stated = inner.describe()
        if (stated.name, stated.version) != (calibration.instrument, calibration.version):
            raise ValueError(
                f"the calibration was measured on {calibration.instrument} {calibration.version}, "
                f"this is {stated.name} {stated.version}"
            )
        self._inner = inner
        self._pixel = _gain(calibration.pixel_size)
        self._turn = _gain(calibration.scan_rotation_gain)
        self._lens = _gain(calibration.defocus_gain)
        self._zero_loss_eV = calibration.zero_loss_eV.value if calibration.zero_loss_eV is not None else 0.0
        stage, shift = calibration.stage_to_specimen, calibration.beam_shift_to_specimen
        self._capabilities = replace(
            stated,
            stage_to_specimen=stage.value if stage is not None else stated.stage_to_specimen,
            beam_shift_to_specimen=shift.value if shift is not None else stated.beam_shift_to_specimen,
            backlash_nm=calibration.backlash_nm,
            energy_offset_eV=stated.energy_offset_eV - self._zero_loss_eV,
        )
        self._pending: tuple[Command, InstrumentState] | None = None

    def describe(self) -> Capabilities:
        """Say what the instrument can do, with the measured maps."""
        return self._capabilities

    def state(self) -> InstrumentState:
        """Read back where everything is, in true units."""
        return self._outward(self._inner.state())

    def submit(self, command: Command) -> None:
        """Translate a command and pass it on; raises what the driver raises."""
        before = self.state()
        self._inner.submit(self._inward(command))
        self._pending = command, before

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Yield the parts of the submitted command, axes and state translated."""
        for part in self._inner.watch(timeout_s):
            if isinstance(part, Start):
                yield self._axes(part)
            elif isinstance(part, End):
                yield replace(part, state=self._outward(part.state))
            else:
                yield part

    def gather(self, timeout_s: float) -> Observation:
        """Wait for the submitted command to end and return its window.

        Raises:
            Rejected: no command was submitted.
        """
        if self._pending is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        command, before = self._pending
        self._pending = None
        return gather_from_watch(self, command, before, timeout_s)

    def blank(self) -> None:
        """Blank the beam now."""
        self._inner.blank()

    def stop(self) -> None:
        """Blank, abort and refuse every further command."""
        self._inner.stop()

    def _inward(self, command: Command) -> Command:
        go, optics, acquire = command.go, command.set.optics, command.acquire
        if go.scan_rotation_deg is not None:
            go = replace(go, scan_rotation_deg=go.scan_rotation_deg / self._turn)
        if optics.C10_nm is not None:
            optics = replace(optics, C10_nm=optics.C10_nm / self._lens)
        if acquire is not None:
            acquire = replace(acquire, fov_nm=acquire.fov_nm / self._pixel)
        return replace(command, go=go, set=replace(command.set, optics=optics), acquire=acquire)

    def _outward(self, state: InstrumentState) -> InstrumentState:
        go, optics = state.go, state.optics
        if go.scan_rotation_deg is not None:
            go = replace(go, scan_rotation_deg=go.scan_rotation_deg * self._turn)
        if optics.C10_nm is not None:
            optics = replace(optics, C10_nm=optics.C10_nm * self._lens)
        return replace(state, go=go, optics=optics)

    def _axes(self, start: Start) -> Start:
        axes = []
        for axis in start.axes:
            if axis.unit == "nm":
                axis = replace(axis, offset=axis.offset * self._pixel, scale=axis.scale * self._pixel)
            elif axis.unit == "eV":
                axis = replace(axis, offset=axis.offset - self._zero_loss_eV)
            axes.append(axis)
        return replace(start, axes=tuple(axes))


def _gain(found: Estimate | None) -> float:
    return found.value if found is not None else 1.0
