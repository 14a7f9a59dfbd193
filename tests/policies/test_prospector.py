"""The prospector: all of the specimen once, then one spectrum of everything found, then nothing."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.report import Particle, Percept
from policies.commands import View
from policies.interface import Turn
from policies.prospector import Prospector, ProspectorSettings


def feature(track: int, x_nm: float, radius_nm: float) -> Particle:
    return Particle(
        track=track, x_nm=x_nm, y_nm=50.0, radius_nm=radius_nm, x_sd_nm=1.0, y_sd_nm=1.0, radius_sd_nm=1.0, snr=20.0
    )


SPECTRUM = View(mode="EELS", fov_nm=32.0, pixels=8, dwell_s=5e-3)
FEATURES = (feature(0, -300.0, 20.0), feature(1, 200.0, 25.0), feature(2, 400.0, 100.0))


def played(make_bench: Callable[..., Any], refuse: int = -1) -> list[Any]:
    """The commands of a whole run in which the third image shows all features; turn ``refuse`` is refused."""
    bench = make_bench()
    policy = Prospector(ProspectorSettings(tiles=2, within=1.0, spectrum=SPECTRUM))
    policy.begin(bench.setup, 0)
    commands = []
    for index in range(20):
        shown = policy.suggest(bench.situation(index), 2)
        if not shown:
            break
        command = shown[0].command
        assert command.acquire is not None
        commands.append(command)
        centre = field_centre_nm(command.go, bench.setup.capabilities)
        seen = Percept(
            command_id=command.id, mode=command.acquire.mode, start_s=0.0, end_s=1.0, x_nm=centre[0], y_nm=centre[1]
        )
        seen = replace(seen, particles=FEATURES if index == 2 else ())
        gone = index == refuse
        policy.ingest(
            Turn(index, None if gone else command, None if gone else seen, "refused" if gone else "approved", "")
        )
    return commands


def test_survey_then_one_spectrum_of_each_largest_first(make_bench: Callable[..., Any]) -> None:
    commands = played(make_bench)
    assert [c.acquire.mode for c in commands] == ["HAADF"] * 4 + ["EELS"] * 3
    centres = [field_centre_nm(c.go, make_bench().setup.capabilities) for c in commands]
    assert len(set(centres[:4])) == 4
    assert [round(x) for x, _ in centres[4:]] == [400, 200, -300]
    # A spectrum stays within its feature, and within what is asked for.
    assert [c.acquire.fov_nm for c in commands[4:]] == [32.0, 16.0, 16.0]


def test_what_is_refused_is_not_asked_for_for_ever(make_bench: Callable[..., Any]) -> None:
    assert len(played(make_bench, refuse=1)) == len(played(make_bench, refuse=5)) == 7
