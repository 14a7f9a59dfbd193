"""Electrons arrive one by one: fast Poisson noise in torch, the same for a seed on every device and in every batch.

One uniform number t in [0, 1) for each pixel gives its count by inversion, N = number of k with t < P(N > k). The
chances of up to ``EXACT`` electrons are summed; a greater count is the whole part of an expansion about the normal
distribution (M. B. Giles, Algorithm 955, ACM Transactions on Mathematical Software 42 (2016) 7). Whatever the mean, the
mean of the counts is right to 0.05 % and their variance to 0.2 %; both are at their worst around a mean of 1.

The uniform numbers are a hash of the pixel's place, the image's seed and what it is drawn for, not a generator's next
ones: an image has the same noise alone, in a batch, and on a GPU (but for rounding, which moves about one pixel in a
million by one electron).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EXACT = 5
"""Counts below this have their exact chance."""

MANY = 30.0
"""From this mean on fewer than ``EXACT`` electrons do not occur."""

RAREST = 1e-7
"""Chance at which a count is left out; a uniform number of 31 bits hardly meets less."""

BLOCK = 2**16
"""Pixels that are drawn in one go: what that takes fits into the cache of a processor."""

BITS_31 = 2**31 - 1


def poisson(means: Tensor, seeds: Sequence[int], *stream: int) -> Tensor:
    """Counts with these means, (B, ...) electrons of the means' own floating type.

    ``seeds`` holds one number for each of the B images, ``stream`` says what is drawn for: two of different seed or
    stream are independent, two of the same are equal.

    Raises:
        ValueError: a mean that is negative or not finite, or not one seed for each image.
    """
    if len(seeds) != len(means):
        raise ValueError(f"seeds: {len(seeds)} of them for {len(means)} images; one each is needed")
    images, pixels = len(means), math.prod(means.shape[1:])
    counts = torch.empty_like(means, memory_format=torch.contiguous_format)
    flat, drawn = means.reshape(images, pixels), counts.view(images, pixels)
    keys = hashed(seeds, *stream)
    wide = min(BLOCK, pixels)
    rows = max(1, min(images, BLOCK // max(wide, 1))) if means.device.type == "cpu" else images
    # Made once: on a processor new memory costs more than what is done in it.
    bits, room = means.new_empty(2, rows, wide, dtype=torch.int32), means.new_empty(6, rows, wide)
    for piece, first in enumerate(range(0, pixels, BLOCK)):
        for top in range(0, images, rows):
            here = (slice(top, top + rows), slice(first, first + BLOCK))
            part = flat[here]
            used = (slice(None), slice(len(part)), slice(part.shape[1]))
            _uniform(keys[here[0]], piece, bits[used], room[used][0])
            _counts(part, room[used], drawn[here])
    return counts


def hashed(seeds: Sequence[int], *stream: int) -> NDArray[np.uint64]:
    """A key of 64 bits for each seed, (B,), mixed with the numbers of the stream.

    The mixing is that of G. L. Steele, D. Lea, C. H. Flood, Fast splittable pseudorandom number generators, OOPSLA
    2014.
    """
    state = np.zeros(len(seeds), dtype=np.uint64)
    for number in ([seed & (2**64 - 1) for seed in seeds], *stream):
        state = (state ^ np.asarray(number, dtype=np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state


def _uniform(keys: NDArray[np.uint64], piece: int, bits: Tensor, out: Tensor) -> None:
    """Numbers in [0, 1), finest near 0, into (B, P); ``bits`` (2, B, P) int32 is overwritten."""
    if piece:
        keys = hashed([int(key) for key in keys], piece)
    halves = torch.from_numpy(keys.view(np.int32).reshape(-1, 2)).to(bits.device)
    mixed, shifted = bits
    torch.bitwise_xor(_places(bits.device)[: bits.shape[-1]], halves[:, :1], out=mixed)
    mixed *= 0x7FEB352D
    torch.bitwise_right_shift(mixed, 15, out=shifted)
    mixed ^= shifted.bitwise_and_(0x1FFFF)
    mixed ^= halves[:, 1:]
    mixed *= 0x2C1B3C6D
    out.copy_(mixed.bitwise_and_(BITS_31)).mul_(2.0**-31)


@lru_cache(maxsize=4)
def _places(device: torch.device) -> Tensor:
    """One number of 32 bits for each place in a block, well mixed, (BLOCK,) int32."""
    places = np.arange(BLOCK, dtype=np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        places = (places ^ (places >> np.uint32(shift))) * np.uint32(factor)
    return torch.from_numpy(places.view(np.int32)).to(device)


def _counts(means: Tensor, room: Tensor, counts: Tensor) -> None:
    """Counts of means (B, P) by inversion of the uniform numbers in ``room[0]``; the rest of it is overwritten."""
    least, most = (each.item() for each in torch.aminmax(means))
    if not (least >= 0.0 and most < math.inf):
        raise ValueError(f"means: from {least:g} to {most:g}; they must be finite and not negative")
    uniform, term, more, reached, spare, raised = room
    if least >= MANY:
        _expanded(means, uniform, counts, more, spare)
        return
    # Numbers next to nothing are slow, and as good as none.
    few = means if most <= 2 * MANY else torch.clamp(means, max=2 * MANY, out=raised)
    torch.neg(few, out=term).exp_()
    torch.neg(term, out=more).add_(1.0)
    # Into a floating tensor: on a processor this takes a fifth of the time of a comparison into a boolean one.
    torch.lt(uniform, more, out=counts)
    chance, left = math.exp(-most), -math.expm1(-most)
    for k in range(1, EXACT):
        if left < RAREST:
            break
        chance *= most / k
        left -= chance
        # The chance of more than k electrons.
        more.sub_(term.mul_(few), alpha=1.0 / math.factorial(k))
        torch.lt(uniform, more, out=reached)
        if k == EXACT - 1 and left > RAREST:
            # Smaller means never come as far; they must only stay finite.
            _expanded(torch.clamp(means, min=0.1, out=raised), uniform, term, more, spare)
            reached *= term.clamp_(min=EXACT).sub_(EXACT - 1)
        counts += reached


def _expanded(means: Tensor, uniform: Tensor, counts: Tensor, z: Tensor, y: Tensor) -> None:
    """Counts by Giles's expansion, z the quantile of the normal distribution and y = z / sqrt(mean).

    The whole part of mean (1 + y) + (2 + z^2) (1 / 6 - y / 72 + y^2 / 540): the last term is half of what leads his
    next order, which for small means is nearer to the truth than all or nothing of it.
    """
    # sqrt(2) is left out of z and y here.
    torch.mul(uniform, 2.0**-22 - 2.0, out=z).add_(1.0 - 2.0**-23).erfinv_()
    torch.div(z, torch.sqrt(means, out=y), out=y)
    torch.addcmul(means, means, y, value=math.sqrt(2.0), out=counts)
    # 135 times the last bracket, as a square.
    middle = math.sqrt(2.0) / 36.0 * 67.5
    y.sub_(middle).square_().add_(45.0 - middle**2)
    counts.addcmul_(z.square_().add_(1.0), y, value=1.0 / 135.0).floor_().clamp_(min=0.0)
