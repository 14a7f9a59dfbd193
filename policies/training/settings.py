"""How PPO learns, in words that are known without Ray."""

from __future__ import annotations

from hardware_bridge.words import Count, Fraction, NotNegative, Positive, Size, Word


class PpoSettings(Word, frozen=True, kw_only=True):
    """How PPO learns; see its paper (Schulman et al., arXiv 1707.06347) for the words."""

    rate: Positive = 1e-3
    discount: Fraction = 1.0
    gae: Fraction = 0.97
    clip: Positive = 0.2
    entropy: NotNegative = 0.003
    epochs: Size = 3
    minibatch: Size = 2048
    gradient_clip: Positive = 0.5
    width: Size = 32
    seed: Count = 0
