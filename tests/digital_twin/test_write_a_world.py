"""The page on worlds: its example is the file beside it, is short, and is a world in all that matters."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from digital_twin.fleet import Fleet
from digital_twin.world import World, truths
from envs.prior import world_card
from hardware_bridge.messages import Acquire, Command, Holder

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "tiny_world.py"
PAGE = (ROOT / "docs" / "write-a-world.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def world() -> type[World]:
    spec = importlib.util.spec_from_file_location("tiny_world", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: type[World] = module.Dissolving
    return made


def test_the_page_shows_the_file_and_the_file_is_short() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert shown == EXAMPLE.read_text(encoding="utf-8")
    assert len(shown.splitlines()) < 80


def test_a_batch_is_its_worlds_one_by_one(world: type[World]) -> None:
    together = truths(world, [3, 4, 5])
    for n, seed in enumerate((3, 4, 5)):
        for name, values in truths(world, [seed]).items():
            assert np.array_equal(values[0], together[name][n])


def test_radii_fall_at_the_rate_and_faster_where_it_is_warm_or_lit(world: type[World]) -> None:
    cold, warm, lit = world(3), world(3), world(3)
    warm.set_holder(Holder(temperature_K=310.0))
    start = vars(cold)["radius_nm"].clone()
    lit.expose(0, (-500.0, 500.0, -500.0, 500.0), 1e12)
    for each in (cold, warm, lit):
        each.advance_to(10.0)
    lost = (start - vars(cold)["radius_nm"]).flatten()
    assert lost.numpy() == pytest.approx(10.0 * cold.globals()["rate"].item())
    assert (start - vars(warm)["radius_nm"]).flatten().numpy() == pytest.approx(2 * lost.numpy())
    assert (vars(lit)["radius_nm"] < vars(cold)["radius_nm"]).all()


def test_instruments_can_look_at_it_in_every_mode(world: type[World]) -> None:
    seat = Fleet(world, (3,), 5.0).seats[0]
    for mode in seat.describe().modes:
        acquire = Acquire(mode=mode, fov_nm=60.0, pixels_x=4, pixels_y=4, dwell_s=1e-3)
        seat.submit(Command(id=mode, acquire=acquire))
        data = seat.gather(1.0).data
        assert data is not None
        assert data.shape[:2] == (4, 4)


def test_a_card_can_be_made_of_it(world: type[World]) -> None:
    values = truths(world, range(20))
    card = world_card(world.facts, values, values)
    assert [target.name for target in card.targets] == ["mean_radius_nm", "count", "rate", "beam_coupling"]
    assert sum(target.weight for target in card.targets) == pytest.approx(1.0)
    assert torch.isfinite(torch.tensor(card.targets[0].prior_mean)).all()
