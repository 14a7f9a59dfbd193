"""The beam current watched: what the instrument measures beside what is set, and an alarm where they part.

Emitters decay, guns trip, apertures are knocked. Intensities are divided by the measured current, so images do not show
it; somebody has to be told. A driver that only repeats what was set cannot raise an alarm.
"""

from __future__ import annotations

from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.messages import Capabilities, Command, InstrumentState
from hardware_bridge.observation import Observation


def measured_pA(command: Command, state: InstrumentState, capabilities: Capabilities, electrons: float) -> float | None:
    """The mean current over an acquisition that ran to its end; None where the beam was to be off all the time.

    ``electrons`` are those of its End, by the instrument's own measure; flyback is beam-on time.
    """
    on_s = predict(command, state, capabilities).beam_on_s
    return electrons / (on_s * ELECTRONS_PER_PA_S) if on_s > 0.0 else None


class CurrentWatch:
    """Gives an alarm where measured over set current is ``limit_share`` from the last one told of, or from the last.

    The first is thought to be 1. So a decay is told once for each such step that it goes on, a jump at once, and the
    way back like the way down. What is set is what was commanded last; before that, what the instrument reads back.
    """

    def __init__(self, capabilities: Capabilities, limit_share: float) -> None:
        self._capabilities, self._limit_share = capabilities, limit_share
        self._set_pA: float | None = None
        self._told, self._last = 1.0, 1.0

    def see(self, observation: Observation) -> tuple[str, ...]:
        """Take one observation; returns what somebody should hear of. An aborted one tells nothing."""
        command, state = observation.command, observation.state
        commanded_pA = command.set.optics.beam_current_pA
        if commanded_pA is not None or self._set_pA is None:
            self._set_pA = commanded_pA if commanded_pA is not None else state.optics.beam_current_pA
        measured = measured_pA(command, state, self._capabilities, observation.electrons)
        if measured is None or observation.aborted or not self._set_pA:
            return ()
        share, before = measured / self._set_pA, self._last
        self._last = share
        jumped = abs(share - before) > self._limit_share
        if not jumped and abs(share - self._told) <= self._limit_share:
            return ()
        self._told = share
        how = f"jumped from {before:.1%}" if jumped else "has gone"
        return (
            f"the beam current {how} to {share:.1%} of what is set: {measured:.4g} pA measured, {self._set_pA:.4g} pA "
            f"set, at {observation.end_s:.1f} s; told at steps of {self._limit_share:.1%}",
        )
