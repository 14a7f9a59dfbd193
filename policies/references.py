"""Scheduled references: any policy, which now and then looks at the detectors themselves before it goes on.

They are proposed in front of what the policy would do; what must not run falls back to that. A policy says in each of
its commands where to be and what to set, so it finds the instrument as it wants it after a reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from hardware_bridge.cost import predict
from hardware_bridge.messages import SCANNED_MODES, Acquire, Command, Go, Optics, Settings
from hardware_bridge.report import GAIN_REFERENCE
from hardware_bridge.words import NotNegative, Positive, Size, Word
from policies.interface import Foreseen, Policy, Proposal, Setup, Situation, Turn, foreseen

Kind = tuple[str, float, int, int]
ZERO_LOSS = "zero-loss"


class Place(Word, frozen=True, kw_only=True):
    """Where and how brightly lit a reference is taken; what is left out stays as it is."""

    go: Go = Go()
    beam_current_pA: NotNegative | None = None


class GainReference(Word, frozen=True, kw_only=True):
    """Gain references of the views in use whose mode is in ``modes``: an even illumination of an empty place ``at``.

    ``repeats`` of them, with ``dwell_s`` each (left out, that of the view), are taken one after another and averaged.
    """

    every_s: Positive
    at: Place = Place()
    modes: tuple[Literal["HRTEM", "BF", "EELS"], ...] = ("HRTEM",)
    dwell_s: Positive | None = None
    repeats: Size = 1


class ZeroLossReference(Word, frozen=True, kw_only=True):
    """A small spectrum of a square field, wherever none has told the zero loss for ``every_s``."""

    every_s: Positive
    at: Place = Place()
    fov_nm: Positive = 64.0
    pixels: Size = 8
    dwell_s: Positive = 1e-5


@dataclass(frozen=True)
class Schedule:
    """Which references are taken how often, in s of the instrument's clock; None is never."""

    dark_every_s: float | None = None
    gain: GainReference | None = None
    zero_loss: ZeroLossReference | None = None


class Referenced:
    """A policy whose proposals come after the references that their first needs, where the last are too old.

    A dark reference is of one mode and dwell time, those of the other references among them. The references are its
    own: the policy inside does not learn of them. Its own spectra count as references of the zero loss.
    """

    def __init__(self, policy: Policy, schedule: Schedule) -> None:
        self._policy, self._schedule = policy, schedule
        self._taken_s: dict[Kind | str, float] = {}
        self._series: tuple[Kind, int] | None = None

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run.

        Raises:
            ValueError: the instrument takes no dark references, or no spectra, and they are asked for.
        """
        if self._schedule.dark_every_s is not None and not setup.capabilities.dark_references:
            raise ValueError("references.dark_every_s: this instrument takes no dark references")
        if self._schedule.zero_loss is not None and "EELS" not in setup.capabilities.modes:
            raise ValueError("references.zero_loss: this instrument takes no EELS spectra")
        self._setup, self._seed = setup, seed
        self._policy.begin(setup, seed)

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return what the policy proposes, after the reference that is due before it."""
        proposals = self._policy.suggest(situation, n)
        acquire = proposals[0].command.acquire if proposals else None
        if acquire is None:
            return proposals
        due = self._gain(acquire, situation) or self._zero_loss(situation)
        if due is not None:
            acquire = due.command.acquire or acquire
        due = self._dark(acquire, situation) or due
        return proposals if due is None else [due, *proposals[: n - 1]]

    def foresee(self, command: Command, situation: Situation) -> Foreseen | None:
        """What the policy expects a command to tell."""
        return foreseen(self._policy, command, situation)

    def ingest(self, turn: Turn) -> None:
        """Note a reference; let the policy learn from all else."""
        command, percept = turn.command, turn.percept
        acquire = command.acquire if command is not None else None
        if percept is not None and "zero_loss_eV" in percept.estimates:
            self._taken_s[ZERO_LOSS] = percept.end_s
        if command is None or acquire is None:
            self._policy.ingest(turn)
        elif acquire.blanked:
            if percept is not None:
                self._taken_s[_dark_kind(acquire)] = percept.end_s
        elif command.id.startswith(GAIN_REFERENCE):
            if percept is not None:
                self._count(_gain_kind(acquire), percept.end_s)
        elif command.id.startswith(ZERO_LOSS):
            if percept is not None:  # one that could not be read is not asked for again at once
                self._taken_s[ZERO_LOSS] = percept.end_s
        else:
            self._policy.ingest(turn)

    def _count(self, kind: Kind, end_s: float) -> None:
        assert self._schedule.gain is not None
        done = 1 + (self._series[1] if self._series is not None and self._series[0] == kind else 0)
        self._series = (kind, done) if done < self._schedule.gain.repeats else None
        if self._series is None:
            self._taken_s[kind] = end_s

    def _dark(self, acquire: Acquire, situation: Situation) -> Proposal | None:
        age = self._age(_dark_kind(acquire), self._schedule.dark_every_s, situation)
        if age is None:
            return None
        dark = Command(id=self._id("dark", situation), acquire=replace(acquire, blanked=True, max_frames=1))
        return self._proposal(dark, f"A dark reference for {_spoken(acquire)}: {age}", situation)

    def _gain(self, acquire: Acquire, situation: Situation) -> Proposal | None:
        gain = self._schedule.gain
        if gain is None or acquire.mode not in gain.modes:
            return None
        age = self._age(_gain_kind(acquire), gain.every_s, situation)
        if age is None:
            return None
        done = self._series[1] if self._series is not None and self._series[0] == _gain_kind(acquire) else 0
        flat = replace(acquire, dwell_s=gain.dwell_s or acquire.dwell_s, max_frames=1)
        command = _at(gain.at, self._id(GAIN_REFERENCE, situation), flat)
        words = f"Gain reference {done + 1} of {gain.repeats} for {_spoken(flat)}: {age}"
        return self._proposal(command, words, situation)

    def _zero_loss(self, situation: Situation) -> Proposal | None:
        zero = self._schedule.zero_loss
        age = self._age(ZERO_LOSS, zero.every_s, situation) if zero is not None else None
        if zero is None or age is None:
            return None
        spectrum = Acquire(
            mode="EELS", fov_nm=zero.fov_nm, pixels_x=zero.pixels, pixels_y=zero.pixels, dwell_s=zero.dwell_s
        )
        return self._proposal(
            _at(zero.at, self._id(ZERO_LOSS, situation), spectrum), f"Where the zero loss lies: {age}", situation
        )

    def _age(self, kind: Kind | str, every_s: float | None, situation: Situation) -> str | None:
        """How old the last one is, in words, where a new one is due."""
        if every_s is None:
            return None
        if kind not in self._taken_s:
            return "there is none yet"
        age_s = situation.state.clock_s - self._taken_s[kind]
        return f"the last is {age_s / 60:.0f} min old" if age_s > every_s else None

    def _id(self, name: str, situation: Situation) -> str:
        return f"{name}-s{self._seed}-t{situation.turn:04d}"

    def _proposal(self, command: Command, reason: str, situation: Situation) -> Proposal:
        cost = predict(command, situation.state, self._setup.capabilities)
        return Proposal(
            command=command,
            information=0.0,
            information_sd=0.0,
            electrons=cost.electrons,
            time_s=cost.time_s,
            reason=reason,
            proposer="references",
        )


def _at(place: Place, name: str, acquire: Acquire) -> Command:
    return Command(
        id=name, go=place.go, set=Settings(optics=Optics(beam_current_pA=place.beam_current_pA)), acquire=acquire
    )


def _dark_kind(acquire: Acquire) -> Kind:
    mode, _, height, width = _gain_kind(acquire)
    return mode, acquire.dwell_s, height, width


def _gain_kind(acquire: Acquire) -> Kind:
    """A scanned detector is one for all fields, a camera one for each size."""
    size = (0, 0) if acquire.mode in SCANNED_MODES else (acquire.pixels_y, acquire.pixels_x)
    return acquire.mode, 0.0, *size


def _spoken(acquire: Acquire) -> str:
    return f"{acquire.mode} at {1e6 * acquire.dwell_s:g} us"
