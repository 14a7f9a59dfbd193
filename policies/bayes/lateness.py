"""A measurement that happens later than it was decided for, told where the forecast has lost by it."""

from __future__ import annotations

import logging
import math

# Correlation that a forecast may lose between the time it was made for and the time of the measurement.
LOST_SHARE = 0.05

_log = logging.getLogger(__name__)


class Lateness:
    """Compares when a measurement was meant to happen with when it did, and warns once each time it is late."""

    def __init__(self) -> None:
        self._meant_s: float | None = None

    def decided(self, meant_s: float) -> None:
        """Remember for when the newest decision was made."""
        self._meant_s = meant_s

    def measured(self, t_s: float, time_s: float) -> str | None:
        """Return and log a warning where a measurement at t_s was decided for a time that is too long before.

        ``time_s`` is in what time the process forgets (1/e). Without a decision before it there is nothing to say.
        """
        meant_s, self._meant_s = self._meant_s, None
        if meant_s is None or t_s <= meant_s:
            return None
        lost = -math.expm1(-(t_s - meant_s) / time_s)
        if lost <= LOST_SHARE:
            return None
        warning = (
            f"The decision came late: the measurement happened {t_s - meant_s:.1f} s after the time it was chosen for, "
            f"and what was forecast has changed by {lost:.0%} since"
        )
        _log.warning(warning)
        return warning
