"""Edges convolved with a low loss: against sums by hand."""

import numpy as np
import pytest

from agent.perception.smeared import Smeared
from digital_twin.spectra import CU_L3, O_K, edge_nm2_per_eV

AXIS = -20.0 + 0.5 * np.arange(2400)
EDGES = (O_K, CU_L3)
SMEARED = Smeared(AXIS, EDGES, 200.0, 20.0, 100.0)


def spectrum(**counts):
    """Counts at some losses in eV, written p for plus."""
    found = np.zeros(AXIS.size)
    for loss, number in counts.items():
        found[int(np.argmin(np.abs(AXIS - float(loss[1:]))))] = number
    return found


def test_a_sharp_zero_loss_gives_the_cross_sections_themselves():
    for edge, shape in zip(EDGES, SMEARED(spectrum(p0=1e6)), strict=True):
        assert shape == pytest.approx(1e6 * 0.5 * edge_nm2_per_eV(edge, AXIS, 200.0, 20.0), rel=1e-9, abs=1e-12)


def test_losses_carry_edges_along_and_those_beyond_the_low_loss_do_not_count():
    alone, with_plasmon = SMEARED(spectrum(p0=1e6)), SMEARED(spectrum(p0=1e6, p15=2e5, p500=1e9))
    shifted = np.concatenate([np.zeros((2, 30)), alone[:, :-30]], axis=1)
    assert with_plasmon == pytest.approx(alone + 0.2 * shifted, rel=1e-9, abs=1e-9)
