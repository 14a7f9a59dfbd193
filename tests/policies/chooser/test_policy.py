"""The learned policy takes what its network scores highest; where it must not judge, greedy does, and that is said."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hardware_bridge.report import Percept
from policies.chooser.checkpoint import Checkpoint, ModelCard, save
from policies.chooser.network import Attending
from policies.chooser.policy import Learned, LearnedSettings, path_of
from policies.chooser.spec import CANDIDATE, SITUATION, VERSION
from policies.commands import View
from policies.focus import FocusSettings
from policies.greedy import Greedy, GreedySettings
from policies.interface import Proposal
from policies.outlook import Way


class Told:
    """An outlook by which every place tells as much, less where more is known."""

    surprise = 1.0
    loss_left = 0.9

    def __init__(self) -> None:
        self.ways: Sequence[Way] = (Way(View(fov_nm=256.0, pixels=64, dwell_s=5e-6), 1),)

    def begin(self) -> None:
        self.seen = 0

    def add(self, percept: Percept) -> None:
        self.seen += 1

    def left(self, cells: np.ndarray, at_s: float) -> float:
        return 0.8

    def information(self, way: Way, places: np.ndarray, electrons: np.ndarray, at_s: float) -> np.ndarray:
        return 1e-3 * (1 + places / 100) * np.log10(electrons + 10.0)


def trained(tmp_path: Path, **changed: Any) -> LearnedSettings:
    """Settings with a checkpoint that wants the most electrons, whatever greedy thinks."""
    network = Attending()
    with torch.no_grad():
        network.trust.zero_()
        for each in (network.of_candidate, network.mixed):
            each.weight.zero_()
            each.bias.zero_()
        network.of_situation.weight.zero_()
        network.of_candidate.weight[0, list(CANDIDATE).index("electrons")] = 1.0
        network.mixed.weight[0, 0] = 1.0
        network.score.weight[0, 0] = 1.0
    card = {
        "version": VERSION,
        "world": "bench",
        "card_version": 1,
        "candidate": CANDIDATE,
        "situation": SITUATION,
        "seen_candidate": CANDIDATE,
        "seen_situation": SITUATION,
        "physics": {},
        "seeds": (0, 1),
        "apart": (0, 1),
        "budgets": (0.125, 1.0),
        "spends": (0.25, 1.0, 4.0),
        "priced": 3,
        "electron_weight": 1.0,
        "steps": 1,
        "minutes": 1.0,
        "scores": {},
        "limits": (),
    }
    save(Checkpoint(ModelCard(**(card | changed)), network), tmp_path / "one")
    return LearnedSettings(checkpoint=str(tmp_path / "one"), focus=FocusSettings(bulge_nm=0.0))


def suggested(policy: Greedy, make_bench: Callable[..., Any]) -> Sequence[Proposal]:
    bench = make_bench()
    policy.begin(bench.setup, 0)
    return policy.suggest(bench.situation(0), 3)


@pytest.fixture
def world(make_bench: Callable[..., Any]) -> dict[str, Any]:
    card = make_bench().setup.card
    return {"world": card.world, "card_version": card.version}


def test_the_network_chooses(tmp_path: Path, make_bench: Callable[..., Any], world: dict[str, Any]) -> None:
    learned = suggested(Learned(trained(tmp_path, **world), Told()), make_bench)
    greedy = suggested(Greedy(GreedySettings(focus=FocusSettings(bulge_nm=0.0)), Told()), make_bench)
    assert learned[0].electrons > 3 * greedy[0].electrons
    assert not any("greedy chose" in each.reason for each in learned)
    assert learned[0].command.id.startswith("learned-")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"world": "elsewhere"}, "the chooser was trained for elsewhere"),
        ({"card_version": 77}, "the chooser was trained for version 77"),
        ({"seen_situation": {**SITUATION, "time_left": (0.0, 0.5)}}, "time_left = 1 lies outside 0 to 0.5"),
        ({"seen_candidate": {**CANDIDATE, "age": (0.0, 0.2)}}, "age = 1 lies outside 0 to 0.2"),
    ],
)
def test_outside_its_card_greedy_chooses_and_that_is_said(
    tmp_path: Path, make_bench: Callable[..., Any], world: dict[str, Any], changed: dict[str, Any], why: str
) -> None:
    learned = suggested(Learned(trained(tmp_path, **(world | changed)), Told()), make_bench)
    greedy = suggested(Greedy(GreedySettings(focus=FocusSettings(bulge_nm=0.0)), Told()), make_bench)
    assert [each.electrons for each in learned] == [each.electrons for each in greedy]
    assert all("greedy chose, not the network" in each.reason and why in each.reason for each in learned)


def test_left_out_a_checkpoint_is_the_one_of_the_world() -> None:
    assert path_of("", "growth").name == "growth"
    assert path_of("mine/one", "growth") == Path("mine/one")


def test_no_checkpoint_is_told(make_bench: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        suggested(Learned(LearnedSettings(checkpoint=str(tmp_path / "none")), Told()), make_bench)
