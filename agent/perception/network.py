"""A small network with honest errors: from numbers of a look to means and variances of what it asks for.

Shipped as NAME.npz, which holds plain arrays, beside NAME.json, which says how it was trained and how well it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_LOG_VAR = 3.0
LEAST_TOLD = 0.1
"""A reading that leaves more than 1 - this of a target's variance is not made, nor any by a mode that explains less.

What knows next to nothing stays near the mean of all worlds whatever is there: many such readings would agree on it.
"""

ARRAYS = ("middle", "scale", "project", "weights", "target_mean", "target_sd")


@dataclass(frozen=True)
class Network:
    """Standardise, project, two layers of tanh, then a mean and the logarithm of a variance for each of T targets.

    ``middle`` and ``scale`` (N,) standardise the inputs, ``project`` (N, P) makes few of them, ``layers`` are pairs of
    (in, out) and (out,). ``target_mean`` and ``target_sd`` (T,) are those of the worlds that it was trained on.
    """

    middle: Array
    scale: Array
    project: Array
    layers: tuple[tuple[Array, Array], ...]
    target_mean: Array
    target_sd: Array
    least_told: ClassVar[float] = LEAST_TOLD

    def __call__(self, inputs: Array) -> tuple[Array, Array]:
        """Mean and sd (..., T) of the targets, for inputs (..., N), by the worlds that it was trained on."""
        hidden = ((inputs - self.middle) / self.scale) @ self.project
        for weight, bias in self.layers[:-1]:
            hidden = np.tanh(hidden @ weight + bias)
        weight, bias = self.layers[-1]
        mean, log_var = np.split(hidden @ weight + bias, 2, axis=-1)
        sd = np.exp(np.minimum(log_var, MOST_LOG_VAR) / 2)
        return self.target_mean + self.target_sd * mean, self.target_sd * sd

    def arrays(self, name: str) -> dict[str, NDArray[np.float32]]:
        """What is shipped of it, by name."""
        found = {
            "middle": self.middle,
            "scale": self.scale,
            "project": self.project,
            "target_mean": self.target_mean,
            "target_sd": self.target_sd,
        }
        for n, (weight, bias) in enumerate(self.layers):
            found |= {f"weight{n}": weight, f"bias{n}": bias}
        return {
            f"{name}.{key}": value.astype(np.float16 if key == "project" else np.float32)
            for key, value in found.items()
        }

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> Network:
        """Read one of the networks of a file."""
        own = {
            key.partition(".")[2]: np.asarray(a, dtype=np.float64)
            for key, a in arrays.items()
            if key.startswith(f"{name}.")
        }
        layers = tuple((own[f"weight{n}"], own[f"bias{n}"]) for n in range(sum(key.startswith("bias") for key in own)))
        return cls(own["middle"], own["scale"], own["project"], layers, own["target_mean"], own["target_sd"])


def unshrunk(mean: Array, sd: Array, target_mean: Array, target_sd: Array) -> tuple[Array, Array]:
    """The reading behind a posterior: what to combine with another prior than that of the training worlds.

    A posterior (m, v) of a prior (M, V) comes from a measurement of variance R = v V / (V - v) at m + (m - M) R / V. No
    more is left of a posterior as wide as its prior than that R is large.
    """
    left = np.maximum(1.0 - (sd / target_sd) ** 2, 1e-3)
    var = sd**2 / left
    return mean + (mean - target_mean) * var / target_sd**2, np.sqrt(var)
