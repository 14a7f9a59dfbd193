"""The transfer of the probe: against the probe formed on a whole grid, its slopes against differences, rays far off."""

import math
from pathlib import Path

import numpy as np
import pytest

from agent.perception.probe_transfer import Frequencies, Transfers, balanced_C10_nm, geometric
from digital_twin.optics import Aberrations, Column, probe_intensity, strehl

COLUMN = Column(300.0, 20.0)
GOLDEN = Path(__file__).parents[3] / "experiments" / "validation" / "golden" / "scanned.npz"
PIXELS, PIXEL_NM = 128, 0.1
SOME = np.array([20.0, 10.0, -5.0, 300.0, 200.0, 100.0, -150.0])


def polar(components, C30_um=0.0):
    pairs = zip(components[1:].reshape(3, 2), (2, 1, 3), strict=True)
    sizes = (each for (a, b), m in pairs for each in (math.hypot(a, b), math.atan2(b, a) / m))
    return Aberrations(components[0], *sizes, C30_um)


@pytest.fixture(scope="module")
def transfers():
    return Transfers(Frequencies((PIXELS, PIXELS), PIXEL_NM, COLUMN, 0.2, 4.7))


@pytest.mark.parametrize("C30_um", [0.0, 10.0])
def test_it_is_that_of_the_probe_on_a_whole_grid(C30_um):
    made = Transfers(Frequencies((PIXELS, PIXELS), PIXEL_NM, COLUMN, 0.2, 4.7), C30_um)
    fine = 4
    probe = probe_intensity(fine * PIXELS, PIXEL_NM / fine, polar(SOME, C30_um), COLUMN)
    whole = np.fft.fft2(probe).conj()  # a scan correlates
    rows = np.rint(made.y_per_nm * PIXELS * PIXEL_NM).astype(int)
    columns = np.rint(made.x_per_nm * PIXELS * PIXEL_NM).astype(int)
    # The edge of the aperture is drawn on a grid of 65 points a radius, here on one twice as fine.
    assert np.abs(made.of(SOME) - whole[rows, columns]).max() < 0.02


def test_its_slopes_are_its_differences(transfers):
    value, slopes = transfers.with_slopes(SOME)
    np.testing.assert_allclose(value, transfers.of(SOME), atol=1e-6)
    for n, step in enumerate((0.5, 0.5, 0.5, 20.0, 20.0, 20.0, 20.0)):
        move = np.zeros(7)
        move[n] = step
        difference = (transfers.of(SOME + move) - transfers.of(SOME - move)) / (2 * step)
        assert np.abs(slopes[n] - difference).max() < 0.02 * np.abs(difference).max()


def test_far_below_the_edge_of_the_aperture_rays_tell_it(transfers):
    low = np.hypot(transfers.x_per_nm, transfers.y_per_nm) < 1.0
    components = np.array([[30.0, 12.0, -8.0], [-30.0, 12.0, -8.0]])
    rays = geometric(components, transfers.x_per_nm, transfers.y_per_nm, 20.0)
    for ray, each in zip(rays, components, strict=True):
        wave = transfers.of(np.concatenate([each, np.zeros(4)]))
        assert np.abs(ray - wave)[low].max() < 0.07
    assert np.abs(rays[0] - rays[1])[low].max() > 0.1


def test_the_spread_of_the_phase_is_what_the_strehl_ratio_loses(transfers):
    small = np.array([0.8, 0.5, -0.4, 20.0, -15.0, 12.0, 10.0])
    spread = transfers.phase_covariance()
    assert -math.log(strehl(polar(small), COLUMN)) == pytest.approx(small @ spread @ small, rel=0.02)


def test_the_balanced_C10_leaves_the_best_strehl_ratio():
    best = balanced_C10_nm(10.0, 20.0)
    ratios = [strehl(Aberrations(C10_nm=best + off, C30_um=10.0), COLUMN) for off in (-0.3, 0.0, 0.3)]
    assert ratios[1] == max(ratios) > 0.98


def test_frequencies_come_once_and_ascend(transfers):
    x, y = transfers.x_per_nm, transfers.y_per_nm
    assert (np.diff(np.hypot(x, y)) >= 0).all()
    points = {(round(a, 6), round(b, 6)) for a, b in zip(x, y, strict=True)}
    assert len(points) == len(x)
    assert not {(-a, -b) for a, b in points} & points


@pytest.mark.parametrize(("shape", "pixel_nm", "told"), [((32, 128), 0.1, "at least 64"), ((128, 128), 0.2, "at most")])
def test_what_cannot_hold_a_probe_is_refused(shape, pixel_nm, told):
    with pytest.raises(ValueError, match=told):
        Frequencies(shape, pixel_nm, COLUMN, 0.2, 4.7)


def test_it_leans_as_the_image_of_an_atom_by_another_code_does():
    # C10 to C30 of experiments/validation/references/scanned.py; the atom is in the middle of pixel (32, 32).
    with np.load(GOLDEN) as data:
        image, pixel_nm = data["image"].astype(np.float64), float(data["pixel_nm"])
    made = Transfers(Frequencies(image.shape, pixel_nm, COLUMN, 0.2, 4.7), C30_um=10.0)
    lens = ((4.0, 0.4, 2), (800.0, 0.6, 1), (400.0, -0.5, 3))
    ours = made.of(np.array([2.0] + [part(m * phi) * size for size, phi, m in lens for part in (math.cos, math.sin)]))
    theirs = np.fft.rfft2(np.roll(image / image.sum(), (-32, -32), (0, 1))).ravel()[made.places]
    # An atom is no point: it takes from high frequencies, and shifts none.
    phase = np.angle(theirs * ours.conj())
    seen = np.abs(theirs) > 0.05
    assert np.abs(np.angle(ours[seen])).max() > 1.0
    assert np.sqrt((phase[seen] ** 2).mean()) < 0.1
