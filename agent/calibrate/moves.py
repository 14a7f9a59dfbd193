"""Stage and beam shift against the image: moves there and back, each registered on the image before it.

All images make one chain. What is registered between one and the next is explained by stage moves, backlash (did the
axis come from above?) and beam shifts, by drift that changes linearly, and by a random walk that is left over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from agent.calibrate.bench import Bench, Look, NotCalibrated
from agent.calibrate.chain import Explained, explain
from agent.perception.registration import Shift
from agent.perception.scan import Array, Scan
from hardware_bridge.messages import Go, Range

PILOT, STRIDE, SHIFT = 0.12, 0.35, 0.3
"""Of the field: the first careful step, the steps after it, and the largest beam shift."""

LEAST_STRIDE = 0.08
REACH = 0.15
"""Of the field: how far from where a step should lead its image is looked for, once it is known what a step does."""

STILL_SDS = 5.0
SHIFTS = 4
AXES = ("x", "y")


@dataclass(frozen=True)
class Moves:
    """Effects in nm of the image per nm moved, x and y in rows, and of having come from above in nm.

    ``stage``, ``backlash`` and ``beam_shift`` are (2, 2), cause by component; ``covariance`` (2, p, p) holds that of
    each component in the order of causes. None where something cannot be moved. ``steps`` are the registered ones, for
    a picture: (causes (p,), measured (2,) nm).
    """

    stage: Array
    backlash: Array
    beam_shift: Array | None
    covariance: Array
    steps: list[tuple[Array, Array]]


def images_needed(rounds: int) -> int:
    """How many images ``measure_moves`` takes."""
    return 3 + 8 * rounds + 4 * SHIFTS + 1


@dataclass
class _Chain:
    """Images one after the other, what each was taken at, and what was registered between them."""

    bench: Bench
    look: Look
    wait_s: float
    stage_nm: Array
    shift_nm: Array
    came_from_above: Array = field(default_factory=lambda: np.zeros(2))
    causes: list[Array] = field(default_factory=list)
    mid_s: list[float] = field(default_factory=list)
    steps: list[Array] = field(default_factory=list)
    step_sd: list[Array] = field(default_factory=list)
    last: Scan | None = None
    effects: Array = field(default_factory=lambda: np.zeros((6, 2)))

    def stage(self, step: str, to_nm: Array) -> None:
        """Move the stage, let it settle, look, and register."""
        self.went(to_nm)
        self.bench.wait(self.wait_s)
        self._register(step, Go())

    def went(self, to_nm: Array) -> None:
        """Move the stage without looking."""
        self.bench.do(Go(stage_x_nm=float(to_nm[0]), stage_y_nm=float(to_nm[1])))
        moved = to_nm - self.stage_nm
        self.came_from_above = np.where(moved < 0, 1.0, np.where(moved > 0, 0.0, self.came_from_above))
        self.stage_nm = to_nm

    def shift(self, step: str, to_nm: Array) -> None:
        """Shift the beam, look, and register."""
        self.shift_nm = to_nm
        self._register(step, Go(beam_shift_x_nm=float(to_nm[0]), beam_shift_y_nm=float(to_nm[1])))

    def _register(self, step: str, go: Go) -> None:
        scan = self.bench.image(self.look, go)
        causes = np.concatenate([self.stage_nm, self.came_from_above, self.shift_nm])
        if self.last is not None:
            found = self._shift(step, self.last, scan, causes - self.causes[-1])
            where, error = self.bench.moved_nm(found, self.look)
            self.steps.append(where)
            self.step_sd.append(error)
        self.causes.append(causes)
        self.mid_s.append(scan.mid_s)
        self.last = scan

    def _shift(self, step: str, last: Scan, scan: Scan, changed: Array) -> Shift:
        """Register where the step should have led, or, where nothing is found, anywhere: backlash may be large."""
        known = all(self.effects[n].any() for n in (0, 1, 4, 5) if changed[n])
        moved = changed @ self.effects / self.look.pixel_nm
        reach = REACH * self.look.pixels if known else math.inf
        try:
            return self.bench.shift(step, last, scan, (-float(moved[1]), -float(moved[0])), reach)
        except NotCalibrated:
            if not changed[2:4].any():
                raise
            return self.bench.shift(step, last, scan, (0.0, 0.0))

    def learn(self, axis: int, length_nm: float) -> None:
        """Take the last step, less what is known of it, as a cause's: the next are looked for where they should be."""
        where = self.steps[-1] - (self.causes[-1] - self.causes[-2]) @ self.effects
        error = self.step_sd[-1]
        if np.hypot(*where) < STILL_SDS * np.hypot(*error):
            name = "stage" if axis < 2 else "beam shift"
            raise NotCalibrated(
                f"{name} {AXES[axis % 2]}: after a move by {length_nm:.4g} nm the image moved by "
                f"{np.hypot(*where):.3g} +- {np.hypot(*error):.2g} nm only: it does not follow"
            )
        self.effects[axis] = where / length_nm


def measure_moves(bench: Bench, look: Look, wait_s: float, rounds: int) -> Moves:
    """Move the stage and shift the beam there and back, and find what each did.

    Raises:
        NotCalibrated: the limits leave no room, or images cannot be registered.
    """
    at = bench.start.go
    home = np.array([at.stage_x_nm or 0.0, at.stage_y_nm or 0.0])
    stride = min(_stride(bench, axis, look.fov_nm) for axis in (0, 1))
    pilot = stride * PILOT / STRIDE
    first = np.array([_first(bench, axis, home[axis], stride, pilot) for axis in (0, 1)])
    shift = np.array([at.beam_shift_x_nm or 0.0, at.beam_shift_y_nm or 0.0])
    chain = _Chain(bench, look, wait_s, home, shift)
    for corner in _reachable(bench, home, first - pilot):
        chain.went(corner)
    # From here both axes have come from below.
    chain.stage("stage, first image", first)
    for axis in (0, 1):
        chain.stage(f"stage {AXES[axis]}, first step of {pilot:.4g} nm", chain.stage_nm + pilot * np.eye(2)[axis])
        chain.learn(axis, pilot)
    for n, (axis, sense) in enumerate(_strides(rounds)):
        name = f"stage {AXES[axis]}, step {n + 1} of {8 * rounds}, {sense * stride:+.4g} nm"
        chain.stage(name, chain.stage_nm + sense * stride * np.eye(2)[axis])
    shifted = _shift_beam(bench, chain, look.fov_nm)
    found = _explained(chain, shifted)
    for corner in _reachable(bench, chain.stage_nm, home):
        chain.went(corner)
    bench.wait(wait_s)
    return found


def _strides(rounds: int) -> Iterator[tuple[int, int]]:
    """Axis and sense of each stride: each axis goes two there and two back, and they take turns at random.

    Drift that swings at the pace of a regular pattern could not be told from what the stage does.
    """
    random = np.random.default_rng(0)
    for _ in range(rounds):
        senses = [iter((1, 1, -1, -1)), iter((1, 1, -1, -1))]
        for axis in random.permutation(np.repeat([0, 1], 4)):
            yield int(axis), next(senses[axis])


def _shift_beam(bench: Bench, chain: _Chain, fov_nm: float) -> bool:
    """Shift the beam in turn to either side, along x and then along y; False where the limits do not let it."""
    ranges = [bench.allowed(f"beam_shift_{axis}_nm") for axis in AXES]
    home = chain.shift_nm
    for axis, allowed in enumerate(ranges):
        if allowed is None:
            return False
        low, high = max(allowed.low, home[axis] - SHIFT * fov_nm), min(allowed.high, home[axis] + SHIFT * fov_nm)
        if high - low < LEAST_STRIDE * fov_nm:
            return False
        for n in range(SHIFTS):
            for to in (high, low):
                before = chain.shift_nm[axis]
                where = home.copy()
                where[axis] = to
                chain.shift(f"beam shift {AXES[axis]}, to {to:+.4g} nm", where)
                if n == 0 and not chain.effects[4 + axis].any():
                    chain.learn(4 + axis, to - before)
        where = home.copy()
    chain.shift("beam shift, back", home)
    return True


def _explained(chain: _Chain, shifted: bool) -> Moves:
    causes = np.array(chain.causes)
    used = causes if shifted else causes[:, :4]
    found: Explained = explain(used, np.array(chain.mid_s), np.array(chain.steps), np.array(chain.step_sd))
    return Moves(
        stage=found.effects[:2],
        backlash=found.effects[2:4],
        beam_shift=found.effects[4:] if shifted else None,
        covariance=found.covariance,
        steps=list(zip(np.diff(causes, axis=0), chain.steps, strict=True)),
    )


def _range(bench: Bench, axis: int) -> Range:
    name = f"stage_{AXES[axis]}_nm"
    allowed = bench.allowed(name)
    if allowed is None:
        raise NotCalibrated(f"stage {AXES[axis]}: limits.ranges has no {name}, so the stage cannot be moved")
    return allowed


def _stride(bench: Bench, axis: int, fov_nm: float) -> float:
    """The longest stride that field and limits allow: the whole way is two strides and two first steps."""
    allowed = _range(bench, axis)
    whole = 2 * STRIDE + 2 * PILOT
    # Where the way to the first place is diagonal, it is longer than a stride.
    stride = min(STRIDE * fov_nm, (allowed.high - allowed.low) * STRIDE / whole, bench.limits.max_step_nm / 2)
    if stride < LEAST_STRIDE * fov_nm:
        raise NotCalibrated(
            f"stage {AXES[axis]}: limits.ranges.stage_{AXES[axis]}_nm = {allowed.low:g}..{allowed.high:g} leaves steps "
            f"of {stride:.4g} nm, too short in a field of {fov_nm:g} nm: look with a smaller one"
        )
    return stride


def _first(bench: Bench, axis: int, home_nm: float, stride: float, pilot: float) -> float:
    """Where to begin: at home, or as near to it as leaves room for the way."""
    allowed = _range(bench, axis)
    return min(max(home_nm, allowed.low + pilot), allowed.high - 2 * stride - pilot)


def _reachable(bench: Bench, start: Array, end: Array) -> Iterator[Array]:
    """Stations on the straight way to a place, none farther from the one before than one move may go."""
    pieces = max(1, int(np.ceil(np.linalg.norm(end - start) / bench.limits.max_step_nm)))
    for n in range(1, pieces + 1):
        yield start + (end - start) * n / pieces
