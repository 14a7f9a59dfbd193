"""The watch over the beam current speaks when it decays or jumps, once for each step, and not otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from agent.perception.current import CurrentWatch, measured_pA
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.messages import Acquire, Capabilities, Command, Optics, Settings
from hardware_bridge.observation import Observation


@pytest.fixture
def shown(
    capabilities: Capabilities, make_observation: Callable[..., Observation]
) -> Callable[..., list[tuple[str, ...]]]:
    """What a watch with a limit of 10 % says to looks at these shares of the set 50 pA."""

    def shown(shares: Sequence[float], **changes: object) -> list[tuple[str, ...]]:
        watch = CurrentWatch(capabilities, 0.1)
        return [watch.see(look(turn, share, **changes)) for turn, share in enumerate(shares)]

    def look(turn: int, share: float, **changes: object) -> Observation:
        seen = make_observation(turn)
        on_s = predict(seen.command, seen.state, capabilities).beam_on_s
        return replace(seen, electrons=share * 50.0 * on_s * ELECTRONS_PER_PA_S, **changes)  # type: ignore[arg-type]

    return shown


def test_a_slow_decay_is_told_once_for_each_step(shown: Callable[..., list[tuple[str, ...]]]) -> None:
    said = shown([1.0 - 0.012 * turn for turn in range(25)])
    assert [turn for turn, alarms in enumerate(said) if alarms] == [9, 18]
    assert said[9][0].startswith("the beam current has gone to 89.2% of what is set: 44.6 pA measured, 50 pA set, at")


def test_a_jump_is_told_at_once_and_so_is_the_way_back(shown: Callable[..., list[tuple[str, ...]]]) -> None:
    said = shown([1.0, 1.0, 0.6, 0.6, 1.0, 1.0])
    assert [turn for turn, alarms in enumerate(said) if alarms] == [2, 4]
    assert "jumped from 100.0% to 60.0%" in said[2][0]


def test_a_jump_across_the_set_value_is_told(shown: Callable[..., list[tuple[str, ...]]]) -> None:
    assert [bool(alarms) for alarms in shown([0.93, 1.07, 1.07])] == [False, True, False]


def test_a_beam_that_is_gone_is_told(shown: Callable[..., list[tuple[str, ...]]]) -> None:
    assert "to 0.0% of what is set: 0 pA measured" in shown([1.0, 0.0])[1][0]


def test_what_was_ended_early_tells_nothing(shown: Callable[..., list[tuple[str, ...]]]) -> None:
    assert shown([1.0, 0.2], aborted=True) == [(), ()]


def test_a_read_back_that_decays_too_does_not_hide_it(
    capabilities: Capabilities, make_observation: Callable[..., Observation]
) -> None:
    """What counts is what was commanded, where anything was."""
    watch, seen = CurrentWatch(capabilities, 0.1), make_observation(0)
    on_s = predict(seen.command, seen.state, capabilities).beam_on_s
    asked = changed(seen.command, set=Settings(optics=Optics(beam_current_pA=50.0)))
    assert watch.see(replace(seen, command=asked, electrons=50.0 * on_s * ELECTRONS_PER_PA_S)) == ()
    decayed = changed(seen.state, optics=changed(seen.state.optics, beam_current_pA=30.0))
    assert watch.see(replace(seen, state=decayed, electrons=30.0 * on_s * ELECTRONS_PER_PA_S)) != ()


def test_a_dark_reference_measures_no_current(
    capabilities: Capabilities, make_observation: Callable[..., Observation]
) -> None:
    seen = make_observation(0)
    assert seen.command.acquire is not None
    dark = changed(seen.command, acquire=changed(seen.command.acquire, blanked=True))
    assert CurrentWatch(capabilities, 0.1).see(replace(seen, command=dark, electrons=0.0)) == ()


@pytest.mark.parametrize("mode", ["HAADF", "EELS"])
def test_the_twin_measures_what_is_set(mode: str) -> None:
    twin = Twin(LiquidCell(3), seed=3)
    acquire = Acquire(mode=mode, fov_nm=64.0, pixels_x=16, pixels_y=8, dwell_s=1e-5, max_frames=2)  # type: ignore[arg-type]
    twin.submit(Command(id="look", set=Settings(optics=Optics(beam_current_pA=20.0)), acquire=acquire))
    seen = twin.gather(5.0)
    assert measured_pA(seen.command, seen.state, twin.describe(), seen.electrons) == pytest.approx(20.0, rel=1e-9)
