"""The specimen to calibrate on: what is on it, and that it stays as it is."""

import numpy as np
import pytest
import torch

from digital_twin.specimen import Specimen
from digital_twin.standard import BAR_NM, FILM_NM, PERIOD_NM, Standard, standard_card
from hardware_bridge.messages import Holder


def test_bars_have_the_period_of_the_grating(square_grid):
    specimen: Specimen = Standard(1)
    film = specimen.project([square_grid(400, PERIOD_NM / 100)])[0, 1].numpy()
    assert film[:300, :300] == pytest.approx(film[100:, 100:])
    assert film.max() == pytest.approx(FILM_NM + BAR_NM)
    # Half way between bars there is film alone.
    assert film[50, 50] == pytest.approx(FILM_NM, abs=1e-6)
    assert film[50, 100] == pytest.approx(FILM_NM + BAR_NM)


def test_particles_are_keyed_by_the_seed_and_stay(square_grid):
    one, again, other = Standard(1), Standard(1), Standard(2)
    one.set_holder(Holder(flow_nl_per_s=10.0, temperature_K=340.0))
    one.advance_to(1e4)
    one.expose(0, (-100.0, 100.0, -100.0, 100.0), 1e12)
    grid = square_grid(64, 4.0)
    assert torch.equal(one.project([grid])[:, 0], again.project([grid])[:, 0])
    assert not torch.equal(one.project([grid])[:, 0], other.project([grid])[:, 0])
    volume = 4 / 3 * np.pi * (one.radius_nm**3).sum().item()
    whole = square_grid(800, 4.0)
    whole.origin_nm[:] -= 1600.0
    assert 16.0 * one.project([whole])[:, 0].sum().item() == pytest.approx(volume, rel=0.01)


def test_it_is_flat():
    assert not Standard(1).height_nm(torch.full((1, 2, 2), 300.0), torch.zeros(1, 2, 2)).any()


def test_its_card_has_nothing_to_be_scored():
    card = standard_card(600.0, 1e8)
    assert (card.world, card.targets, card.extent_nm) == ("standard", (), Standard.extent_nm)
