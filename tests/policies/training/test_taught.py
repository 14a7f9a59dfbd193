"""A taught chooser asks its network about the best candidates of another one, as they were when it learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from hardware_bridge.messages import Acquire, Command, Go, Holder, InstrumentState, Interlocks, Optics, Settings
from policies.interface import Proposal, Situation
from policies.training.choices import features
from policies.training.offline import Network
from policies.training.taught import Taught
from policies.training.trajectory import candidates_of, situation_of

STATE = InstrumentState(
    clock_s=100.0, go=Go(), optics=Optics(), holder=Holder(), beam_blanked=True, electrons_charged=0.0,
    interlocks=Interlocks(
        vacuum_ok=True, valves_open=True, high_tension_on=True, screen_up=True, aperture_inserted=True,
        detectors_inserted=(),
    ),
)  # fmt: skip
SITUATION = Situation(turn=3, state=STATE, electrons_left=5e8, time_left_s=500.0)


def proposal(number: int) -> Proposal:
    look = Acquire(mode="EELS", fov_nm=32.0, pixels_x=4, pixels_y=4, dwell_s=1e-3)
    optics = Settings(optics=Optics(beam_current_pA=10.0))
    command = Command(id=f"c{number}", go=Go(stage_x_nm=32.0 * number), set=optics, acquire=look)
    return Proposal(
        command=command, information=0.01 / (1 + number), information_sd=0.0, electrons=1e5 * (1 + number), time_s=2.0,
        reason="r", proposer="EELS",
    )  # fmt: skip


PROPOSALS = [proposal(n) for n in range(6)]


class AsGiven:
    def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
        return list(proposals)


@pytest.fixture
def network() -> Network:
    """One whose scores grow with the electrons of a candidate."""
    made = Network()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
        made.each.weight[0, 3] = 1.0
        made.mixed.weight[0, 0] = 1.0
        made.score.weight[0, 0] = 1.0
    return made


def test_the_best_few_come_in_the_networks_order_and_the_others_after_them(network: Network) -> None:
    taught = Taught(AsGiven(), network, 600.0, 1e9)
    assert taught.rank(PROPOSALS, SITUATION) == [PROPOSALS[n] for n in (3, 2, 1, 0, 4, 5)]
    assert taught.rank(PROPOSALS[:1], SITUATION) == PROPOSALS[:1]
    assert taught.rank([], SITUATION) == []


def test_it_sees_what_a_record_of_the_decision_would_show(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    forward = Network.forward

    def watched(self: Network, *given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.extend(given)
        return forward(self, *given)

    monkeypatch.setattr(Network, "forward", watched)
    Taught(AsGiven(), network, 600.0, 1e9, among=3).rank(PROPOSALS, SITUATION)
    # The record shows the three, here in another order and with room for a fourth.
    numbers, there = candidates_of(PROPOSALS[2::-1], 4)
    rest = np.array(situation_of(SITUATION, 600.0, 1e9))
    candidates, situation = features(numbers[None], rest[None], there[None])
    assert np.array_equal(seen[0].numpy()[0], candidates[0, 2::-1])
    assert np.array_equal(seen[1].numpy(), situation)


def test_a_candidate_without_an_image_can_be_among_them(network: Network) -> None:
    bare = replace(PROPOSALS[0], command=Command(id="bare"), information=0.0, electrons=0.0)
    assert bare in Taught(AsGiven(), network, 600.0, 1e9).rank([bare, *PROPOSALS], SITUATION)
