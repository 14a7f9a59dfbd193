"""Who sits on the sites of a crystal: what may, how common it is, and what images of columns make of that.

An image gives likelihoods of each case on each site; how common defects are differs from place to place and is asked of
the same sites. So numbers of defects and their standard deviations hold for images that hardly tell single sites too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.perception.scan import Array, Bools

KINDS = ("vacancies", "dopants", "light_atoms")
"""Defects that are told apart: nothing, a heavier atom, or a lighter one than belongs on a site."""

DENSITIES = np.exp(np.linspace(-2.4, 2.4, 9))
DENSITY_SD_ln = 0.8
"""Defects come in patches: densities are tried in these parts of the usual, with this spread of their logarithm."""

PASSES = 2


@dataclass(frozen=True)
class Occupancy:
    """What may sit on the columns of a sublattice, each of ``atoms``: K cases, the first of which belongs there.

    ``bright`` (K,) is relative to the first, ``ways`` (K,) how many arrangements look alike, and ``holds`` (K, 3) the
    numbers of KINDS, which are on a site by the chances ``usual`` (3,).
    """

    atoms: int
    bright: Array
    ways: Array
    holds: Array
    usual: Array

    @classmethod
    def of(cls, atoms: int, bright: Sequence[float], usual: Sequence[float]) -> Occupancy:
        """All cases, by the brightness of one atom that belongs there, of none, of a dopant and of a light atom."""
        cases = list(itertools.combinations_with_replacement(range(len(bright)), atoms))
        return cls(
            atoms=atoms,
            bright=np.array([sum(bright[kind] for kind in case) for case in cases]) / (atoms * bright[0]),
            ways=np.array([len(set(itertools.permutations(case))) for case in cases], dtype=np.float64),
            holds=np.array([[case.count(kind) for kind in (1, 2, 3)] for case in cases], dtype=np.float64),
            usual=np.array(usual),
        )

    def common(self, chance: Array) -> Array:
        """How common each case is (K,) where defects are on a site by some chances (3,)."""
        belongs = 1.0 - float(chance.sum())
        return np.asarray(
            self.ways * (chance**self.holds).prod(axis=1) * belongs ** (self.atoms - self.holds.sum(axis=1))
        )

    def chances(self, logs: Array, chance: Array) -> Array:
        """Chances of the cases (n, K) from logarithms of their likelihoods and the chances (3,) of defects."""
        found = np.exp(logs - logs.max(axis=1, keepdims=True)) * self.common(chance)
        return np.asarray(found / found.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Sites:
    """Columns of one sublattice in an image (n,): ``at`` (n, 2) rows and columns in pixels, ``logs`` (n, K).

    ``logs`` are logarithms of the likelihoods of the cases of ``may``.
    """

    at: Array
    logs: Array
    may: Occupancy

    def within(self, keep: Bools) -> Sites:
        """Some of the columns."""
        return Sites(self.at[keep], self.logs[keep], self.may)

    def defects(self) -> Array:
        """Expected numbers (n, 3) of KINDS on each column."""
        return np.asarray(self.may.chances(self.logs, self.tally()[0]) @ self.may.holds)

    def tally(self) -> tuple[Array, Array, Array]:
        """Chances of KINDS on a site here, their numbers on all columns, and the standard deviations of these, (3,).

        Each kind is tried at all densities while the others are as common as is believed of them.
        """
        likely = np.exp(self.logs - self.logs.max(axis=1, keepdims=True))
        believed = -0.5 * (np.log(DENSITIES) / DENSITY_SD_ln) ** 2
        chance, mean, sd = self.may.usual.copy(), np.zeros(3), np.zeros(3)
        for _ in range(PASSES):
            for kind in range(3):
                tried = np.tile(chance, (len(DENSITIES), 1))
                tried[:, kind] = np.minimum(self.may.usual[kind] * DENSITIES, 0.3)
                common = np.stack([self.may.common(each) for each in tried]).T
                whole = likely @ common
                holds = self.may.holds[:, kind, None]
                first, second = (likely @ (common * holds**power) / whole for power in (1, 2))
                logs = np.log(whole).sum(axis=0) + believed
                weight = np.exp(logs - logs.max())
                weight /= weight.sum()
                number = first.sum(axis=0)
                mean[kind] = float(weight @ number)
                var = (second - first**2).sum(axis=0) + (number - mean[kind]) ** 2
                sd[kind] = float(np.sqrt(weight @ np.maximum(var, 0.0)))
                chance[kind] = float(weight @ tried[:, kind])
        return chance, mean, sd
