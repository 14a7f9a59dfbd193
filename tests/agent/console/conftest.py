"""The fixture of a rehearsed run."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for rehearsal

from rehearsal import TURNS, Run

from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.config import load
from agent.record import Record
from agent.run import begin
from agent.watched import Watched
from hardware_bridge.messages import Capabilities, Command, Limits
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card
from policies.interface import Proposal, Setup, Situation


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of a short run of the growth world."""
    folder = tmp_path_factory.mktemp("replayed") / "run"
    more = ["instrument.kind=twin", "policy.name=raster", f"budget.turns={TURNS}"]
    with open(os.devnull, "r+") as nowhere:
        begin(load(DEFAULT_CONFIG, more, CHOICES), 7, folder, Watched(nowhere.fileno(), nowhere))
    return folder


@pytest.fixture
def run(
    limits: Limits,
    capabilities: Capabilities,
    card: Card,
    make_command: Callable[..., Command],
    make_proposal: Callable[..., Proposal],
    make_situation: Callable[..., Situation],
    make_observation: Callable[..., Observation],
    make_record: Callable[..., Record],
) -> Iterator[Run]:
    make: dict[str, Callable[..., Any]] = {
        "command": make_command, "proposal": make_proposal, "situation": make_situation,
        "observation": make_observation, "record": make_record,
    }  # fmt: skip
    setup = Setup(capabilities=capabilities, limits=limits, card=card, start_s=0.0, end_s=600.0, max_electrons=1e9)
    made = Run(make, setup)
    yield made
    made.close()
