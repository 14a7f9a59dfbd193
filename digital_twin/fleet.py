"""Many twins on one clock: each has a world of one batch, and what they want to see is computed together.

Each twin of a fleet is an instrument like any other, with drift, stage, dose and noise of its own; it gives the same
data as it would alone. They are given commands together, and their beams go on together, at the next beat.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from digital_twin.instrument import Twin, Wanted
from digital_twin.shortcuts import NONE, Shortcuts
from digital_twin.signals import Look, Signals
from digital_twin.specimen import Around, Box, Grid
from digital_twin.world import World, apparatus_of
from hardware_bridge.cost import predict
from hardware_bridge.errors import Rejected
from hardware_bridge.messages import Capabilities, Command, Holder, InstrumentState
from hardware_bridge.microscope import gather_from_watch
from hardware_bridge.observation import Observation, Part

Steps = Generator[Wanted | Part, Tensor | None]

LONGEST_S = 0.4
"""The longest beam-on time: what the beam does in one world must not come after what time does in the next."""


class Share(Around):
    """One world of a batch as a specimen of its own; time passes for all of them."""

    def __init__(self, worlds: World, place: int) -> None:
        super().__init__(worlds)
        self._place = place

    def set_holder(self, holder: Holder) -> None:
        """The holder is that of all worlds; a seat refuses to set it."""

    def expose(self, world: int, box_nm: Box, electrons: float) -> None:
        """Take electrons spread evenly over a box."""
        super().expose(self._place, box_nm, electrons)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        """Projected thickness of each material under a scan, (1, M, H, W) nm."""
        return super().project(self._mine(grids))

    def potential_V_nm(self, grids: Sequence[Grid]) -> Tensor:
        """Projected potential at the pixels of a scan, (1, H, W) V nm."""
        return super().potential_V_nm(self._mine(grids))

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        """Height at points (1, ...)."""
        return super().height_nm(x_nm, y_nm, [self._place])

    def _mine(self, grids: Sequence[Grid]) -> list[Grid]:
        return [replace(grid, world=self._place) for grid in grids]


class Fleet:
    """Twins of worlds, one a seed, in stepped time; ``seats`` are the instruments that they are.

    ``shortcuts`` is what is left out of the physics.
    """

    def __init__(self, kind: type[World], seeds: Sequence[int], beat_s: float, shortcuts: Shortcuts = NONE) -> None:
        self.worlds, self._beats = kind(*seeds), 0
        apparatus = replace(apparatus_of(kind.facts), beat_s=beat_s, shortcuts=shortcuts)
        self._signals = Signals(self.worlds, apparatus.column, shortcuts=shortcuts)
        self.worlds.set_holder(kind.facts.holder)
        twins = [Twin(Share(self.worlds, n), seed, apparatus=apparatus) for n, seed in enumerate(seeds)]
        self.seats = tuple(Seat(self, n, twin) for n, twin in enumerate(twins))

    def run(self) -> None:
        """Run the commands that wait, all together; seats without one let the beat go by."""
        self._beats += 1
        for seat in self.seats:
            if seat.steps is None:
                seat.let_go_by(Command(id=f"idle-{self._beats}"))
        wants = [(seat, wanted) for seat in self.seats if (wanted := seat.until_wanted(None)) is not None]
        alike: dict[tuple[object, ...], list[tuple[Seat, Wanted]]] = {}
        for seat, wanted in wants:
            grid = wanted.look.grids[0]
            alike.setdefault((wanted.mode, len(grid.origin_nm), grid.columns), []).append((seat, wanted))
        for some in alike.values():
            expected = self._signals.expected(some[0][1].mode, _together(some))
            for (seat, _), share in zip(some, expected, strict=True):
                # A second frame has been refused before.
                assert seat.until_wanted(share) is None


class Seat:
    """One instrument of a fleet. Implements ``hardware_bridge.Microscope``."""

    def __init__(self, fleet: Fleet, place: int, twin: Twin) -> None:
        self.place, self.twin = place, twin
        self.steps: Steps | None = None
        self._fleet = fleet
        self._parts: list[Part] = []
        self._pending: tuple[Command, InstrumentState] | None = None

    def describe(self) -> Capabilities:
        """Say what the instrument can do."""
        return self.twin.describe()

    def state(self) -> InstrumentState:
        """Read back where everything is."""
        return self.twin.state()

    def submit(self, command: Command) -> None:
        """Accept a command; it runs with those of the other seats, when the first of them is watched.

        Raises:
            Rejected: for what the instrument cannot do, and for what would take the others along in time.
        """
        before, acquire = self.twin.state(), command.acquire
        if command.set.holder != Holder():
            raise Rejected("fleet", "set.holder", "set points", "none: the holder is that of all worlds")
        beam_s = predict(command, before, self.twin.describe()).beam_on_s
        if acquire is not None and (acquire.max_frames > 1 or beam_s > LONGEST_S):
            told = f"{acquire.max_frames} frames, {beam_s:g} s of beam"
            raise Rejected("fleet", "acquire", told, f"one frame of up to {LONGEST_S:g} s")
        self.let_go_by(command)
        self._pending = (command, before)

    def let_go_by(self, command: Command) -> None:
        """Run a command with those of the other seats that nobody will ask about."""
        self.twin.submit(command)
        self.steps, self._parts = self.twin.steps(), []

    def until_wanted(self, share: Tensor | None) -> Wanted | None:
        """Go on with the command, keeping its parts, until it wants to see something; None at its end."""
        assert self.steps is not None  # those are asked that have a command
        try:
            while True:
                step, share = self.steps.send(share), None
                if isinstance(step, Wanted):
                    return step
                self._parts.append(step)
        except StopIteration:
            self.steps = None
            return None

    def watch(self, timeout_s: float) -> Iterator[Part]:
        """Run the commands of all seats, and yield the parts of this one.

        Raises:
            Rejected: no command was submitted.
        """
        if self._pending is None:
            raise Rejected("idle", "watch", "no command", "a command must be submitted first")
        if self.steps is not None:
            self._fleet.run()
        self._pending = None
        yield from self._parts

    def gather(self, timeout_s: float) -> Observation:
        """Run the commands of all seats, and return the window of this one.

        Raises:
            Rejected: no command was submitted.
        """
        if self._pending is None:
            raise Rejected("idle", "gather", "no command", "a command must be submitted first")
        return gather_from_watch(self, *self._pending, timeout_s)

    def blank(self) -> None:
        """Blank the beam and end what is running."""
        self.twin.blank()

    def stop(self) -> None:
        """Blank, abort and refuse every further command."""
        self.twin.stop()


def _together(some: Sequence[tuple[Seat, Wanted]]) -> Look:
    """The looks of several seats as one."""
    looks = [wanted.look for _, wanted in some]
    wander, slopes = [look.zero_loss_eV for look in looks], [look.slopes for look in looks]
    level = torch.zeros(1, 4, dtype=torch.float64)
    still = torch.zeros(1, len(looks[0].grids[0].origin_nm), dtype=torch.float64)
    return Look(
        grids=[replace(look.grids[0], world=seat.place) for look, (seat, _) in zip(looks, some, strict=True)],
        aberrations=[look.aberrations[0] for look in looks],
        zero_loss_eV=None
        if not any(each is not None for each in wander)
        else torch.cat([still if each is None else each for each in wander]),
        slopes=None
        if not any(each is not None for each in slopes)
        else torch.cat([level if each is None else each for each in slopes]),
    )
