"""Strain, turn and beam of synthetic lattices of discs, from few counts, with honest sds; and nothing from nothing."""

import math

import numpy as np
import pytest

from agent.perception.diffraction import Crystal, PatternReader

SIZE, STEP_mrad, CONE_mrad, WAVELENGTH_nm = 96, 0.5, 1.2, 0.0025
# A rectangle, whose turn is unique up to half a turn.
BASIS = np.array([[2.0, 0.0], [0.0, 2.6]])
ORDERS = np.array([(h, k) for h in range(-3, 4) for k in range(-3, 4) if (h, k) != (0, 0) and abs(h) + abs(k) < 5])
CRYSTAL = Crystal(BASIS, ORDERS, 1e-4 * np.exp(-0.3 * np.abs(ORDERS).sum(axis=1)))


@pytest.fixture(scope="module")
def reader() -> PatternReader:
    return PatternReader(SIZE, STEP_mrad, CONE_mrad, CRYSTAL, WAVELENGTH_nm)


def expected(strain: np.ndarray, turn_rad: float, beam_mrad: tuple[float, float], thick_nm: float = 12.0) -> np.ndarray:
    """Shares (K, K): discs drawn on a grid five times as fine, on a broad background."""
    fine = STEP_mrad * (np.arange(5 * SIZE) - 2 - 5 * (SIZE // 2)) / 5
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    deformed = (np.eye(2) + strain) @ np.array([[cos, -sin], [sin, cos]])
    g = 1e3 * WAVELENGTH_nm * np.concatenate([[[0.0, 0.0]], ORDERS @ BASIS]) @ np.linalg.inv(deformed)
    heights = np.concatenate([[1.0], thick_nm**2 * CRYSTAL.strengths])
    image = 0.3 * np.exp(-np.hypot(fine[None], fine[:, None]) / 12.0) / 9e3
    for (x, y), height in zip(g + beam_mrad, heights, strict=True):
        image += (
            height * (np.hypot(fine[None] - x, fine[:, None] - y) <= CONE_mrad) / (math.pi * (CONE_mrad / 0.1) ** 2)
        )
    return image.reshape(SIZE, 5, SIZE, 5).sum(axis=(1, 3))


@pytest.mark.parametrize("electrons", [600.0, 6000.0])
def test_strain_turn_and_beam_come_back_within_their_errors(reader, electrons) -> None:
    strain, turn, beam = np.array([[0.012, -0.006], [-0.006, -0.01]]), 0.7, (0.35, -0.2)
    shares = expected(strain, turn, beam)
    rng = np.random.default_rng(int(electrons))
    fits = [reader.read(rng.poisson(electrons * shares).astype(float)) for _ in range(40)]
    for true, told in (
        (0.012, [f.strain(0) for f in fits]),
        (-0.01, [f.strain(1) for f in fits]),
        (-0.006, [f.strain(2) for f in fits]),
        (turn, [f.turn_rad for f in fits]),
        (beam[0] / STEP_mrad, [f.deflection_px(1) for f in fits]),
        (beam[1] / STEP_mrad, [f.deflection_px(0) for f in fits]),
    ):
        z = np.array([(each.value - true) / each.sd for each in told])
        # Floors are wider than what counting leaves of discs that no speckle mottles.
        assert 0.3 < z.std() < 1.4
        assert abs(z.mean()) < 1.0
    assert np.mean([f.strain(0).sd for f in fits]) < (0.022 if electrons < 1e3 else 0.004)


def test_no_more_is_in_order_than_is_there(reader) -> None:
    rng = np.random.default_rng(4)
    for thick in (0.0, 6.0, 12.0):
        shares = expected(np.zeros((2, 2)), 0.3, (0.0, 0.0), thick)
        told = [reader.read(rng.poisson(2e4 * shares).astype(float)).ordered_nm(reader.crystal) for _ in range(10)]
        if thick == 0.0:
            # A background that falls within a disc is not all told from discs: 8 % of what 12 nm scatter.
            assert np.mean([each.value for each in told]) < 3.5
        else:
            assert np.mean([each.value for each in told]) == pytest.approx(thick, abs=0.8)


@pytest.mark.parametrize(
    "pattern",
    [
        np.zeros((SIZE, SIZE)),
        np.full((SIZE, SIZE), np.nan),
        np.ones((SIZE, SIZE + 2)),
        -np.ones((SIZE, SIZE)),
        np.eye(SIZE)[:1].repeat(SIZE, 0) * 0.1,
    ],
)
def test_what_is_no_pattern_tells_nothing(reader, pattern) -> None:
    assert reader.read(pattern) is None


def test_noise_and_even_light_are_told_with_large_errors(reader) -> None:
    rng = np.random.default_rng(5)
    for pattern in (np.ones((SIZE, SIZE)), rng.poisson(0.02, (SIZE, SIZE)).astype(float), 1e6 * np.eye(SIZE)):
        fit = reader.read(pattern)
        assert fit is not None
        assert all(math.isfinite(fit.strain(k).value) and fit.strain(k).sd > 0.002 for k in range(3))
