"""What a policy may ask of the reporter's kind: what looks would tell, before they are taken. Knows no truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hardware_bridge.report import Percept
from policies.commands import View

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Way:
    """A way to look that perception can read: a view, and how many cells of the card lie along its field's edge."""

    view: View
    cells: int


class Outlook(Protocol):
    """What is believed of the targets of a run, and what looks would make of it.

    A way to look has places: its field over every square of cells that it covers, (rows, columns) counted from the top
    left, row by row.
    """

    @property
    def ways(self) -> Sequence[Way]:
        """All ways to look that tell something."""
        ...

    def begin(self) -> None:
        """Start a run: nothing was seen."""
        ...

    def add(self, percept: Percept) -> None:
        """Take in what was seen, in order."""
        ...

    @property
    def surprise(self) -> float:
        """How far the last readings were from what was expected: root mean square, in standard deviations."""
        ...

    @property
    def loss_left(self) -> float:
        """What a report is expected to lose now, as a share of what the prior would."""
        ...

    def left(self, cells: NDArray[np.intp], at_s: float) -> float:
        """The standard deviation left of fields in cells (n,) at the next asked time, as a share of the prior's."""
        ...

    def information(self, way: Way, places: NDArray[np.intp], electrons: Array, at_s: float) -> Array:
        """Predicted information (n,), in units of the score, of looks at places (n,) with so many electrons each (n,).

        ``at_s`` counts from the start of the run.
        """
        ...
