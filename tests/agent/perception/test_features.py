from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from agent.perception.features import Dose, Patch, of_image, of_pattern, of_spectrum, patches
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import Acquire, Capabilities, Command, Go
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card

EXTENT_NM = 800.0
Make = Callable[[int], Observation]


@pytest.fixture
def grid() -> Card:
    return Card(
        world="made",
        version=1,
        extent_nm=EXTENT_NM,
        cells=8,
        times_s=(),
        duration_s=1.0,
        budget_electrons=1.0,
        max_fluence_e_per_A2=10.0,
        targets=(),
    )


def seen(one: Observation, x_nm: float, y_nm: float, fov_nm: float, pixels: int = 32) -> Observation:
    """The same observation, as if it had been taken elsewhere: pixels hold their own number."""
    acquire = Acquire(mode="HAADF", fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=1e-5)
    there = Go(stage_x_nm=x_nm, stage_y_nm=y_nm, beam_shift_x_nm=0.0, beam_shift_y_nm=0.0, scan_rotation_deg=0.0)
    return replace(
        one,
        command=Command(id="made", acquire=acquire),
        state=structs.replace(one.state, go=there),
        kind="frame",
        data=np.arange(pixels**2).reshape(pixels, pixels),
        row_seen=np.ones(pixels, dtype=bool),
        electrons=50 * 1e-5 * ELECTRONS_PER_PA_S * pixels**2,
        gaps=0,
    )


def patch(data: np.ndarray, electrons: float = 1000.0) -> Patch:
    return Patch(0, (0, 0), data, electrons, 1.0, (0, 1, 0, 1))


def test_a_field_is_cut_by_the_cells_that_it_covers(
    make_observation: Make, grid: Card, capabilities: Capabilities
) -> None:
    # 100 nm around the corner of four cells, more of it to the right.
    one = seen(make_observation(0), 6.25, 0.0, 100.0)
    found = {each.cell: each for each in patches(one, grid, capabilities, Dose(EXTENT_NM))}
    assert sorted(found) == [27, 28, 35, 36]
    wide = found[28]
    assert wide.data.shape == (16, 18)
    assert one.data is not None
    np.testing.assert_array_equal(wide.data, one.data[:16, 14:])
    assert (wide.corner, found[36].corner) == ((0, 14), (16, 14))
    np.testing.assert_array_equal(found[36].data, one.data[16:, 14:])
    assert wide.electrons == pytest.approx(50 * 1e-5 * ELECTRONS_PER_PA_S)


def test_what_lies_beyond_the_extent_is_not_read(
    make_observation: Make, grid: Card, capabilities: Capabilities
) -> None:
    one = seen(make_observation(0), 400.0, 350.0, 100.0)
    assert [each.cell for each in patches(one, grid, capabilities, Dose(EXTENT_NM))] == [63]


@pytest.mark.parametrize("how", ["gaps", "rows", "dark"])
def test_what_is_not_whole_is_not_read(
    make_observation: Make, grid: Card, capabilities: Capabilities, how: str
) -> None:
    one = seen(make_observation(0), 0.0, 0.0, 100.0)
    torn = {
        "gaps": replace(one, gaps=1),
        "rows": replace(one, row_seen=np.arange(32) > 0),
        "dark": replace(one, electrons=0.0),
    }[how]
    assert not list(patches(torn, grid, capabilities, Dose(EXTENT_NM)))


def test_dose_is_remembered_where_it_fell() -> None:
    dose = Dose(EXTENT_NM)
    dose.add(dose.box((-100.0, 200.0), (50.0, 50.0)), 3.0)
    assert dose.mean(dose.box((-100.0, 200.0), (20.0, 20.0))) == pytest.approx(3.0)
    assert dose.mean(dose.box((200.0, -100.0), (50.0, 50.0))) == 0.0
    assert dose.mean(dose.box((-75.0, 200.0), (50.0, 50.0))) == pytest.approx(1.5, rel=0.2)


def test_numbers_of_an_image_mean_the_same_at_every_dose() -> None:
    random = np.random.default_rng(0)
    share = 0.02 + 0.1 * (np.hypot(*np.mgrid[-32:32, -32:32]) < 12)
    few, many = (np.mean([of_image(patch(random.poisson(e * share), e)) for _ in range(8)], axis=0) for e in (3e3, 3e5))
    # The mean, power at the first scales, and the quantiles of blocks.
    np.testing.assert_allclose(few[:3], many[:3], atol=0.06)
    np.testing.assert_allclose(few[10:13], many[10:13], atol=0.12)


def test_noise_alone_has_no_power() -> None:
    random = np.random.default_rng(0)
    flat = [of_image(patch(random.poisson(np.full((64, 64), 50.0)), 1e4)) for _ in range(30)]
    assert abs(np.mean(flat, axis=0)[1]) < 0.02
    assert np.isfinite(flat).all()


def test_a_spectrum_is_put_where_its_zero_loss_is() -> None:
    energy = np.arange(300)

    def spectrum(moved: float) -> np.ndarray:
        peak = 1e8 * np.exp(-(((energy - 40 - moved) / 2) ** 2)) + 5e5 * np.exp(-(((energy - 180 - moved) / 9) ** 2))
        return np.round(peak)[None, None, :]

    still, moved = (of_spectrum(patch(spectrum(by)), 40) for by in (0.0, 1.6))
    np.testing.assert_allclose(moved[150:210], still[150:210], atol=0.02 * still[150:210].max())
    left = of_spectrum(patch(spectrum(1.6)), None)
    assert np.abs(left[150:210] - still[150:210]).max() > 5 * np.abs(moved[150:210] - still[150:210]).max()


def test_a_turned_pattern_has_the_same_rings_and_other_harmonics() -> None:
    ky, kx = np.mgrid[-64:64, -64:64]
    spots = sum(np.exp(-(((kx - 30 * np.cos(a)) ** 2 + (ky - 30 * np.sin(a)) ** 2) / 18)) for a in (0.0, np.pi))
    turned = np.swapaxes(spots, 0, 1)
    one, other = (of_pattern(patch(each[None, None])) for each in (spots, turned))
    np.testing.assert_allclose(one[:48], other[:48], atol=1e-6)
    ring = int(30 / 64 * 24)
    # Harmonics come as cosine and sine of 2, 4 and 6: spots at 0 and 180 degrees, then at 90 and 270.
    assert one[48 + ring] == pytest.approx(-other[48 + ring], abs=1e-6)
    assert one[48 + ring] > 0.8


def test_spots_stand_out_however_the_next_pattern_is_turned() -> None:
    ky, kx = np.mgrid[-64:64, -64:64]

    def spots(angle: float) -> np.ndarray:
        x, y = 30 * np.cos(angle), 30 * np.sin(angle)
        return 1e3 * sum(np.exp(-(((kx - s * x) ** 2 + (ky - s * y) ** 2) / 18)) for s in (1, -1))

    alone = of_pattern(patch(spots(0.3)[None, None]))
    both = of_pattern(patch(np.stack([spots(0.3), spots(1.9)])[None]))
    ring = int(30 / 64 * 24)
    assert both[24 + ring] == pytest.approx(alone[24 + ring], rel=0.05)
    # Of the mean of both patterns each spot would be half as bright.
    mean = of_pattern(patch((spots(0.3) + spots(1.9))[None, None] / 2))
    assert mean[24 + ring] < 0.8 * both[24 + ring]
