"""Edges that overlap, fitted together: atoms and valence against exact plural scattering, with honest sds."""

import numpy as np
import pytest

from agent.perception.cores import CoreFit
from digital_twin.spectra import C_K, FE2_L3, FE3_L3, O_K, SpectrumModel, drude, edge_nm2_per_eV, energy_axis_eV

AXIS = energy_axis_eV(-15.0, 0.75, 1024)
EDGES = (C_K, O_K, FE2_L3, FE3_L3)
TRUE = np.array([2000.0, 2300.0, 400.0, 180.0])


def drawn(able, electrons: float, zero_eV: float = 0.0) -> list:
    angles = (able.beam_energy_keV, able.collection_semi_angle_mrad)
    edges = np.array([edge_nm2_per_eV(edge, AXIS, *angles) for edge in EDGES])
    model = SpectrumModel(AXIS, 0.9, drude(AXIS, 25.0, 12.0)[None], edges, zero_eV)
    shares = model.probabilities(np.array([0.6]), TRUE)
    fit = CoreFit(AXIS, EDGES, able)
    counts = np.random.default_rng(int(electrons)).poisson(electrons * shares, (60, AXIS.size)).astype(float)
    return [fit(each, zero_eV) for each in counts]


@pytest.mark.parametrize(("electrons", "zero_eV"), [(5e6, 0.0), (5e7, 0.0), (5e7, 1.3)])
def test_atoms_of_edges_that_overlap_are_counted_honestly(bench, electrons, zero_eV) -> None:
    fits = drawn(bench.capabilities, electrons, zero_eV)
    for n, name in enumerate(fits[0].names):
        z = np.array([(f.per_nm2[n] - TRUE[n]) / np.sqrt(f.cov[n, n]) for f in fits])
        assert 0.7 < z.std() < 1.35, name
        assert abs(z.mean()) < 0.8, name
    assert np.median([f.misfit for f in fits]) == pytest.approx(1.0, abs=0.1)


def test_errors_of_the_two_valences_go_against_each_other(bench) -> None:
    fits = drawn(bench.capabilities, 5e6)
    found = np.array([f.per_nm2[2:] for f in fits])
    told = np.mean([f.cov[2, 3] / np.sqrt(f.cov[2, 2] * f.cov[3, 3]) for f in fits])
    assert told < -0.5
    assert np.corrcoef(found.T)[0, 1] == pytest.approx(told, abs=0.25)


def test_the_share_of_fe3_is_told_within_its_interval(bench) -> None:
    shares = [f.share(FE3_L3.name, FE2_L3.name) for f in drawn(bench.capabilities, 5e7)]
    true = TRUE[3] / (TRUE[2] + TRUE[3])
    inside = np.mean([abs(s.value - true) < 1.645 * s.sd for s in shares])
    assert 0.75 < inside <= 1.0
    assert abs(np.mean([s.value for s in shares]) - true) < 0.5 * np.mean([s.sd for s in shares])


def test_too_few_counts_or_an_axis_without_edges_give_nothing(bench) -> None:
    assert CoreFit(AXIS, EDGES, bench.capabilities)(np.zeros(AXIS.size), 0.0) is None
    assert CoreFit(AXIS[:200], EDGES, bench.capabilities)(np.ones(200), 0.0) is None
