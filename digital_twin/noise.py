"""Electrons arrive one by one: fast Poisson noise in torch, the same for a seed on every device and in every batch.

One uniform number t in [0, 1) for each pixel gives its count by inversion, N = number of k with t < P(N > k):

- below a mean of ``FEW`` the probabilities are summed;
- above it, N is the whole part of an expansion about the normal distribution, M. B. Giles, Algorithm 955, ACM
  Transactions on Mathematical Software 42 (2016) 7, with the chance of no electron at all kept exact. At ``FEW`` the
  variance is 0.5 % too large and the mean right to 0.01 %; both improve with the mean.

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

FEW = 1.5
"""Mean below which probabilities are summed."""

RAREST = 1e-7
"""Chance of more electrons than the sum allows for; a uniform number of 31 bits hardly meets less."""

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
    counts = torch.empty_like(means, memory_format=torch.contiguous_format)
    flat, drawn = means.reshape(len(means), -1), counts.view(len(means), -1)
    keys = hashed(seeds, *stream)
    for piece, first in enumerate(range(0, flat.shape[1], BLOCK)):
        part, out = flat[:, first : first + BLOCK], drawn[:, first : first + BLOCK]
        rows = max(1, BLOCK // part.shape[1]) if means.device.type == "cpu" else len(means)
        for top in range(0, len(means), rows):
            here = slice(top, top + rows)
            uniform = _uniform(keys[here], piece, part.shape[1], means)
            out[here] = _counts(part[here], uniform)
    return counts


def hashed(seeds: Sequence[int], *stream: int) -> NDArray[np.uint64]:
    """A key of 64 bits for each seed, (B,), mixed with the numbers of the stream.

    The mixing is that of G. L. Steele, D. Lea, C. H. Flood, Fast splittable pseudorandom number generators, OOPSLA
    2014.
    """
    state = np.zeros(len(seeds), dtype=np.uint64)
    for number in (np.array([seed & (2**64 - 1) for seed in seeds], dtype=np.uint64), *(np.uint64(n) for n in stream)):
        state = (state ^ number) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state


def _uniform(keys: NDArray[np.uint64], piece: int, pixels: int, like: Tensor) -> Tensor:
    """Numbers in [0, 1), (B, pixels), finest near 0, of the floating type and on the device of another tensor."""
    if piece:
        keys = hashed([int(key) for key in keys], piece)
    halves = torch.from_numpy(keys.view(np.int32).reshape(-1, 2)).to(like.device)
    bits = _places(like.device)[:pixels] ^ halves[:, :1]
    bits *= 0x7FEB352D
    shifted = bits >> 15
    bits ^= shifted.bitwise_and_(0x1FFFF)
    bits ^= halves[:, 1:]
    bits *= 0x2C1B3C6D
    bits &= BITS_31
    return bits.to(like.dtype).mul_(2.0**-31)


@lru_cache(maxsize=4)
def _places(device: torch.device) -> Tensor:
    """One number of 32 bits for each place in a block, well mixed, (BLOCK,) int32."""
    places = np.arange(BLOCK, dtype=np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        places = (places ^ (places >> np.uint32(shift))) * np.uint32(factor)
    return torch.from_numpy(places.view(np.int32)).to(device)


def _counts(means: Tensor, uniform: Tensor) -> Tensor:
    """Counts (B, P) by inversion of uniform numbers (B, P)."""
    least, most = (each.item() for each in torch.aminmax(means))
    if not (least >= 0.0 and most < math.inf):
        raise ValueError(f"means: from {least:g} to {most:g}; they must be finite and not negative")
    if most < FEW:
        return _few(means, uniform, most)
    if least >= FEW:
        return _many(means, uniform)
    many = _many(means.clamp(min=FEW), uniform)
    return many.lerp_(_few(means.clamp(max=FEW), uniform, FEW), (FEW - means).sign_().clamp_(min=0.0))


def _few(means: Tensor, uniform: Tensor, most: float) -> Tensor:
    """Counts by summing probabilities, for means up to ``most``."""
    term = torch.exp(-means)
    more = 1.0 - term
    """Chance of more electrons than k, for k = 0, 1, ..."""
    counts = torch.empty_like(means)
    torch.lt(uniform, more, out=counts)
    reached = torch.empty_like(means)
    chance = math.exp(-most)
    k, left = 0, 1.0 - chance
    while left > RAREST:
        k += 1
        chance *= most / k
        left -= chance
        more.sub_(term.mul_(means), alpha=1.0 / math.factorial(k))
        # Into a floating tensor: on a processor this takes a fifth of the time of a comparison into a boolean one.
        counts += torch.lt(uniform, more, out=reached)
    return counts


def _many(means: Tensor, uniform: Tensor) -> Tensor:
    """Counts by Giles's expansion, for means from ``FEW`` on.

    With z the normal quantile, y = z / sqrt(mean) and v = 2 + z^2 his formula reads

        mean (1 + y) + v / 6 - v y / 72 + v y^2 / 270 + (z^2 - 16) / (810 mean)
    """
    z = torch.erfinv((1.0 - 2.0**-23) - (2.0 - 2.0**-22) * uniform).mul_(math.sqrt(2.0))
    y = z / means.sqrt()
    v = z.square_().add_(2.0)
    bend = (y / 270.0).sub_(1.0 / 72.0).mul_(y).add_(1.0 / 6.0).mul_(v)
    counts = torch.addcmul(means, means, y).add_(bend).add_(v.sub_(18.0).div_(means), alpha=1.0 / 810.0)
    some = torch.lt(uniform, torch.exp(-means).neg_().add_(1.0), out=y)
    return counts.floor_().clamp_(min=1.0).mul_(some)
