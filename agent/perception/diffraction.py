"""What one diffraction pattern says: where the beam points, the lattice, its strain and turn, and how much is in order.

A known crystal scatters into discs of the probe's size at the nodes of its lattice. Where they lie is found in two
steps: which turn of the known lattice gathers most counts at its nodes, then maximum likelihood for Poisson counts of
all discs at once (Fisher scoring), each with its own height on a background that depends on the angle alone. So discs
of a few electrons, which no peak finder sees, add up. Positions are of pixels, row and column, the beam at the middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from hardware_bridge.report import Estimate

Array = NDArray[np.float64]

EDGE_PX = 0.4
"""Over about this distance the rim of a disc falls off: a pixel is not finer."""

BESIDE_PX = 1.5
"""A disc is fitted in a square that goes so far beyond its rim."""

STRAIN_SD, BEAM_SD_PX = 0.015, 1.5
"""How strained crystals are, and how far off the beam is, before a pattern is seen."""

MOST_STRAIN = 0.06
"""A fit that comes out farther from where it began is none."""

ROUNDS, STEP_MOST_PX = 12, 0.4
CONVERGED = 0.05
"""A fit has converged where nothing moves by more than this share of its standard deviation."""

LEAST_COUNTS = 20.0
MOST_DISCS = 80
FED_BACK = 0.15
"""What orders take from each other and from the beam: an assumption, good for crystals up to some 50 nm of ZIF-8."""

UNSEEN_COUNTS = 0.5
"""What adds to the variance of a disc that shows no count."""

FLOORS_PX = (0.015, 0.015, 0.005, 0.005, 0.005, 0.005)
"""What discs that speckle mottles leave in beam and basis, however many electrons there are."""


@dataclass(frozen=True)
class Crystal:
    """A lattice seen along a zone: ``basis_per_nm`` (2, 2), rows are two reciprocal vectors, x and y, unturned.

    ``orders`` (G, 2) are multiples of these that scatter, ``strengths`` (G,) the share of the electrons that each takes
    from a film of 1 nm; it grows with the square of thickness and order.
    """

    basis_per_nm: Array
    orders: NDArray[np.intp]
    strengths: Array


@dataclass(frozen=True)
class PatternFit:
    """What a pattern was fitted with: the beam and the basis in pixels, (6,) row and column each, and how sure.

    ``cov`` (6, 6); ``counts`` (1 + G,) of the beam and of each order, with their ``counts_var``; ``misfit`` is the
    reduced chi-square.
    """

    at: Array
    cov: Array
    counts: Array
    counts_var: Array
    misfit: float
    reference_px: Array

    def deflection_px(self, axis: int) -> Estimate:
        """How far the beam lies from the middle, along rows or columns."""
        return Estimate(value=float(self.at[axis]), sd=math.sqrt(float(self.cov[axis, axis])))

    @cached_property
    def _deformation(self) -> tuple[Array, Array]:
        """Strain xx, yy, xy and turn in rad, (4,), with their covariance."""
        basis, steps = self.at[2:], 1e-4 * np.eye(4)
        here = deformed(basis, self.reference_px)
        slopes = np.stack([(deformed(basis + step, self.reference_px) - here) / 1e-4 for step in steps])
        return here, slopes.T @ self.cov[2:, 2:] @ slopes

    def strain(self, which: int) -> Estimate:
        """Strain along x (0), along y (1) or shear (2) against the known lattice, in the pattern's own frame."""
        values, cov = self._deformation
        return Estimate(value=float(values[which]), sd=math.sqrt(max(float(cov[which, which]), 0.0)))

    @property
    def turn_rad(self) -> Estimate:
        """By how much the lattice is turned, from x to y."""
        values, cov = self._deformation
        return Estimate(value=float(values[3]), sd=math.sqrt(max(float(cov[3, 3]), 0.0)))

    def ordered_nm(self, crystal: Crystal) -> Estimate:
        """How thick a crystal, all of it in order, scatters as much.

        Of thin films the intensities of orders over that of the beam are ``strengths`` times thickness squared; of
        thicker ones the beam fades faster than that, by FED_BACK.
        """
        strength = math.sqrt(float(crystal.strengths.sum()))
        beam, net = max(float(self.counts[0]), 1.0), max(float(self.counts[1:].sum()), 0.0)
        ratio = net / beam
        value = math.sqrt(ratio / (1.0 + FED_BACK * ratio))
        sd_ratio = math.hypot(math.sqrt(float(self.counts_var[1:].sum())), ratio * math.sqrt(self.counts_var[0])) / beam
        # Of a root that may be nothing: no more than the root of the sd.
        sd = min(sd_ratio / max(2.0 * math.sqrt(ratio), 1e-9), math.sqrt(sd_ratio))
        return Estimate(value=value / strength, sd=sd / strength)


class PatternReader:
    """Reads patterns (K, K) of one camera and probe, of one known crystal; ``step_mrad`` is a pixel's angle."""

    def __init__(self, size: int, step_mrad: float, convergence_mrad: float, crystal: Crystal, wavelength_nm: float):
        order = np.argsort(-crystal.strengths, kind="stable")[:MOST_DISCS]
        self.crystal = Crystal(crystal.basis_per_nm, crystal.orders[order], crystal.strengths[order])
        self.radius_px = convergence_mrad / step_mrad
        # x and y become column and row.
        self.reference_px = 1e3 * wavelength_nm / step_mrad * crystal.basis_per_nm[:, ::-1]
        self._size, self._middle = size, size // 2
        along = np.arange(size) - self._middle
        away = np.hypot(along[:, None], along)
        self._likely = np.exp(-0.5 * (away / BEAM_SD_PX) ** 2)
        self._ring = np.round(away).astype(np.intp)
        self._disc_fft = fft.rfft2(np.fft.ifftshift(ndtr((self.radius_px - away) / EDGE_PX)))
        reach = int(np.ceil(self.radius_px + BESIDE_PX))
        self._span = np.arange(-reach, reach + 1)
        nodes = self.crystal.orders @ self.reference_px
        farthest = float(np.hypot(*nodes.T).max())
        turns = np.arange(0.0, math.pi, 0.5 * self.radius_px / farthest)
        self._turns = turns
        rotated = np.stack([nodes @ rotation(turn) for turn in turns])
        self._nodes = np.round(rotated).astype(np.intp)
        self._hits = (np.abs(rotated) < self._middle - reach - 1).all(axis=2)

    def read(self, pattern: Array) -> PatternFit | None:
        """Fit one pattern in electrons; None where it holds too few, or numbers that are no counts."""
        if pattern.shape != (self._size, self._size) or not np.isfinite(pattern).all():
            return None
        if not (pattern.sum() >= LEAST_COUNTS and pattern.min() >= 0.0):
            return None
        gathered = fft.irfft2(fft.rfft2(pattern) * self._disc_fft, pattern.shape)
        beam = np.array(np.unravel_index(int((gathered * self._likely).argmax()), pattern.shape)) - self._middle
        turn = self._turn(gathered, beam)
        at = np.concatenate([beam.astype(np.float64), (self.reference_px @ rotation(turn)).ravel()])
        return self._refined(pattern, at)

    def _turn(self, gathered: Array, beam: NDArray[np.intp]) -> float:
        """The turn whose nodes gather most, each over what its distance from the beam gathers on the average."""
        shifted = np.roll(gathered, -beam, axis=(0, 1))
        mean = np.bincount(self._ring.ravel(), shifted.ravel()) / np.bincount(self._ring.ravel())
        smooth = gaussian_filter1d(mean, 2.0 * self.radius_px)[self._ring] + 0.05
        # The likelihood of a disc that has as many electrons again as there are: it cannot be ruled by a single one.
        gain = np.log1p(np.maximum(shifted, 0.0) / smooth)
        values = gain[self._nodes[..., 0] % self._size - self._middle, self._nodes[..., 1] % self._size - self._middle]
        weights = np.sqrt(self.crystal.strengths)
        return float(self._turns[int((values * self._hits @ weights).argmax())])

    def _refined(self, pattern: Array, at: Array) -> PatternFit:
        start = at.copy()
        orders = np.concatenate([np.zeros((1, 2)), self.crystal.orders])
        # Rows and columns of node n are at[0:2] + h at[2:4] + k at[4:6].
        chain = np.concatenate([np.ones((len(orders), 1)), orders], axis=1)
        held = np.concatenate([np.full(2, BEAM_SD_PX**-2), np.full(4, (STRAIN_SD * self._length()) ** -2)])
        counts = np.full(len(orders), pattern.sum() / len(orders))
        background = self._background(pattern, chain, at)
        for n in range(ROUNDS):
            patch = _Patches(self, pattern, background, chain @ at.reshape(3, 2))
            counts = patch.heights(counts, 8 if n == 0 else 3)
            pull, information = patch.equations(counts)
            gradient = np.einsum("np,nq->pq", chain, pull).ravel() - held * (at - start)
            whole = np.einsum("np,nr,nqs->pqrs", chain, chain, information).reshape(6, 6) + np.diag(held)
            cov = np.linalg.inv(whole)
            step = cov @ gradient
            at = at + np.clip(step, -STEP_MOST_PX, STEP_MOST_PX)
            if (np.abs(step) < CONVERGED * np.sqrt(np.diag(cov))).all():
                break
        if float(np.abs(at - start)[2:].max()) > MOST_STRAIN * self._length():
            # It ran away to another lattice: nothing is known but what was before.
            at = np.concatenate([at[:2], start[2:]])
            cov = np.diag(1.0 / held)
            patch = _Patches(self, pattern, background, chain @ at.reshape(3, 2))
            counts = patch.heights(counts, 8)
        misfit = patch.misfit(counts)
        cov = cov * max(misfit, 1.0) + np.diag(np.square(FLOORS_PX))
        return PatternFit(at, cov, *patch.apertures(), misfit, self.reference_px)

    def _length(self) -> float:
        return float(np.hypot(*self.reference_px.T).mean())

    def _background(self, pattern: Array, chain: Array, at: Array) -> Array:
        """Mean counts at each distance from the middle, nodes left out, (K, K)."""
        free = np.ones(pattern.shape, dtype=bool)
        for row, column in np.round(chain @ at.reshape(3, 2)).astype(np.intp) + self._middle:
            reach = int(np.ceil(self.radius_px + 0.5))
            free[max(row - reach, 0) : max(row + reach + 1, 0), max(column - reach, 0) : max(column + reach + 1, 0)] = 0
        rings = int(self._ring.max()) + 1
        seen = np.bincount(self._ring[free], pattern[free], rings)
        there = np.bincount(self._ring[free], minlength=rings).astype(np.float64)
        smooth = gaussian_filter1d(seen, 1.5 * self.radius_px) + 1e-3
        return np.asarray((smooth / (gaussian_filter1d(there, 1.5 * self.radius_px) + 1e-3))[self._ring])


class _Patches:
    """Squares about nodes (N, 2), in which discs of unit sum lie at them; what is outside the pattern has no weight."""

    def __init__(self, reader: PatternReader, pattern: Array, background: Array, nodes: Array) -> None:
        size, middle = reader._size, reader._middle
        rows, columns = (np.round(nodes[:, k]).astype(np.intp)[:, None] + reader._span for k in (0, 1))
        inside = (np.abs(rows) < middle)[:, :, None] & (np.abs(columns) < middle)[:, None, :]
        place = np.clip(rows + middle, 0, size - 1)[:, :, None] * size + np.clip(columns + middle, 0, size - 1)[:, None]
        self._place, self._background = place, background
        self.seen = np.where(inside, pattern.take(place), 0.0)
        down, across = (rows - nodes[:, :1])[:, :, None], (columns - nodes[:, 1:])[:, None, :]
        away = np.hypot(down, across)
        area = math.pi * (reader.radius_px**2 + EDGE_PX**2)
        off = (reader.radius_px - away) / EDGE_PX
        self.shape = np.where(inside, ndtr(off) / area, 0.0)
        fall = np.where(inside, np.exp(-0.5 * off**2) / (math.sqrt(2 * math.pi) * EDGE_PX * area), 0.0)
        self.slopes = np.stack([fall * down, fall * across]) / np.maximum(away, 1e-6)
        self.total = np.maximum(self.shape.sum(axis=(1, 2)), 1e-3)
        self.inside = inside
        self._inner = inside & (away <= reader.radius_px)
        self._beside = inside & (away > reader.radius_px + 0.5) & (away <= reader.radius_px + BESIDE_PX)
        self._strengths = reader.crystal.strengths / reader.crystal.strengths.sum()
        self._believed = np.append(0.0, np.ones(len(nodes) - 1))

    def model(self, counts: Array) -> Array:
        """Expected counts in every square, (N, P, P), of all discs, those beside it too."""
        all_discs = np.bincount(
            self._place.ravel(), (counts[:, None, None] * self.shape).ravel(), minlength=self._background.size
        )
        return np.asarray((self._background.ravel() + all_discs).take(self._place))

    def heights(self, counts: Array, rounds: int) -> Array:
        """Counts of each disc, (N,), the most likely ones, by rounds of expectation maximisation from those before."""
        for _ in range(rounds):
            model = self.model(counts)
            likely = self._strengths * counts[1:].sum() + 1e-3
            explained = counts * (self.shape * self.seen / model).sum(axis=(1, 2))
            # Of the beam nothing is believed; of orders that heights are spread about their strengths (gamma of 2).
            counts = (explained + self._believed) / (self.total + 2.0 * self._believed / np.append(1.0, likely))
        return np.asarray(np.maximum(counts, 1e-3))

    def equations(self, counts: Array) -> tuple[Array, Array]:
        """Gradient (N, 2) and information (N, 2, 2) of each disc's position."""
        model = self.model(counts)
        moved = counts[:, None, None] * self.slopes
        pull = (moved * (self.seen / model - 1.0) * self.inside).sum(axis=(2, 3)).T
        return pull, np.einsum("anij,bnij,nij->nab", moved, moved, 1.0 / model)

    def apertures(self) -> tuple[Array, Array]:
        """Counts within each disc less what lies right beside it, (N,), also fewer than none, and their variances."""
        size, beside = self._inner.sum(axis=(1, 2)), np.maximum(self._beside.sum(axis=(1, 2)), 1)
        within, around = ((self.seen * part).sum(axis=(1, 2)) for part in (self._inner, self._beside))
        share = size / beside
        return np.asarray(within - share * around), np.asarray(within + share**2 * around + UNSEEN_COUNTS)

    def misfit(self, counts: Array) -> float:
        """Reduced chi-square."""
        model = self.model(counts)
        off = ((self.seen - model) ** 2 / np.maximum(model, 1e-3)) * self.inside
        return float(off.sum() / max(self.inside.sum() - 2 * len(counts), 1))


def rotation(turn_rad: float) -> Array:
    """Turns rows of (row, column) from x (columns) to y (rows)."""
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    return np.array([[cos, -sin], [sin, cos]])


def deformed(basis: Array, reference: Array) -> Array:
    """Strain xx, yy, xy and turn of a lattice whose reciprocal basis this is, rows (row, column)."""
    # g = M g0 for columns (x, y); the crystal itself is deformed by the inverse transpose, (1 + strain) times a turn.
    reciprocal = np.linalg.solve(reference[:, ::-1], basis.reshape(2, 2)[:, ::-1]).T
    real = np.linalg.inv(reciprocal).T
    left, stretch, right = np.linalg.svd(real)
    strain = left @ np.diag(stretch) @ left.T - np.eye(2)
    turned = left @ right
    return np.array([strain[0, 0], strain[1, 1], strain[0, 1], math.atan2(turned[1, 0], turned[0, 0])])
