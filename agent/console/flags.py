"""What a person should be careful about in a command, in few words each."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hardware_bridge.cost import fluence_e_per_A2
from hardware_bridge.messages import Capabilities, Command, InstrumentState, Limits
from hardware_bridge.report import Percept

NEAR = 0.05
"""Share of its range that a setting is near a limit in; an assumption of this console, as the next one is."""
HARMLESS_LOW = frozenset({"beam_current_pA"})
MUCH = 0.8
"""Share of the allowed fluence from which on damage is near."""

UNLIKE = 5.0
"""Standard deviations by which an image is unlike the earlier ones: an assumption, as the next is."""
BLURRED, APART, SOFT = 0.01, 0.02, 0.002
"""Shares of a field's width: of drift within an image, of the doubt where it lies, and of the blur by that of focus."""


def flags(command: Command, state: InstrumentState, limits: Limits, capabilities: Capabilities) -> Iterator[str]:
    """Say what is risky: settings near their limits, and fluence near what a cell may get."""
    tree = msgspec.to_builtins(command)
    for group in (tree["go"], tree["set"]["optics"], tree["set"]["holder"]):
        for name, value in group.items():
            allowed = limits.ranges.get(name)
            if allowed is None or not isinstance(value, int | float):
                continue
            margin = NEAR * (allowed.high - allowed.low)
            below = value - allowed.low if name not in HARMLESS_LOW else margin
            if min(below, allowed.high - value) < margin:
                yield f"{name} {value:g} is near its limit, {allowed.low:g} to {allowed.high:g}"
    fluence = fluence_e_per_A2(command, state, capabilities)
    most = limits.max_fluence_e_per_A2
    if fluence > MUCH * most:
        yield f"near damage: {fluence:.3g} of {most:g} e/A^2 in one go"
    elif state.fluence_max_e_per_A2 + fluence > MUCH * most:
        reached = state.fluence_max_e_per_A2 + fluence
        yield f"near damage if it meets the most exposed cell: {reached:.3g} of {most:g} e/A^2"


def doubts(percept: Percept, capabilities: Capabilities) -> Iterator[str]:
    """Say what in the last look is risky for the next: drift, a place or a focus that is not known, strange sights."""
    quality, estimates = percept.quality, percept.estimates
    drift_nm = quality.get("drift_in_frame_nm", 0.0)
    if drift_nm > BLURRED * percept.width_nm > 0.0:
        yield f"drift: {drift_nm:.2g} nm within the last image"
    apart_nm = max((estimates[name].sd for name in ("drift_x_nm", "drift_y_nm") if name in estimates), default=0.0)
    if apart_nm > APART * percept.width_nm > 0.0:
        yield f"its place is known to {apart_nm:.2g} nm only"
    focus = estimates.get("defocus_error_nm")
    # By geometry: a probe of this angle is so wide, so far from its focus.
    blur_nm = focus.sd * 1e-3 * capabilities.convergence_semi_angle_mrad if focus is not None else 0.0
    if focus is not None and blur_nm > SOFT * percept.width_nm > 0.0:
        yield f"defocus is known to {focus.sd:.2g} nm only: it may blur by {blur_nm:.2g} nm"
    if percept.novelty > UNLIKE:
        yield f"the last image is unlike those before, by {percept.novelty:.2g} standard deviations"
