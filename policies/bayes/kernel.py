"""How values at two points of the specimen go together: a product kernel over place and time, plus global factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

X, Y, T, SCALE, LOADINGS = 0, 1, 2, 3, 4


class Kernel(Protocol):
    """A covariance function of two sets of points, (N, d) and (M, d) -> (N, M)."""

    def __call__(self, a: Array, b: Array) -> Array:
        """Return the prior covariance of every point of a with every point of b."""
        ...

    def variance(self, a: Array) -> Array:
        """Return the prior variance of every point, (N,)."""
        ...


@dataclass(frozen=True)
class SpaceTimeKernel:
    """Covariance of a field over the specimen and over time, and of the globals that drive it.

    A point is a row (x_nm, y_nm, t_s, scale, loading_1, loading_2, ...). Its latent value is scale * f(x, y, t) +
    sum_k loading_k * g_k with independent standard normal g_k (the globals, standardised) and
    cov f = variance_factor * [shared_share + (1 - shared_share) * exp(-|dt| / time_s - dr / length_nm)], as the card
    of a world states its correlations. ``shared_share`` is the part of the variance that all places and times have in
    common. A global itself is the point with scale 0 and loading 1 in its own column. All points of one model have the
    same number of columns, at least four.
    """

    shared_share: float
    time_s: float
    length_nm: float
    variance_factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.shared_share <= 1.0:
            raise ValueError(f"shared_share = {self.shared_share:g} is not within 0..1")
        for name in ("time_s", "length_nm", "variance_factor"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} = {getattr(self, name):g} is not above 0")

    def __call__(self, a: Array, b: Array) -> Array:
        """Return the prior covariance, (N, d) and (M, d) -> (N, M)."""
        apart = np.hypot(a[:, None, X] - b[None, :, X], a[:, None, Y] - b[None, :, Y]) / self.length_nm
        apart += np.abs(a[:, None, T] - b[None, :, T]) / self.time_s
        together = self.shared_share + (1.0 - self.shared_share) * np.exp(-apart)
        field = (self.variance_factor * a[:, SCALE])[:, None] * b[None, :, SCALE] * together
        return np.asarray(field + a[:, LOADINGS:] @ b[:, LOADINGS:].T)

    def variance(self, a: Array) -> Array:
        """Return the prior variance, (N,)."""
        return np.asarray(
            self.variance_factor * a[:, SCALE] ** 2 + np.einsum("nk,nk->n", a[:, LOADINGS:], a[:, LOADINGS:])
        )


@dataclass(frozen=True)
class SurfaceKernel:
    """Covariance of a surface that is a paraboloid but for a little, and wanders: a bulging window, seen as defocus.

    A point is a row (x_nm, y_nm, t_s). With x and y in units of reach_nm the value is an offset, a tilt, a bulge
    x^2 + y^2 - 1/2 that is alike in all directions, each with a coefficient of its own (``offset_sd``, ``tilt_sd``,
    ``bulge_sd``), a smooth rest (``rest_sd``, squared exponential with ``rest_length_nm``) and a wander that is the
    same everywhere (a Wiener process, ``wander_sd`` after ``wander_s`` seconds).
    """

    reach_nm: float
    offset_sd: float
    tilt_sd: float
    bulge_sd: float
    rest_sd: float
    rest_length_nm: float
    wander_sd: float
    wander_s: float

    def __call__(self, a: Array, b: Array) -> Array:
        """Return the prior covariance, (N, 3) and (M, 3) -> (N, M)."""
        squared = (a[:, None, X] - b[None, :, X]) ** 2 + (a[:, None, Y] - b[None, :, Y]) ** 2
        rest = self.rest_sd**2 * np.exp(-0.5 * squared / self.rest_length_nm**2)
        wander = self.wander_sd**2 * np.minimum(a[:, None, T], b[None, :, T]) / self.wander_s
        return np.asarray(self._features(a) @ self._features(b).T + rest + wander)

    def variance(self, a: Array) -> Array:
        """Return the prior variance, (N,)."""
        features = self._features(a)
        rest = self.rest_sd**2 + self.wander_sd**2 * a[:, T] / self.wander_s
        return np.asarray(np.einsum("nk,nk->n", features, features) + rest)

    def _features(self, a: Array) -> Array:
        x, y = a[:, X] / self.reach_nm, a[:, Y] / self.reach_nm
        constant = np.full(len(a), self.offset_sd)
        return np.stack([constant, self.tilt_sd * x, self.tilt_sd * y, self.bulge_sd * bulge(x, y)], axis=1)


def bulge(x: Array, y: Array) -> Array:
    """The shape of a bulge, whose middle is as far above the plane that was focused on as its edge is below."""
    return np.asarray(x**2 + y**2 - 0.5)
