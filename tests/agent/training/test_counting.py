from __future__ import annotations

import numpy as np

from agent.perception.counting import HOW, KINDS
from agent.training.counting import counting


def test_what_is_exchanged_with_cells_beside_and_what_errors_are_worth_is_found() -> None:
    rng = np.random.default_rng(0)
    count = 3000
    truth = rng.poisson(rng.gamma(2.0, 2.0, (count, KINDS))).astype(float)
    late, said = rng.uniform(size=count), rng.uniform(0.1, 1.5, (count, KINDS))
    spread = (truth + truth.mean()) / 2 * (0.2 + 0.8 * late[:, None])
    counted = np.maximum(truth + np.sqrt(spread + (1.5 * said) ** 2) * rng.standard_normal(truth.shape), 0.0)
    inputs = np.zeros((count, HOW + 2 * KINDS + 4))
    inputs[:, HOW : HOW + KINDS], inputs[:, HOW + KINDS : HOW + 2 * KINDS] = np.sqrt(counted), np.log(said)
    inputs[:, -1] = late
    found = counting(inputs, truth)
    expected, sd = found(inputs)
    assert 0.1 < found.beside[0] < 0.5
    assert 0.4 < found.beside[1] < 1.2
    assert (found.wider > 1.1).all()
    z = (truth - expected) / sd
    assert 0.85 < np.sqrt((z**2).mean()) < 1.15
    assert ((truth - expected) ** 2).mean() < 0.6 * truth.var()
