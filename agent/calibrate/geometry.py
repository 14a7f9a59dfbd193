"""From effects in the image as stated to maps on the scale of the reference, with their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.calibrate.moves import Moves
from agent.perception.scan import Array
from hardware_bridge.calibration import MatrixEstimate
from hardware_bridge.report import Estimate


@dataclass(frozen=True)
class Geometry:
    """As the fields of ``Calibration`` by the same names."""

    stage: MatrixEstimate
    beam_shift: MatrixEstimate | None
    pixel_size: Estimate
    backlash_x_nm: Estimate
    backlash_y_nm: Estimate


def geometry(moved: Moves, period: Estimate | None) -> Geometry:
    """Matrices, pixel size and backlash from the effects of moves, and from the pixel size where a grating told it.

    Errors are carried through by the slopes of all results along all effects.
    """
    causes = [moved.stage, moved.backlash] + ([moved.beam_shift] if moved.beam_shift is not None else [])
    at = np.concatenate(causes).T.ravel()
    p = len(at) // 2
    cov = np.zeros((2 * p + 1, 2 * p + 1))
    for k in (0, 1):
        cov[k * p : (k + 1) * p, k * p : (k + 1) * p] = moved.covariance[k]
    cov[-1, -1] = period.sd**2 if period is not None else 0.0
    at = np.append(at, period.value if period is not None else 1.0)

    def derived(x: Array) -> Array:
        effects = x[:-1].reshape(2, p)
        stage = effects[:, :2]
        scale = x[-1] if period is not None else abs(float(np.linalg.det(stage))) ** -0.5
        missing = [float(effects[:, 2 + k] @ stage[:, k] / (stage[:, k] @ stage[:, k])) for k in (0, 1)]
        return np.concatenate([(scale * stage).ravel(), (scale * effects[:, 4:]).ravel(), [scale], missing])

    value = derived(at)
    slopes = np.zeros((value.size, at.size))
    for n in range(at.size):
        step = 1e-5 * max(abs(float(at[n])), 1e-2)
        ahead, behind = at.copy(), at.copy()
        ahead[n] += step
        behind[n] -= step
        slopes[:, n] = (derived(ahead) - derived(behind)) / (2 * step)
    sd = np.sqrt(np.einsum("ij,jk,ik->i", slopes, cov, slopes))

    def matrix(first: int) -> MatrixEstimate:
        a, b, c, d = value[first : first + 4].tolist()
        e, f, g, h = sd[first : first + 4].tolist()
        return MatrixEstimate(value=(a, b, c, d), sd=(e, f, g, h))

    def estimate(n: int) -> Estimate:
        return Estimate(value=float(value[n]), sd=float(sd[n]))

    return Geometry(
        stage=matrix(0),
        beam_shift=matrix(4) if moved.beam_shift is not None else None,
        pixel_size=estimate(-3),
        backlash_x_nm=estimate(-2),
        backlash_y_nm=estimate(-1),
    )
