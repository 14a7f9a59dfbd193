"""How fast settings may change: no jump, and no more per second than the lab allows, on the instrument's clock.

A setting with a limit has a bucket of size ``step`` that every change fills by its size and that empties at ``per_s``.
Over any time T it changes by at most step + per_s T. The clock is the instrument's: what heats or turns does so in its
time, stepped or real. What changed before the first command came is not known, so the buckets begin full then.
"""

from __future__ import annotations

from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Command, InstrumentState, Limits


class SlewLedger:
    """What each limited setting was last set to, and how full its bucket was then."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits.slew
        self._level = {name: slew.step for name, slew in limits.slew.items()}
        self._set_to: dict[str, float] = {}
        self._clock_s: float | None = None

    def begin(self, clock_s: float) -> None:
        """From now on, where it was not begun before, the buckets empty."""
        if self._clock_s is None:
            self._clock_s = clock_s

    def check(self, command: Command, state: InstrumentState) -> None:
        """Raise Rejected, saying how long to wait, where a command changes a setting too much or too soon."""
        self.begin(state.clock_s)
        for path, name, change in self._changes(command, state):
            slew, level = self._limits[name], self._now(name, state.clock_s)
            if level + change > slew.step:
                wait_s = (level + change - slew.step) / slew.per_s
                limit = f"{slew.step:g} at once and {slew.per_s:g} per s"
                raise Rejected("slew", path, f"a change of {change:g}", limit if change > slew.step else
                               f"{limit}: wait {wait_s:.3g} s")  # fmt: skip

    def add(self, command: Command, state: InstrumentState) -> None:
        """Note what a command is about to change; ``state`` is that before it."""
        changes = {name: change for _, name, change in self._changes(command, state)}
        for name in self._level:
            self._level[name] = self._now(name, state.clock_s) + changes.get(name, 0.0)
        self._clock_s = state.clock_s
        for group in (command.go, command.set.optics, command.set.holder):
            self._set_to.update({name: getattr(group, name) for name in changes if hasattr(group, name)})

    def _now(self, name: str, clock_s: float) -> float:
        if self._clock_s is None:
            return self._level[name]
        return max(0.0, self._level[name] - self._limits[name].per_s * max(0.0, clock_s - self._clock_s))

    def _changes(self, command: Command, state: InstrumentState) -> list[tuple[str, str, float]]:
        found = []
        groups = (("go", command.go, state.go), ("set.optics", command.set.optics, state.optics),
                  ("set.holder", command.set.holder, state.holder))  # fmt: skip
        for prefix, asked, taken in groups:
            for name in asked.__struct_fields__:
                value = getattr(asked, name)
                if name not in self._limits or value is None:
                    continue
                # Read-backs of the holder lag: what was commanded last counts, where the bridge knows it.
                before = self._set_to.get(name, getattr(taken, name))
                if before is None:
                    raise Rejected("slew", f"{prefix}.{name}", f"{value:g}", "a setting that reads back")
                found.append((f"{prefix}.{name}", name, abs(value - before)))
        return found
