"""On made-up patches, of which everything is known, training finds what can be found and says how well."""

from __future__ import annotations

import numpy as np
import pytest

from agent.training import reader
from agent.training.reader import ELECTRONS, Seen, learned
from envs.prior import load_card

WORLDS, PATCHES, CELLS = 40, 80, 64


def patches(own_sd: float = 0.2, inputs: int = 8) -> Seen:
    """Inputs of which the sixth and seventh show the fields, with an error of their own."""
    random = np.random.default_rng(0)
    count = WORLDS * PATCHES
    seed, cell = np.repeat(np.arange(WORLDS), PATCHES), random.integers(0, CELLS, count)
    truth = random.standard_normal((count, 2))
    values = random.standard_normal((count, inputs))
    values[:, 5:7] = truth + own_sd * random.standard_normal((count, 2))
    electrons, wide = 10.0 ** random.uniform(4, 6, count), random.random(count) < 0.5
    return Seen(min(inputs, 8), values, truth, seed, cell, electrons, wide)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "EPOCHS", 30)


@pytest.mark.usefixtures("quick")
def test_what_inputs_show_is_read_with_its_error() -> None:
    lines = list[str]()
    sight = learned(load_card("interface"), {"HAADF": patches()}, lines.append)
    fresh = patches()
    value, sd = sight.read("HAADF", fresh.inputs)
    # A measurement with an error of 0.2 of a field of variance 1.
    assert np.sqrt(((value - fresh.truth) ** 2).mean()) == pytest.approx(0.2, rel=0.2)
    assert np.median(sd) == pytest.approx(0.2, rel=0.2)
    assert all(0.8 < z < 1.2 for z in sight.card.z_sd["HAADF"].values())
    assert sight.card.typical["HAADF"]["covered_fraction"][0] == pytest.approx(0.2, rel=0.3)
    assert len(ELECTRONS) == len(sight.card.typical["HAADF"]["covered_fraction"])
    assert "0.9" in lines[0]


@pytest.mark.usefixtures("quick")
def test_of_many_inputs_those_are_kept_that_tell() -> None:
    sight = learned(load_card("interface"), {"EELS": patches(inputs=200)}, lambda line: None)
    network = sight.networks["EELS"]
    assert network.project.shape[1] < 30
    mean, _ = network(patches(inputs=200).inputs)
    assert ((mean - patches(inputs=200).truth) ** 2).mean() < 0.2


def test_unknown_worlds_are_told_with_those_that_are_known() -> None:
    with pytest.raises(SystemExit, match="interface"):
        reader.main(["atlantis"])
