"""What is safe: one pure function, asked beside the instrument, by the envelope, edit forms and environments alike.

Reject, never clamp. A setting that has no range in the limits cannot be commanded at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from hardware_bridge.cost import ELECTRONS_PER_PA_S, beam_current_pA
from hardware_bridge.dose import Charge, DoseLedger, predict_charge
from hardware_bridge.errors import Rejected
from hardware_bridge.geometry import merged
from hardware_bridge.messages import Box, Capabilities, Command, Go, InstrumentState, Interlocks, Limits, Mode, Range

STAGE = ("stage_x_nm", "stage_y_nm", "stage_z_nm")


def check(
    command: Command, limits: Limits, state: InstrumentState, capabilities: Capabilities, dose: DoseLedger
) -> Charge:
    """Return what the command will be charged, or raise if it must not run.

    Pure: nothing is changed, the ledger neither. The command must have been validated (finite, bounded).

    Raises:
        Rejected: with code, field, value and limit of the first wall the command would pass.
    """
    _check_ranges(command, limits)
    after = merged(state.go, command.go)
    _check_tilted_height(state.go, after, limits)
    _check_path(state.go, after, limits)
    beyond = _overshoot(command.go, capabilities.overshoot_nm)
    if beyond is not None:
        # As if it were asked for: the stage really goes there first.
        _check_ranges(Command(id=command.id, go=beyond), limits)
        _check_tilted_height(state.go, merged(state.go, beyond), limits)
        _check_path(state.go, merged(state.go, beyond), limits)
    if command.acquire is not None:
        _check_mode(command, limits, state, capabilities)
    charge = predict_charge(command, limits, state, capabilities)
    dose.check(charge)
    return charge


def check_interlocks(mode: Mode, locks: Interlocks) -> None:
    """Raise Rejected, naming the first of what must read back right before an acquisition and does not."""
    for name in ("vacuum_ok", "valves_open", "high_tension_on", "screen_up", "aperture_inserted"):
        if not getattr(locks, name):
            raise Rejected("interlock", name, "false", "true before any acquisition")
    if mode not in locks.detectors_inserted:
        raise Rejected("interlock", "detectors_inserted", ", ".join(locks.detectors_inserted) or "none", mode)


def _asked(command: Command) -> Iterator[tuple[str, str, float]]:
    """Every number that a command sets: (path, field name, value)."""
    groups = [("go", command.go), ("set.optics", command.set.optics), ("set.holder", command.set.holder)]
    for prefix, group in groups:
        for name in group.__struct_fields__:
            value = getattr(group, name)
            if value is not None and not isinstance(value, str):
                yield f"{prefix}.{name}", name, float(value)
    if command.acquire is not None:
        for name in ("fov_nm", "pixels_x", "pixels_y", "dwell_s", "max_frames"):
            yield f"acquire.{name}", name, float(getattr(command.acquire, name))


def _check_ranges(command: Command, limits: Limits) -> None:
    for path, name, value in _asked(command):
        allowed = limits.ranges.get(name)
        if allowed is None:
            raise Rejected("no_range", path, f"{value:g}", "this setting has no range in the limits")
        # Written so that NaN, should one ever get here, is outside.
        if not allowed.low <= value <= allowed.high:
            raise Rejected("range", path, f"{value:g}", f"{allowed.low:g}..{allowed.high:g}")


def _overshoot(go: Go, overshoot_nm: float) -> Go | None:
    """Where an approach from the negative side turns round; None where a move has no such place."""
    asked = {name: value for name in STAGE if (value := getattr(go, name)) is not None}
    if go.approach == "direct" or not overshoot_nm or not asked:
        return None
    return Go(**{name: value - overshoot_nm for name, value in asked.items()})


def _check_tilted_height(before: Go, after: Go, limits: Limits) -> None:
    allowed = limits.ranges.get("stage_z_nm")
    if allowed is None or not limits.z_loss_per_deg_nm:
        return
    tilt, height = _tilt(after), after.stage_z_nm or 0.0
    passed = [(tilt, height)]
    if (after.tilt_alpha_deg, after.tilt_beta_deg) != (before.tilt_alpha_deg, before.tilt_beta_deg):
        # Nobody knows whether height or tilt moves first, so the larger tilt must be safe at both heights.
        steepest = _steepest(before, after)
        passed = [(steepest, height), (steepest, before.stage_z_nm or 0.0)]
    for tilt, height in passed:
        loss = limits.z_loss_per_deg_nm * tilt
        if not allowed.low + loss <= height <= allowed.high - loss:
            raise Rejected(
                "tilt_height",
                "go.stage_z_nm",
                f"{height:g} at {tilt:g} deg",
                f"{allowed.low + loss:g}..{allowed.high - loss:g} at this tilt",
            )


def _tilt(go: Go) -> float:
    """The most that the holder can be tilted in all, in degrees: cos(tilt) = cos(alpha) cos(beta)."""
    return abs(go.tilt_alpha_deg or 0.0) + abs(go.tilt_beta_deg or 0.0)


def _steepest(before: Go, after: Go) -> float:
    """The most on the way, whichever of the two tilts moves first."""
    pairs = ((before.tilt_alpha_deg, after.tilt_alpha_deg), (before.tilt_beta_deg, after.tilt_beta_deg))
    return sum(max(abs(a or 0.0), abs(b or 0.0)) for a, b in pairs)


def _check_path(before: Go, after: Go, limits: Limits) -> None:
    start = _stage(before)
    end = _stage(after)
    if start == end:
        return
    length_nm = sum((b - a) ** 2 for a, b in zip(start, end, strict=True)) ** 0.5
    if length_nm > limits.max_step_nm:
        raise Rejected("step", "go.stage", f"{length_nm:g} nm in one move", f"{limits.max_step_nm:g} nm")
    for box in limits.keep_out:
        if _sweep_meets(box, start, end):
            raise Rejected(
                "keep_out",
                "go.stage",
                f"a path from {_spoken(start)} to {_spoken(end)}",
                f"no path through x {box.x.low:g}..{box.x.high:g}, y {box.y.low:g}..{box.y.high:g} nm",
            )


def _stage(go: Go) -> tuple[float, float, float]:
    return (go.stage_x_nm or 0.0, go.stage_y_nm or 0.0, go.stage_z_nm or 0.0)


def _spoken(point: tuple[float, float, float]) -> str:
    return f"({point[0]:g}, {point[1]:g}, {point[2]:g}) nm"


def _sweep_meets(box: Box, start: tuple[float, float, float], end: tuple[float, float, float]) -> bool:
    """Whether a move can touch a closed box, in whatever order and at whatever speeds the axes move.

    Such paths fill the whole cuboid between start and end.
    """
    z = box.z if box.z is not None else Range(low=-1e15, high=1e15)
    return all(
        min(a, b) <= kept.high and max(a, b) >= kept.low
        for kept, a, b in zip((box.x, box.y, z), start, end, strict=True)
    )


def _check_mode(command: Command, limits: Limits, state: InstrumentState, capabilities: Capabilities) -> None:
    assert command.acquire is not None
    mode = command.acquire.mode
    if mode not in capabilities.modes:
        raise Rejected("mode", "acquire.mode", mode, f"this instrument has {', '.join(capabilities.modes)}")
    if command.acquire.blanked and not capabilities.dark_references:
        raise Rejected("mode", "acquire.blanked", "true", "this instrument takes no dark references")
    check_interlocks(mode, state.interlocks)
    limit = limits.max_detector_e_per_s.get(mode)
    if limit is None:
        raise Rejected("no_range", "max_detector_e_per_s", mode, "this mode has no detector limit")
    current_pA = limits.current_bound * beam_current_pA(command, state)
    rate = current_pA * ELECTRONS_PER_PA_S * capabilities.detector_fraction.get(mode, 1.0)
    no_current = state.optics.beam_current_pA is None and not command.acquire.blanked
    if beam_current_pA(command, state) == 0.0 and no_current:
        raise Rejected("read_back", "optics.beam_current_pA", "none", "a beam current that reads back, or is set")
    if rate > limit:
        raise Rejected("detector", "set.optics.beam_current_pA", f"{rate:.4g} e/s on the detector", f"{limit:.4g} e/s")
