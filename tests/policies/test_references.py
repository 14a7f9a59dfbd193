"""References come when they are due, and the policy inside does not notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from hardware_bridge.messages import Acquire, Command, Go, Mode
from hardware_bridge.report import GAIN_REFERENCE, Estimate, Percept
from policies.interface import Proposal, Setup, Situation, Turn
from policies.references import GainReference, Place, Referenced, Schedule, ZeroLossReference
from policies.staring import Staring, StaringSettings


@pytest.fixture
def bench(make_bench: Callable[..., Any]) -> Any:
    made = make_bench()
    made.setup = made.setup.__class__(
        **{**vars(made.setup), "capabilities": replace(made.setup.capabilities, dark_references=True)}
    )
    return made


def situation(bench: Any, clock_s: float, turn: int = 0) -> Situation:
    return Situation(turn=turn, state=replace(bench.state, clock_s=clock_s), electrons_left=1e9, time_left_s=600.0)


def begun(bench: Any) -> tuple[Referenced, Staring]:
    inner = Staring(StaringSettings())
    policy = Referenced(inner, Schedule(dark_every_s=1800.0))
    policy.begin(bench.setup, 7)
    return policy, inner


def test_a_reference_comes_first_then_when_it_is_too_old(bench: Any) -> None:
    policy, inner = begun(bench)
    now = situation(bench, 100.0)
    first, *others = policy.suggest(now, 3)
    assert first.command.acquire is not None
    assert first.command.acquire.blanked
    assert first.electrons == 0.0
    assert first.reason == "A dark reference for HAADF at 5 us: there is none yet"
    assert others == list(inner.suggest(now, 2))
    seen = Percept(command_id=first.command.id, mode="HAADF", start_s=100.0, end_s=102.0)
    policy.ingest(Turn(index=0, command=first.command, percept=seen, verdict="approved", reason=""))
    later = situation(bench, 1901.0, turn=1)
    assert list(policy.suggest(later, 3)) == list(inner.suggest(later, 3))
    (again, *_) = policy.suggest(situation(bench, 1903.0, turn=2), 3)
    assert again.reason.endswith("the last is 30 min old")
    assert again.command.id != first.command.id


def test_a_reference_that_was_refused_is_proposed_again(bench: Any) -> None:
    policy, _ = begun(bench)
    first, *_ = policy.suggest(situation(bench, 100.0), 3)
    policy.ingest(Turn(index=0, command=first.command, percept=None, verdict="rejected", reason="busy"))
    again, *_ = policy.suggest(situation(bench, 102.0, turn=1), 3)
    assert again.command.acquire == first.command.acquire


def test_an_instrument_without_dark_references_is_told_at_the_start(make_bench: Callable[..., Any]) -> None:
    setup = make_bench().setup
    setup = setup.__class__(**{**vars(setup), "capabilities": replace(setup.capabilities, dark_references=False)})
    with pytest.raises(ValueError, match=r"references\.dark_every_s: this instrument takes no dark references"):
        Referenced(Staring(StaringSettings()), Schedule(dark_every_s=60.0)).begin(setup, 7)


class Camera:
    """A policy that always wants the same image, 256 x 256 pixels at 5 us."""

    def __init__(self, mode: Mode) -> None:
        acquire = Acquire(mode=mode, fov_nm=512.0, pixels_x=256, pixels_y=256, dwell_s=5e-6)
        self._proposal = Proposal(
            command=Command(id="own", acquire=acquire), information=0.0, information_sd=0.0, electrons=0.0, time_s=0.0,
            reason="", proposer="own",
        )  # fmt: skip

    def begin(self, setup: Setup, seed: int) -> None:
        pass

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        return [self._proposal]

    def ingest(self, turn: Turn) -> None:
        assert turn.command is not None
        assert turn.command.id == "own"


def looking_with(bench: Any, schedule: Schedule, mode: Mode = "HRTEM") -> Referenced:
    policy = Referenced(Camera(mode), schedule)
    policy.begin(bench.setup, 7)
    return policy


def ran(policy: Referenced, proposal: Proposal, end_s: float, **estimates: Estimate) -> None:
    command = proposal.command
    assert command.acquire is not None
    seen = Percept(command_id=command.id, mode=command.acquire.mode, start_s=0.0, end_s=end_s, estimates=estimates)
    policy.ingest(Turn(index=0, command=command, percept=seen, verdict="approved", reason=""))


def first(policy: Referenced, bench: Any, clock_s: float) -> Proposal:
    return policy.suggest(situation(bench, clock_s), 3)[0]


def test_gain_references_are_repeated_at_their_place_and_have_darks_of_their_own(bench: Any) -> None:
    gain = GainReference(
        every_s=3600.0, at=Place(go=Go(stage_x_nm=900.0), beam_current_pA=20.0), dwell_s=1e-3, repeats=2
    )
    policy = looking_with(bench, Schedule(dark_every_s=7200.0, gain=gain))
    dark = first(policy, bench, 100.0)
    assert dark.reason == "A dark reference for HRTEM at 1000 us: there is none yet"
    ran(policy, dark, 101.0)
    for number in (1, 2):
        flat = first(policy, bench, 101.0 + number)
        assert flat.command.id.startswith(GAIN_REFERENCE)
        assert flat.reason == f"Gain reference {number} of 2 for HRTEM at 1000 us: there is none yet"
        assert flat.command.go == Go(stage_x_nm=900.0)
        assert flat.command.set.optics.beam_current_pA == 20.0
        assert flat.command.acquire == Acquire(mode="HRTEM", fov_nm=512.0, pixels_x=256, pixels_y=256, dwell_s=1e-3)
        assert flat.electrons > 0.0
        ran(policy, flat, 102.0 + number)
    dark = first(policy, bench, 105.0)
    assert dark.reason.startswith("A dark reference for HRTEM at 5 us")
    ran(policy, dark, 106.0)
    assert first(policy, bench, 107.0).proposer == "own"
    assert first(policy, bench, 3703.0).proposer == "own"
    assert first(policy, bench, 3705.0).reason.startswith("Gain reference 1 of 2")


def test_gain_references_are_of_the_modes_that_are_named(bench: Any) -> None:
    policy = looking_with(bench, Schedule(gain=GainReference(every_s=60.0)), "HAADF")
    assert first(policy, bench, 0.0).proposer == "own"


def test_the_zero_loss_is_asked_for_where_no_spectrum_has_told_it(bench: Any) -> None:
    zero = ZeroLossReference(every_s=600.0, at=Place(beam_current_pA=5.0))
    policy = looking_with(bench, Schedule(zero_loss=zero), "HAADF")
    asked = first(policy, bench, 100.0)
    assert asked.reason == "Where the zero loss lies: there is none yet"
    assert asked.command.acquire == Acquire(mode="EELS", fov_nm=64.0, pixels_x=8, pixels_y=8, dwell_s=1e-5)
    ran(policy, asked, 101.0)  # what it told, or that it told nothing, is for perception
    own = first(policy, bench, 200.0)
    assert own.proposer == "own"
    ran(policy, own, 650.0, zero_loss_eV=Estimate(value=0.3, sd=0.01))
    assert first(policy, bench, 1249.0).proposer == "own"
    assert first(policy, bench, 1251.0).proposer == "references"


def test_spectra_that_cannot_be_taken_are_refused_at_the_start(bench: Any) -> None:
    setup = bench.setup
    setup = setup.__class__(**{**vars(setup), "capabilities": replace(setup.capabilities, modes=("HAADF",))})
    policy = Referenced(Staring(StaringSettings()), Schedule(zero_loss=ZeroLossReference(every_s=60.0)))
    with pytest.raises(ValueError, match=r"references\.zero_loss: this instrument takes no EELS spectra"):
        policy.begin(setup, 7)
