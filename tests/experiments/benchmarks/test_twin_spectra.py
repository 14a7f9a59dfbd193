"""What the lines about spectra count."""

import pytest

from experiments.benchmarks import twin_spectra


@pytest.mark.parametrize("work", [twin_spectra.eels, twin_spectra.wandering, twin_spectra.eds, twin_spectra.counted])
def test_a_call_counts_as_many_spectra_as_it_says(work):
    counts = work("cpu")()
    assert counts.numel() == twin_spectra.SPECTRA * twin_spectra.CHANNELS
    assert (counts == counts.round()).all()
    assert 0 < counts.sum() / twin_spectra.SPECTRA < 1.01 * twin_spectra.ELECTRONS
