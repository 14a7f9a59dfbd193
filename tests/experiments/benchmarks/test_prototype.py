"""The prototype is right where it is simple: it must be a fair thing to be compared with."""

import pytest
import torch

from experiments.benchmarks import prototype

LAMBDA_NM = 0.0025079


def test_a_lens_in_focus_changes_no_phase_object():
    angle2, azimuth = prototype.angles_mrad(32, 0.05, LAMBDA_NM)
    lens = prototype.transfer(angle2, azimuth, 0.0, 0.0, LAMBDA_NM)
    torch.manual_seed(1)
    counts = prototype.hrtem(torch.rand(4, 32, 32), lens, 50.0)
    assert counts.mean().item() == pytest.approx(50.0, rel=0.02)
    assert counts.var().item() == pytest.approx(50.0, rel=0.1)


def test_a_probe_keeps_the_electrons():
    angle2, azimuth = prototype.angles_mrad(64, 0.05, LAMBDA_NM)
    pupil = (angle2 <= 100.0) * prototype.transfer(angle2, azimuth, 20.0, 3.0, LAMBDA_NM)
    torch.manual_seed(1)
    objects = torch.zeros(1, 64, 64)
    objects[0, 32, 32] = 64.0
    counts = prototype.haadf(objects, prototype.probe_spectrum(pupil), 1e4)
    assert counts.sum().item() == pytest.approx(64e4, rel=0.01)
    assert counts.max() < 32e4
