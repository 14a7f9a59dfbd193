"""A measurement that comes later than was expected when it was decided, told where the forecast has lost by it."""

from __future__ import annotations

import logging
import math

# Correlation that a forecast may lose between when the measurement was expected and when it came.
LOST_SHARE = 0.05

_log = logging.getLogger(__name__)


class Lateness:
    """Compares when a measurement was expected to end with when it did, and warns once each time it is late."""

    def __init__(self) -> None:
        self._expected_s: float | None = None

    def decided(self, expected_s: float) -> None:
        """Remember when what was decided newest is expected to end."""
        self._expected_s = expected_s

    def measured(self, end_s: float, time_s: float) -> str | None:
        """Return and log a warning where a measurement ended too long after it was expected to.

        ``time_s`` is in what time the process forgets (1/e). Without a decision before it there is nothing to say.
        """
        expected_s, self._expected_s = self._expected_s, None
        if expected_s is None or end_s <= expected_s:
            return None
        lost = -math.expm1(-(end_s - expected_s) / time_s)
        if lost <= LOST_SHARE:
            return None
        warning = (
            f"The decision came late: the measurement ended {end_s - expected_s:.1f} s after it was expected to, "
            f"and what was forecast for it has lost {lost:.0%} of its weight"
        )
        _log.warning(warning)
        return warning
