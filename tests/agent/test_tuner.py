"""The tuner at a microscope of closed forms: it arrives in a few images, knows that, and knows when it is lost."""

import numpy as np
import pytest

from agent.perception.probe_transfer import Frequencies, Transfers
from agent.tuner import Tuner
from digital_twin.optics import Column

RANGE3 = np.array([60.0, 30.0, 30.0])
RANGE7 = np.array([60.0, 30.0, 30.0, 900.0, 900.0, 300.0, 300.0])
HIDDEN = np.array([-31.0, 14.0, -9.0, 400.0, -250.0, 120.0, 80.0])


@pytest.fixture(scope="module")
def transfers():
    return Transfers(Frequencies((128, 128), 0.1, Column(300.0, 20.0), 0.25, 4.7))


def tune(transfers, specimens, ranges, most):
    """Tune until the tuner says that it is done; returns it and the settings of each image."""
    tuner, tried = Tuner(transfers, ranges), []
    hidden = np.zeros(7)
    hidden[: len(ranges)] = HIDDEN[: len(ranges)]
    while len(tried) < most and not tuner.done:
        settings = tuner.suggest()
        assert (np.abs(settings) <= ranges + 1e-9).all()
        total = hidden.copy()
        total[: len(ranges)] += settings
        tuner.ingest(specimens(len(tried)).image(total, 4.0, [3, len(tried)]), settings)
        tried.append(settings)
    return tuner, tried


@pytest.mark.parametrize(("ranges", "most"), [(RANGE3, 8), pytest.param(RANGE7, 15, marks=pytest.mark.slow)])
def test_it_undoes_what_is_hidden_and_says_so(transfers, atoms, ranges, most):
    specimen = atoms(11)
    tuner, tried = tune(transfers, lambda _: specimen, ranges, most)
    assert tuner.done
    off = tried[-1] + HIDDEN[: len(ranges)]
    spread = transfers.phase_covariance(len(ranges))
    assert np.exp(-off @ spread @ off) > 0.8
    assert not tried[0].any()


def test_where_nothing_explains_the_images_it_optimises_sharpness(transfers, atoms):
    tuner = Tuner(transfers, RANGE3, seed=1)
    at = np.zeros(7)
    for n in range(2):
        belief = tuner.ingest(atoms(n).image(at, 60.0, [4, n]), np.zeros(3))
    assert "no specimen explains" in belief.doubt
    assert not tuner.done
    asked = tuner.suggest()
    assert asked.any()
    assert (np.abs(asked) <= RANGE3).all()


@pytest.mark.parametrize("counts", [np.zeros((128, 128)), np.full((128, 128), np.nan), np.ones((3, 3)), np.ones(5)])
def test_a_useless_image_is_doubted_and_left_out(transfers, counts):
    tuner = Tuner(transfers, RANGE3)
    belief = tuner.ingest(counts, np.zeros(3))
    assert belief.strehl == 0.0
    assert "counts" in belief.doubt
    assert not tuner.done
    assert not tuner.suggest().any()


def test_a_useless_image_does_not_undo_what_is_known(transfers, atoms):
    tuner = Tuner(transfers, RANGE3)
    at = np.zeros(7)
    before = tuner.ingest(atoms(2).image(at, 4.0, 5), np.zeros(3))
    spoilt = tuner.ingest(np.zeros((128, 128)), np.zeros(3))
    np.testing.assert_array_equal(spoilt.hidden_nm, before.hidden_nm)
    assert tuner.belief is before


def test_it_aims_at_the_focus_that_balances_a_stated_C30(atoms):
    balanced = Transfers(Frequencies((128, 128), 0.1, Column(300.0, 20.0), 0.25, 4.7), C30_um=10.0)
    tuner = Tuner(balanced, RANGE3)
    tuner.ingest(atoms(2).image(np.zeros(7), 4.0, 5), np.zeros(3))
    assert tuner.belief is not None
    assert tuner.suggest()[0] == pytest.approx(np.clip(-2.0 - tuner.belief.hidden_nm[0], -60.0, 60.0))
