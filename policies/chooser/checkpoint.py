"""Checkpoints of the learned chooser: weights as plain arrays, and a model card that says what they are good for.

A checkpoint is two files beside each other, NAME.npz and NAME.json. Reading them runs nothing that is in them.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.lib.npyio import NpzFile

from hardware_bridge.report import Card
from hardware_bridge.words import Count, Name, NotNegative, Number, Positive, Size, Text, Word
from policies.chooser.network import Attending
from policies.chooser.spec import CANDIDATE, SITUATION, VERSION

WEIGHTS = Path(__file__).parents[1] / "weights"
"""The checkpoints that are shipped, each under the name of its world."""

Span = tuple[Number, Number]
MOST_BYTES = 50_000_000


class ModelCard(Word, frozen=True, kw_only=True):
    """What a chooser is and is not good for.

    ``candidate`` and ``situation`` are the numbers that it is told, with the ranges of their scales, and
    ``seen_candidate`` and ``seen_situation`` the ranges that training had: outside them it is not to be trusted.
    ``physics`` are the ranges of the worlds' hidden constants, and ``seeds`` the worlds, that it was trained on; those
    in ``apart`` it was stopped and scored on, some of them outside these ranges. ``budgets`` are shares
    of the electron budget of the world's card, whose version is ``card_version``. ``spends``, ``priced`` and
    ``electron_weight`` say which candidates there are, as ``GreedySettings``. ``scores`` are means with 95 % intervals.
    """

    version: Count
    world: Name
    card_version: Count
    candidate: dict[Name, Span]
    situation: dict[Name, Span]
    seen_candidate: dict[Name, Span]
    seen_situation: dict[Name, Span]
    physics: dict[Name, Span]
    seeds: tuple[Count, Count]
    apart: tuple[Count, ...]
    budgets: Span
    spends: tuple[Positive, ...]
    priced: Size
    electron_weight: NotNegative
    steps: Count
    minutes: NotNegative
    scores: dict[Name, tuple[Number, Number, Number]]
    limits: tuple[Text, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A trained chooser and its card."""

    card: ModelCard
    network: Attending

    def outside(self, card: Card) -> str:
        """Say why a world is none that the chooser was trained for; empty where it is."""
        if card.world != self.card.world:
            return f"world {card.world}: the chooser was trained for {self.card.world}"
        if card.version != self.card.card_version:
            return (
                f"version {card.version} of the card of world {card.world}: "
                f"the chooser was trained for version {self.card.card_version}"
            )
        return ""


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint as PATH.npz and PATH.json, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **checkpoint.network.arrays())
    beside.replace(path.with_name(path.name + ".npz"))
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(checkpoint.card), indent=1) + b"\n")
    beside.replace(path.with_name(path.name + ".json"))


def load(path: Path) -> Checkpoint:
    """Read the checkpoint PATH.npz with its card PATH.json; the ending may be there or not.

    Raises:
        ValueError: there is none, or it is of another version or other spaces, both of which are then named.
    """
    stem = path.with_suffix("") if path.suffix in (".npz", ".json") else path
    card_path, weights_path = (stem.with_name(stem.name + ending) for ending in (".json", ".npz"))
    for each in (card_path, weights_path):
        if not each.is_file():
            raise ValueError(f"checkpoint {stem}: there is no file {each}")
        if each.stat().st_size > MOST_BYTES:
            raise ValueError(f"checkpoint {stem}: {each} is larger than {MOST_BYTES} bytes")
    text = card_path.read_bytes()
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version != VERSION:
            raise ValueError(f"checkpoint {stem}: it is of version {version}, and this program knows version {VERSION}")
        card = msgspec.json.decode(text, type=ModelCard)
        for told, known, what in (
            (card.candidate, CANDIDATE, "candidates"),
            (card.situation, SITUATION, "the situation"),
        ):
            _same(stem, told, known, what)
        with weights_path.open("rb") as raw, NpzFile(raw, allow_pickle=False) as file:
            arrays = {name: np.asarray(each, dtype=np.float32) for name, each in file.items()}
        if not all(np.isfinite(each).all() for each in arrays.values()):
            raise ValueError(f"checkpoint {stem}: weights are not finite")
        return Checkpoint(card, Attending.of(arrays).eval())
    except (msgspec.MsgspecError, zipfile.BadZipFile, EOFError, OSError) as broken:
        raise ValueError(f"checkpoint {stem}: cannot be read: {broken}") from None


class _Versioned(Word, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The part of a card that says how to read the rest."""

    version: Count


def _same(stem: Path, told: dict[str, Span], known: dict[str, Span], what: str) -> None:
    if list(told.items()) != list(known.items()):
        theirs, ours = (", ".join(f"{n} {low:g}..{high:g}" for n, (low, high) in s.items()) for s in (told, known))
        raise ValueError(
            f"checkpoint {stem}: it is of version {VERSION} with other numbers of {what} ({theirs}) "
            f"than version {VERSION} of this program ({ours})"
        )
