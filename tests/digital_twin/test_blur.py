"""Probes of different scans convolved with objects in one batch; what images look like is in test_imaging.py."""

import numpy as np
import pytest
import torch

from digital_twin.blur import blur_of, blurred, kernels_of, remembered
from digital_twin.detectors import Column, haadf_fraction
from digital_twin.imaging import widened
from digital_twin.optics import Aberrations
from digital_twin.probe import probe_kernels

COLUMN = Column()


def test_kernels_of_many_scans_are_those_of_each():
    random = np.random.default_rng(1)
    aberrations = [Aberrations(C12_nm=4.0 * n, C21_nm=30.0, C30_um=1000.0) for n in range(5)]
    levels = [np.sort(random.uniform(-500.0, 500.0, 1 + n % 3)) for n in range(5)]
    pixels_nm = [0.5, 0.5, 1.0, 0.5, 1.0]
    together = kernels_of(pixels_nm, aberrations, levels, COLUMN.probe(), torch.zeros(0).double())
    for pixel_nm, each, C10_nm, kernels in zip(pixels_nm, aberrations, levels, together, strict=True):
        own = Aberrations(C10_nm=C10_nm, C12_nm=each.C12_nm, C21_nm=30.0, C30_um=1000.0)
        alone = probe_kernels(pixel_nm, own, COLUMN.probe(), torch.device("cpu"))
        assert torch.allclose(kernels, alone, rtol=0.0, atol=1e-13)


def test_scans_whose_probes_differ_in_width_keep_their_places(square_grid, make_balls):
    # Two flat scans in one batch, one sharp and one far out of focus: the kernels are padded to the wider one.
    grid = square_grid(48, 1.0)
    kernels = kernels_of(
        [1.0, 1.0], [Aberrations()] * 2, [np.array([0.0]), np.array([900.0])], COLUMN.probe(), torch.zeros(0).double()
    )
    assert kernels[0].shape[-1] < kernels[1].shape[-1]
    blur = blur_of(kernels, (48, 48))
    balls = make_balls([(20.0, 30.0)], 6.0)
    objects = haadf_fraction(balls.project([widened(grid, blur.margin)]), balls.materials, COLUMN)
    pair = blurred(objects.expand(2, -1, -1).contiguous(), blur, torch.zeros(2, 17, 17, dtype=torch.float64))
    one = blur_of(kernels[:1], (48, 48))
    cut = blur.margin - one.margin
    alone = blurred(objects[:, cut:-cut, cut:-cut], one, torch.zeros(1, 17, 17, dtype=torch.float64))
    assert torch.allclose(pair[0], alone[0], rtol=0.0, atol=1e-12)
    # The wide one has its centre of gravity where the sharp one has it.
    excess = pair - pair.amin(dim=(1, 2), keepdim=True)
    for axis in (1, 2):
        sharp, soft = ((excess.sum(dim=axis) @ torch.arange(48.0).double()) / excess.sum(dim=(1, 2))).tolist()
        assert sharp == pytest.approx(soft, abs=0.3)


def test_objects_of_another_size_are_refused():
    kernels = kernels_of([1.0], [Aberrations()], [np.zeros(1)], COLUMN.probe(), torch.zeros(0))
    blur = blur_of(kernels, (16, 16))
    with pytest.raises(ValueError, match=r"objects: .* margin of"):
        blurred(torch.zeros(1, 16, 16), blur, torch.zeros(1, 2, 2))


def test_probes_that_are_remembered_are_those_that_are_formed():
    aberrations = [Aberrations(C12_nm=4.0, C30_um=1000.0), Aberrations()]
    levels, pixels_nm = [np.array([-450.0, 0.0, 100.0]), np.array([50.0])], [1.0, 2.0]
    for _ in range(2):
        kept = remembered(pixels_nm, aberrations, levels, COLUMN.probe(), torch.zeros(0).double())
        formed = kernels_of(pixels_nm, aberrations, levels, COLUMN.probe(), torch.zeros(0).double())
        # Half of 21 pixels is rounded up to 12.
        assert [each.shape for each in kept] == [(3, 25, 25), (1, 3, 3)]
        assert [each.shape for each in formed] == [(3, 21, 21), (1, 3, 3)]
        kept[0] = kept[0][:, 2:-2, 2:-2]
        for one, other in zip(kept, formed, strict=True):
            assert one.sum(dim=(1, 2)).numpy() == pytest.approx(1.0)
            # The tails of a probe near focus end sooner than the widest of a scan has room for.
            assert (one - other).abs().max() < 5e-3 * other.max()
    assert torch.allclose(kept[0][0], formed[0][0], rtol=0.0, atol=1e-13)
