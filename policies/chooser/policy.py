"""The learned policy: greedy's proposers, of whose candidates a trained network picks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from msgspec.structs import replace

from hardware_bridge.words import Word
from policies.bayes.chooser import GreedyChooser
from policies.chooser import spec
from policies.chooser.checkpoint import WEIGHTS, Checkpoint, Span, load
from policies.chooser.memory import Memory
from policies.focus import FocusSettings
from policies.greedy import Greedy, GreedySettings
from policies.interface import Proposal, Setup, Situation, Turn
from policies.outlook import Outlook

SLACK = 0.05
"""Of a scale: so far beyond what training had, numbers are still taken for within it."""


class LearnedSettings(Word, frozen=True, kw_only=True):
    """Which ``checkpoint`` (a path; left out, the one that is shipped for the world), and what is known of focus."""

    checkpoint: str = ""
    focus: FocusSettings = FocusSettings()


@dataclass(frozen=True)
class Ranked:
    """Candidates in the order of a network's scores, or why it has none."""

    scores: dict[str, float]
    refused: str


class LearnedChooser(GreedyChooser):
    """Ranks by a network's scores; by information per share of the rest where what it sees is outside its card."""

    def __init__(self, setup: Setup, checkpoint: Checkpoint, memory: Memory) -> None:
        super().__init__(setup.capabilities, checkpoint.card.electron_weight)
        self._checkpoint, self._memory = checkpoint, memory
        self._strange = checkpoint.outside(setup.card)
        self._scores: dict[int, float] = {}

    def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
        """Return the distinct proposals, best first; where greedy had to choose, their reasons say so."""
        self._scores, refused = {}, self._strange
        if proposals and not refused:
            refused = self._scored(proposals, situation)
        ranked = super().rank(proposals, situation)
        if not refused:
            return ranked
        return [replace(each, reason=f"{each.reason} (greedy chose, not the network: {refused})") for each in ranked]

    def score(self, proposal: Proposal, situation: Situation) -> float:
        """What the network thinks of a proposal, or greedy where it is not asked."""
        known = self._scores.get(id(proposal))
        return super().score(proposal, situation) if known is None else known

    def _scored(self, proposals: Sequence[Proposal], situation: Situation) -> str:
        """Let the network score proposals; returns why it must not."""
        offers, standing = self._memory.offers(proposals, situation), self._memory.standing(situation)
        card = self._checkpoint.card
        told = spec.candidates(offers, standing, card.electron_weight)
        around = spec.situation(standing)
        strange = _strange(told, card.seen_candidate, spec.CANDIDATE) or _strange(
            around[None], card.seen_situation, spec.SITUATION
        )
        if strange:
            return strange
        with torch.inference_mode():
            scores, _ = self._checkpoint.network(told, around, offers.there)
        self._scores = {id(each): score for each, score in zip(proposals, scores.tolist(), strict=True)}
        return ""


def _strange(told: torch.Tensor, seen: dict[str, Span], scales: dict[str, Span]) -> str:
    """Which number of some (N, features) lies outside what training had; empty where none does."""
    low, high = told.amin(dim=0).tolist(), told.amax(dim=0).tolist()
    for n, (name, (least, most)) in enumerate(seen.items()):
        slack = SLACK * (scales[name][1] - scales[name][0])
        if low[n] < least - slack or high[n] > most + slack:
            value = low[n] if low[n] < least - slack else high[n]
            return f"{name} = {value:.3g} lies outside {least:.3g} to {most:.3g}, which it was trained in"
    return ""


class Learned(Greedy):
    """Greedy's candidates, chosen among by a network that was trained to.

    Where what it sees lies outside the ranges on its model card, greedy chooses, and the proposals say so.
    """

    name = "learned"

    def __init__(self, settings: LearnedSettings, outlook: Outlook) -> None:
        super().__init__(GreedySettings(focus=settings.focus), outlook)
        self._path = settings.checkpoint

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run.

        Raises:
            ValueError: there is no such checkpoint, or it is of another version or other spaces.
        """
        checkpoint = load(path_of(self._path, setup.card.world))
        card = checkpoint.card
        self.settings = replace(
            self.settings, spends=card.spends, priced=card.priced, electron_weight=card.electron_weight
        )
        super().begin(setup, seed)
        self._memory = Memory(setup, self._outlook)
        self._chooser = LearnedChooser(setup, checkpoint, self._memory)

    def ingest(self, turn: Turn) -> None:
        """Learn what was read, and remember where."""
        super().ingest(turn)
        self._memory.ingest(turn)


def path_of(checkpoint: str, world: str) -> Path:
    """Where a checkpoint is that settings name, or the one that is shipped for a world."""
    return Path(checkpoint) if checkpoint else WEIGHTS / world
