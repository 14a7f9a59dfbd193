"""Aberrations from images of points made with the probe of the optics: found within their errors, or doubted."""

import numpy as np
import pytest

from agent.perception.aberrations import Evidence, Shot, settled
from agent.perception.probe_transfer import Frequencies, Transfers
from digital_twin.optics import Column

PIXELS, PIXEL_NM = 128, 0.1
RANGE3 = np.array([60.0, 30.0, 30.0])
HIDDEN = np.array([17.0, -8.0, 5.0, 0.0, 0.0, 0.0, 0.0])
SETTINGS = [np.array([a, b, c, 0, 0, 0, 0.0]) for a, b, c in ((0, 0, 0), (-30, 0, 0), (-14, 8, -8))]


@pytest.fixture(scope="module")
def transfers():
    return Transfers(Frequencies((PIXELS, PIXELS), PIXEL_NM, Column(300.0, 20.0), 0.25, 4.7))


@pytest.fixture(scope="module")
def shots(atoms):
    def made(seed, shift_nm=(0.0, 0.0), electrons=3.0):
        specimen, moved = atoms(seed), [(0.0, 0.0), shift_nm, shift_nm]
        return [
            Shot(specimen.image(HIDDEN + set_nm, electrons, [seed, n], move), set_nm)
            for n, (set_nm, move) in enumerate(zip(SETTINGS, moved, strict=True))
        ]

    return made


def test_three_images_tell_what_is_hidden_within_its_errors(transfers, shots):
    z = []
    for seed in range(3):
        modes = Evidence(shots(seed), transfers, RANGE3).modes()
        off = modes[0].hidden_nm - HIDDEN[:3]
        z.append(off / np.sqrt(np.diag(modes[0].covariance)))
        assert np.abs(off).max() < 0.5
        assert modes[0].unexplained < 0.05
        assert np.sqrt(np.diag(settled(modes).covariance)).min() >= 0.4
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 2.5


def test_drift_between_images_is_found(transfers, shots):
    found = Evidence(shots(5, shift_nm=(0.33, -0.27)), transfers, RANGE3).modes([HIDDEN[:3]], search=False)[0]
    np.testing.assert_allclose(found.shifts_nm, [[0, 0], [0.33, -0.27], [0.33, -0.27]], atol=0.03)


def test_images_of_different_places_are_not_explained(transfers, shots):
    mixed = [shots(seed, electrons=30.0)[n] for n, seed in enumerate((6, 7, 8))]
    assert Evidence(mixed, transfers, RANGE3).modes([HIDDEN[:3]], search=False)[0].unexplained > 0.25


def test_information_is_that_of_the_covariance_and_grows_with_an_image(transfers, shots):
    evidence = Evidence(shots(9), transfers, RANGE3)
    mode = evidence.modes([HIDDEN[:3]], search=False)[0]
    now = evidence.information(mode)
    np.testing.assert_allclose(np.linalg.inv(now), mode.covariance, rtol=1e-3)
    more = evidence.information(mode, np.array([-25.0, 8.0, -5.0, 0, 0, 0, 0]))
    assert np.linalg.eigvalsh(more - now).min() > 0.0


def test_the_slope_is_that_of_the_misfit(transfers, shots):
    evidence = Evidence(shots(10), transfers, RANGE3)
    at = np.concatenate([HIDDEN[:3] + np.array([1.5, -1.0, 0.5]), np.zeros(4)])
    gradient, _ = evidence._slopes(at, len(evidence.x), evidence._misfit(at, len(evidence.x))[1])
    differences = []
    for n, step in enumerate((0.05, 0.05, 0.05, 0.005, 0.005, 0.005, 0.005)):
        move = np.zeros(7)
        move[n] = step
        up, down = (evidence._misfit(at + sign * move, len(evidence.x))[0] for sign in (1, -1))
        differences.append((up - down) / (2 * step))
    # The specimen's spectrum is fitted, not quite to its likeliest.
    for kind in (slice(3), slice(3, 7)):
        most = np.abs(differences[kind]).max()
        np.testing.assert_allclose(gradient[kind], differences[kind], atol=0.2 * most)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (np.zeros((PIXELS, PIXELS)), "blank or saturated"),
        (np.full((PIXELS, PIXELS), np.nan), "not finite"),
        (np.ones((PIXELS, 64)), "of shape"),
        (np.minimum(np.random.default_rng(0).poisson(9.0, (PIXELS, PIXELS)), 9), "saturated"),
        (-np.random.default_rng(0).random((PIXELS, PIXELS)), "below 0"),
    ],
)
def test_what_tells_nothing_is_refused(transfers, counts, told):
    with pytest.raises(ValueError, match=told):
        Evidence([Shot(counts, np.zeros(7))], transfers, RANGE3)


def test_no_image_and_odd_settings_are_refused(transfers, shots):
    with pytest.raises(ValueError, match="none"):
        Evidence([], transfers, RANGE3)
    with pytest.raises(ValueError, match="set_nm"):
        Evidence([Shot(shots(1)[0].counts, np.zeros(3))], transfers, RANGE3)
