"""What a check is: a deviation from somebody else's number, a tolerance, and a mistake that it must catch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutation:
    """A mistake that could be made in the twin: ``owner.attribute`` becomes ``change`` of what it was.

    ``owner`` is the module or class in which the name is looked up when the twin runs, which is not the one that
    defines it where another module has imported the name.
    """

    says: str
    owner: object
    attribute: str
    change: Callable[[Any], Any]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Make the mistake for a while."""
        original = getattr(self.owner, self.attribute)
        setattr(self.owner, self.attribute, self.change(original))
        _forget()
        try:
            yield
        finally:
            setattr(self.owner, self.attribute, original)
            _forget()


@dataclass(frozen=True)
class Check:
    """One line of the table.

    ``achieved`` computes how far the twin is from the reference, at best 0, in ``unit`` (none: a relative or
    dimensionless deviation, whichever ``name`` says); it holds up to ``tolerance``. ``reference`` names the code with
    its version, or the closed form and where it stands. ``unmet`` is the reason why a check is not met, if so.
    A slow one takes more than some two seconds.
    """

    name: str
    reference: str
    achieved: Callable[[], float]
    tolerance: float
    mutation: Mutation
    unit: str = ""
    slow: bool = False
    unmet: str = ""

    def holds(self, achieved: float) -> bool:
        """Whether a deviation is within the tolerance; one that is not a number is not."""
        return achieved <= self.tolerance

    def mutated(self) -> float:
        """The deviation while the mistake is made; a mistake that the twin itself refuses is infinitely far off."""
        with self.mutation.applied():
            try:
                return self.achieved()
            except (ArithmeticError, ValueError):
                return float("inf")


def _forget() -> None:
    """Empty the caches of the twin: what was computed with and without the mistake must not mix."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("digital_twin", "experiments"):
            for value in list(vars(module).values()):
                if callable(clear := getattr(value, "cache_clear", None)):
                    clear()
