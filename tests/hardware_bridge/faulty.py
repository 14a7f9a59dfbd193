"""The instrument of the state machine: it fails where it is told to, and remembers what reached it."""

from typing import Protocol

from msgspec.structs import replace

from experiments.bridge_faults.instrument import Instrument
from experiments.bridge_faults.stepped import Stepped
from hardware_bridge import wire
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Command, InstrumentState


class Machine(Protocol):
    """Whoever drives it."""

    bridge: Stepped
    is_cut: bool

    def in_mid_scan(self, chunk: int) -> None: ...
    def point(self, name: str) -> None: ...
    def _safety(self, who: str, kind: type[wire.Message], token: int) -> None: ...


class Crash(BaseException):
    """The process of the bridge is gone."""


class Faulty(Instrument):
    """The instrument, as the machine drives it: it remembers what it was like when a command reached it."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine
        self.between = machine.in_mid_scan
        self.fault, self.clamps = "", False
        self.reached: list[tuple[InstrumentState, Command]] = []

    def state(self) -> InstrumentState:
        if self.fault == "state breaks":
            self.fault = ""
            raise OSError("no answer")
        state = super().state()
        return replace(state, optics=replace(state.optics, C10_nm=-1.0)) if self.clamps else state

    def submit(self, command: Command) -> None:
        fault, self.fault = self.fault, ""
        if fault == "submit refuses":
            raise Rejected("vendor", "id", command.id, "another time")
        if fault == "submit breaks":
            raise OSError("broken pipe")
        if fault == "blanked meanwhile":
            self._machine._safety("b", wire.Blank, 0)
            self._machine.bridge.listen()
        self.clamps = fault == "clamps" and command.set.optics.C10_nm is not None
        self._machine.is_cut |= self.clamps
        self._machine.point("before submit")
        self.reached.append((self._state, command))
        super().submit(command)
        self._machine.point("after submit")

    @property
    def is_aborted(self) -> bool:
        return self._is_aborted
