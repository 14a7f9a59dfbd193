"""Fields of the truth stand where they belong."""

import numpy as np

from agent.gallery.drawing import _at
from envs.prior import load_card


def test_a_field_is_cut_by_time_then_row_then_column():
    card = load_card("growth")
    values = np.arange(len(card.times_s) * card.cells**2, dtype=float).tolist()
    cells = _at(card, values, card.times_s[2])
    assert cells.shape == (card.cells, card.cells)
    assert cells[1, 3] == 2 * card.cells**2 + card.cells + 3
