"""Kernels in torch against those of the pure formulae, and one by one."""

import numpy as np
import pytest
import torch

from digital_twin.optics import Aberrations, Column, farthest_C10_nm, probe_kernel, widest_probe_nm
from digital_twin.probe import probe_kernels

COLUMN = Column(200.0, 10.0, 0.2)
CPU = torch.device("cpu")
ALL = {"C12_nm": 30.0, "phi12_rad": 0.4, "C21_nm": 400.0, "phi21_rad": 1.1, "C23_nm": 300.0, "C30_um": 1200.0}


@pytest.mark.parametrize("pixel_nm", [0.05, 0.2, 0.5, 1.05, 2.0, 8.0])
@pytest.mark.parametrize("C10_nm", [0.0, -300.0, 1500.0])
def test_a_coarser_grid_gives_the_kernel_of_the_fine_one(pixel_nm, C10_nm):
    aberrations = Aberrations(C10_nm=C10_nm, **ALL)
    fine = probe_kernel(pixel_nm, aberrations, COLUMN)
    (kernel,) = probe_kernels(pixel_nm, aberrations, COLUMN, CPU).numpy()
    assert kernel.shape == fine.shape
    assert np.abs(kernel - fine).max() < 1e-12 * fine.max()


def test_without_a_source_the_probe_is_that_of_the_aperture():
    bare = Column(200.0, 10.0)
    fine = probe_kernel(0.3, Aberrations(C10_nm=50.0), bare)
    (kernel,) = probe_kernels(0.3, Aberrations(C10_nm=50.0), bare, CPU).numpy()
    assert kernel == pytest.approx(fine, abs=1e-12)


def test_many_kernels_are_the_kernels_one_by_one():
    C10_nm = np.array([-400.0, -90.0, 0.0, 400.0])
    batch = probe_kernels(1.0, Aberrations(C10_nm=C10_nm, **ALL), COLUMN, CPU)
    reference = probe_kernel(1.0, Aberrations(C10_nm=C10_nm, **ALL), COLUMN)
    assert batch.numpy() == pytest.approx(reference, abs=1e-13)
    (alone,) = probe_kernels(1.0, Aberrations(C10_nm=-400.0, **ALL), COLUMN, CPU)
    assert batch[0].numpy() == pytest.approx(alone.numpy(), abs=1e-13)
    assert (batch[0] - batch[3]).abs().max() > 1e-4


def test_a_kernel_hands_on_all_of_the_current():
    kernels = probe_kernels(2.0, Aberrations(C10_nm=np.array([0.0, 700.0]), **ALL), COLUMN, CPU)
    assert kernels.sum(dim=(1, 2)).numpy() == pytest.approx(np.ones(2))


@pytest.mark.parametrize("focal_spread_nm", [3.0, 15.0, 60.0])
def test_a_spread_of_focus_gives_the_same_kernels_as_the_formulae(focal_spread_nm):
    column = Column(200.0, 10.0, 0.2, focal_spread_nm)
    aberrations = Aberrations(C10_nm=-80.0, **ALL)
    fine = probe_kernel(0.5, aberrations, column)
    (kernel,) = probe_kernels(0.5, aberrations, column, CPU).numpy()
    assert kernel == pytest.approx(fine, abs=1e-12 * fine.max())


def test_a_probe_within_one_pixel_is_that_pixel_however_large():
    assert probe_kernels(1e6, Aberrations(C10_nm=np.array([0.0, 50.0])), COLUMN, CPU).tolist() == [[[1.0]], [[1.0]]]


def test_the_widest_probe_is_formed_and_nothing_wider_is_asked_for():
    most_nm = farthest_C10_nm(COLUMN)
    (kernel,) = probe_kernels(20.0, Aberrations(C10_nm=most_nm), COLUMN, CPU)
    assert widest_probe_nm(COLUMN) < 20.0 * len(kernel) < 3 * widest_probe_nm(COLUMN)
    assert float(kernel.sum()) == pytest.approx(1.0)
