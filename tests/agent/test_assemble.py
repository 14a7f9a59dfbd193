"""What only the assembly knows of a configuration is told with everything else that is wrong with it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from agent import twins
from agent.assemble import (
    CHOICES,
    DEFAULT_CONFIG,
    card_of,
    instrument,
    outlook,
    perception,
    policy,
    watching,
)
from agent.config import ConfigErrors, load
from agent.eventlog import RecordError
from agent.perception.watcher import told
from agent.record import Record
from agent.spool import Spool
from hardware_bridge.calibrated import Calibrated
from hardware_bridge.calibration import Calibration, write_calibration
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Capabilities, Command, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Estimate, FrameEvent
from policies.greedy import Greedy
from policies.heeding import Heeding
from policies.interface import Setup
from policies.raster import Raster
from policies.restless import Restless


def complaints(*overrides: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(DEFAULT_CONFIG, overrides, CHOICES)
    return [error.partition(": ")[0] for error in caught.value.errors]


def test_the_shipped_config_has_nothing_wrong() -> None:
    load(DEFAULT_CONFIG, (), CHOICES)


@pytest.mark.parametrize("path", sorted(DEFAULT_CONFIG.with_name("worlds").glob("*.toml")), ids=lambda path: path.stem)
def test_every_world_has_a_config_in_which_its_policy_may_look(path: Path) -> None:
    config = load(path, ("instrument.kind=twin",), CHOICES)
    card = card_of(config)
    assert (config.goal.world, config.instrument.world, config.perception.name) == (path.stem, path.stem, "reader")
    assert (config.budget.electrons, config.budget.duration_s) == (card.budget_electrons, card.duration_s)
    assert config.limits.max_fluence_e_per_A2 == card.max_fluence_e_per_A2
    microscope = Guard(twins.driver(config, 1), config.limits)
    able = microscope.describe()
    setup = Setup(able, config.limits, card, 0.0, config.budget.duration_s, config.budget.electrons)
    proposals, _ = outlook(config, 1, setup, microscope.state())
    assert proposals
    microscope.submit(proposals[0].command)


def test_names_and_settings_are_told_with_all_other_errors() -> None:
    found = complaints(
        "budget.electrons=-1",
        "goal.world=growht",
        "instrument.endpoint=nonsense",
        "perception.settings.colour=1",
        "policy.settings.colour=2",
    )
    assert set(found) == {
        "budget.electrons",
        "goal.world",
        "instrument.endpoint",
        "perception.settings.colour",
        "policy.settings.colour",
    }


def test_a_policy_that_is_not_there_is_told_with_what_there_is() -> None:
    with pytest.raises(ConfigErrors, match=r"policy\.name: 'byes' is unknown: choose one of .*bayes"):
        load(DEFAULT_CONFIG, ("policy.name=byes",), CHOICES)


def test_a_setting_out_of_its_range_is_told_by_its_path() -> None:
    assert complaints("policy.name=raster", "policy.settings={dwell_s = -1}") == ["policy.settings.dwell_s"]


def test_a_policy_that_foresees_wants_the_reader_and_a_world_that_it_knows() -> None:
    seen = load(DEFAULT_CONFIG, ("policy.name=greedy", "perception.name=reader"), CHOICES)
    assert policy(seen) is not None
    other = load(DEFAULT_CONFIG, ("policy.name=greedy",), CHOICES)
    with pytest.raises(ConfigErrors, match=r"'greedy' foresees .*: perception\.name = 'analyst' is not reader"):
        policy(other)
    nowhere = load(DEFAULT_CONFIG, ("policy.name=greedy", "goal.world=elsewhere", "goal.extent_nm=500"), CHOICES)
    with pytest.raises(ConfigErrors, match=r"perception\.name"):
        policy(nowhere)
    with pytest.raises(ConfigErrors, match=r"goal\.world: .*elsewhere"):
        policy(structs.replace(nowhere, perception=seen.perception))


def test_all_heed_people_and_those_that_follow_a_belief_are_not_left_stuck() -> None:
    made = policy(load(DEFAULT_CONFIG, ("policy.name=greedy", "perception.name=reader"), CHOICES))
    assert isinstance(made, Heeding)
    assert isinstance(made._policy, Restless)
    assert isinstance(made._policy._policy, Greedy)
    plain = policy(load(DEFAULT_CONFIG, ("policy.name=raster",), CHOICES))
    assert isinstance(plain, Heeding)
    assert isinstance(plain._policy, Raster)


def test_a_specimen_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert complaints(f"instrument.specimen={tmp_path / 'none.npz'}") == ["instrument.specimen"]


def test_a_calibration_is_applied_and_one_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    lens = Estimate(value=-2.0, sd=0.1)
    known = Calibration(instrument="adaptem-twin", version="1", reference="stage", fov_nm=512.0, defocus_gain=lens)
    write_calibration(known, path)
    config = load(DEFAULT_CONFIG, (f"instrument.calibration={path}", "instrument.kind=twin"), CHOICES)
    with instrument(config, 1, tmp_path) as microscope:
        assert isinstance(twins.driver(config, 1), Calibrated)
        focused = Command(id="focus", set=Settings(optics=Optics(C10_nm=100.0)))
        assert execute(microscope, focused, 5.0).state.optics.C10_nm == 100.0
    path.write_text("{}")
    assert complaints(f"instrument.calibration={path}") == ["instrument.calibration"]
    elsewhere = ("instrument.kind=bridge", "instrument.endpoint=tcp://127.0.0.1:1")
    assert "instrument.misaligned" in complaints("instrument.misaligned=1", *elsewhere)


def test_what_a_watcher_saw_stands_in_the_percept(
    capabilities: Capabilities, card: Card, make_observation: Callable[..., Observation]
) -> None:
    eyes = perception(capabilities, card, load(DEFAULT_CONFIG, (), CHOICES))
    event = FrameEvent(kind="saturation", epoch=1, frame=3, time_s=0.5, value=0.5, limit=0.01)
    assert eyes.perceive(replace(make_observation(0), events=(event,))).events[-1] == told(event)
    assert told(event) not in eyes.perceive(make_observation(1)).events


def test_a_fresh_twin_is_not_brought_to_where_nobody_knows(tmp_path: Path, make_record: Callable[..., Record]) -> None:
    config = load(DEFAULT_CONFIG, ("instrument.kind=twin",), CHOICES)
    early = structs.replace(make_record(0, None), aborted=True)
    with (
        pytest.raises(RecordError, match="turn 0 was ended early: a fresh twin cannot be brought"),
        instrument(config, 7, tmp_path, [early]),
    ):
        pass


def test_watching_is_off_where_nothing_asks_for_it(tmp_path: Path) -> None:
    assert watching(load(DEFAULT_CONFIG, (), CHOICES), None) is execute
    with closing(Spool(tmp_path, 0.0)) as spool:
        assert watching(load(DEFAULT_CONFIG, ("watch.urgent=['change']",), CHOICES), spool) is not execute
    assert complaints("watch.urgent=['chagne']", "watch.alarms.learn_frames=0") == [
        "watch.urgent[0]",
        "watch.alarms.learn_frames",
    ]
