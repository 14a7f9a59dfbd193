"""The one place that knows concrete classes: puts instrument, perception, policy and environments together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent import twins
from agent.child import ServedTwin
from agent.config import Config, ConfigErrors, Goal, Instrument, PerceptionChoice, PolicyChoice, Setting, load
from agent.deciding import policy
from agent.decoding import Check, laid_over, nearest
from agent.eventlog import RecordError
from agent.lessons import prior_of, truth_of
from agent.loop import Execute, Loop
from agent.perception.analyst import Analyst, AnalystSettings
from agent.perception.current import CurrentWatch
from agent.perception.reader import Conditioned, Reader, ReaderSettings, load_eyesight
from agent.perception.reporter import Reporter
from agent.perception.surveyor import Surveyor, SurveyorSettings
from agent.perception.watcher import Watcher, told
from agent.pretrigger import Span
from agent.record import Record
from agent.spool import Spool
from agent.watching import Watching
from digital_twin.image_files import read_stack
from digital_twin.measured import measured_card
from digital_twin.standard import standard_card
from digital_twin.worlds import WORLDS
from envs.autotune import AutotuneEnv
from envs.prior import load_card
from envs.score import Truth, score
from envs.vector import VectorWorldEnv
from envs.workers import each
from envs.world import Eyes, WorldEnv
from hardware_bridge.client import Client
from hardware_bridge.guard import Guard
from hardware_bridge.keys import read_client
from hardware_bridge.messages import Acquire, Capabilities, Go, InstrumentState
from hardware_bridge.microscope import Microscope, execute
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Percept, Report
from hardware_bridge.words import Word
from policies import catalogue
from policies.commands import View, looking
from policies.interface import Proposal, Setup, Situation

WordT = TypeVar("WordT", bound=Word)

Seeing = tuple[Callable[[Observation], Percept], Reporter | Conditioned]
# Who may perceive, by name, with the settings each takes.
ANALYSTS: Mapping[str, tuple[type[Word], Callable[[Capabilities, Card, Any], Seeing]]] = {
    "analyst": (AnalystSettings, lambda able, card, settings: (Analyst(able, settings), Reporter(card))),
    "surveyor": (SurveyorSettings, lambda able, card, settings: (Surveyor(able, settings), Reporter(card))),
    "reader": (ReaderSettings, lambda able, card, settings: _reader(able, card)),
}
DEFAULT_CONFIG = Path(__file__).with_name("growth.toml")

map_jobs = each
read_images = read_stack
POLICIES = catalogue.NAMES


@dataclass
class Perception:
    """Who analyses, who watches the beam current, and the reporter, fed together."""

    analyst: Callable[[Observation], Percept]
    current: CurrentWatch
    reporter: Reporter | Conditioned

    def perceive(self, observation: Observation) -> Percept:
        """Analyse one observation and let the reporter know."""
        percept, alarms = self.analyst(observation), self.current.see(observation)
        if observation.events or alarms:
            events = percept.events + tuple(map(told, observation.events))
            percept = msgspec.structs.replace(percept, events=events, alarms=alarms)
        self.reporter.add(percept)
        return percept

    def report(self) -> Report:
        """What is claimed now about the targets of the world."""
        return self.reporter.report()


def perception(capabilities: Capabilities, card: Card, config: Config) -> Perception:
    """Build the analyst and the reporter that every policy shares."""
    kind, analyst = ANALYSTS[config.perception.name]
    settings, errors = laid_over(kind, config.perception.settings, "perception.settings")
    if settings is None:
        raise ConfigErrors("the configuration", errors)
    current = CurrentWatch(capabilities, config.references.current_share)
    sees, reports = analyst(capabilities, card, settings)
    return Perception(sees, current, reports)


def _reader(capabilities: Capabilities, card: Card) -> Seeing:
    return Reader(capabilities, card, load_eyesight(card.world)), Conditioned(prior_of(card.world))


def outlook(
    config: Config, seed: int, setup: Setup, state: InstrumentState
) -> tuple[Sequence[Proposal], list[Acquire]]:
    """What the policy of a run would do first, and all views in its settings; the run's own policy is not asked."""
    trial = policy(config)
    trial.begin(setup, seed)
    time_left_s = setup.end_s - state.clock_s
    situation = Situation(turn=0, state=state, electrons_left=setup.max_electrons, time_left_s=time_left_s)
    choice = config.policy
    settings, _ = laid_over(catalogue.settings_type(choice.name), choice.settings, "policy.settings")
    return trial.suggest(situation, Loop.alternatives), [_acquire(view) for view in _views(settings)]


def _views(settings: object) -> Iterator[View]:
    if isinstance(settings, View):
        yield settings
    elif isinstance(settings, Word):
        for name in settings.__struct_fields__:
            yield from _views(getattr(settings, name))


def _acquire(view: View) -> Acquire:
    acquire = looking("view", Go(), view, 0.0, 0.0).acquire
    assert acquire is not None
    return acquire


def watching(config: Config, spool: Spool | None) -> Execute:
    """What executes the commands of a run: as they are, or under the eyes of a watcher where one is asked for."""
    choice = config.watch
    if choice is None or spool is None:
        return execute
    span = Span(choice.before_s, choice.after_s, choice.memory_bytes)
    return Watching(Watcher(choice.alarms), spool, span, choice.urgent, choice.save).execute


def counts_per_electron(config: Config) -> float:
    """What the detector counts an electron, as perception is told."""
    settings, _ = laid_over(AnalystSettings, config.perception.settings, "perception.settings")
    assert settings is not None  # load() has checked it
    return settings.counts_per_electron


def _check_perception(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "name" in got:
        yield from _complaints(ANALYSTS[got["name"]][0], got.get("settings", {}))


def _check_policy(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "name" not in got:
        return
    try:
        kind = catalogue.settings_type(got["name"])
    except ValueError as error:
        yield "name", str(error).removeprefix("policy = ")
    else:
        yield from _complaints(kind, got.get("settings", {}))


def _check_config(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _check_specimen(got)
    for name, settings in got.get("rivals", {}).items():
        for path, complaint in _check_policy({"name": name, "settings": settings}):
            yield "rivals" if path == "name" else f"rivals.{name}{path.removeprefix('settings')}", complaint


def _complaints(kind: type[Word], settings: Mapping[str, Setting]) -> Iterator[tuple[str, str]]:
    for error in laid_over(kind, settings, "settings")[1]:
        path, _, complaint = error.partition(": ")
        yield path, complaint


def _check_specimen(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    goal: Goal | None = got.get("goal")
    instrument: Instrument | None = got.get("instrument")
    if instrument is not None and instrument.specimen is not None:
        try:
            measured_card(Path(instrument.specimen), 1.0, 1.0, instrument.specimen_pixel_nm)
        except ValueError as error:
            yield "instrument.specimen", str(error).removeprefix("instrument.specimen = ")
    elif goal is not None and goal.extent_nm is None and (instrument is None or instrument.world != twins.STANDARD):
        try:
            targets = [target.name for target in load_card(goal.world).targets]
        except ValueError as error:
            yield "goal.world", str(error).removeprefix("goal.world = ")
        else:
            for name in goal.weights:
                if name not in targets:
                    yield f"goal.weights.{name}", f"no such target{nearest(name, targets)}"
            if goal.weights and not any(goal.weights.get(name, 1.0) for name in targets):
                yield "goal.weights", "all are 0: nothing would be worth a look"


# What a configuration may name, for ``load``: with these all that is wrong is told before anything is started. The
# first is for where an instrument is used without goal and policy.
BARE: Mapping[type, Check] = {PerceptionChoice: _check_perception, Instrument: twins.check_instrument}
CHOICES: Mapping[type, Check] = {
    **BARE,
    PolicyChoice: _check_policy,
    Config: _check_config,
}


def card_of(config: Config) -> Card:
    """The card of the world that a configuration asks for."""
    if config.instrument.specimen is not None:
        path, pixel_nm = Path(config.instrument.specimen), config.instrument.specimen_pixel_nm
        return measured_card(path, config.budget.duration_s, config.budget.electrons, pixel_nm)
    if config.instrument.world == twins.STANDARD:
        return standard_card(config.budget.duration_s, config.budget.electrons)
    if config.goal.extent_nm is not None:
        return _unknown_card(config)
    try:
        return load_card(config.goal.world)
    except ValueError as error:
        raise ConfigErrors("the configuration", [str(error)]) from None


def _unknown_card(config: Config) -> Card:
    """The card of a specimen of which nothing is known: an extent to look at, and no targets."""
    assert config.goal.extent_nm is not None
    return Card(
        world=config.goal.world,
        version=1,
        extent_nm=config.goal.extent_nm,
        cells=1,
        times_s=(),
        duration_s=config.budget.duration_s,
        budget_electrons=config.budget.electrons,
        max_fluence_e_per_A2=config.limits.max_fluence_e_per_A2,
        targets=(),
    )


def scored(report: Report, card: Card, seed: int) -> tuple[float, dict[str, float]] | None:
    """Score a report, in all and by target; None where the world has no truth to compare with."""
    return score(report, truth_of(card, seed), card) if card.world in WORLDS else None


def unknown_truth(capabilities: Capabilities, card: Card, seed: int) -> str:
    """Say why what is at an instrument cannot be scored: it is not the specimen of this seed; empty where it is."""
    wanted = twins.label(card.world, seed)
    if card.world not in WORLDS or capabilities.specimen == wanted:
        return ""
    held = capabilities.specimen or "one without a name"
    return f"no score: the instrument holds {held}, and the truth of seed {seed} is that of {wanted}"


@contextmanager
def instrument(config: Config, seed: int, beside: Path, done: Sequence[Record] = ()) -> Iterator[Microscope]:
    """Open the instrument of a run and close it after; ``done`` are the turns of the run that is being resumed.

    A twin is served by a process of its own where ``instrument.kind`` is bridge and no endpoint is given; a served twin
    that is gone when a run is resumed is started again and brought back by its recorded commands.

    Raises:
        Unreachable: nothing answers at the endpoint.
        BadKeys, KeyRefused: the file of keys is not in order, or the bridge refuses them.
    """
    choice = config.instrument
    if choice.kind == "twin":
        microscope = Guard(twins.driver(config, seed), config.limits)
        _again(microscope, done)
        yield microscope
    elif choice.endpoint is not None:
        keys = read_client(Path(choice.keys)) if choice.keys is not None else None
        with Client(choice.endpoint, keys=keys) as client:
            yield client
    else:
        with ServedTwin.beside(beside, seed) as served, Client(served.endpoint) as client:
            if served.fresh:
                _again(client, done)
            yield client


def _again(microscope: Microscope, done: Sequence[Record]) -> None:
    """Bring a fresh twin to where it stood, by the commands that ran: in stepped time the same to the last bit.

    Raises:
        RecordError: a command was ended early, nobody knows any more at which row.
    """
    for record in done:
        if record.aborted:
            raise RecordError(f"turn {record.turn} was ended early: a fresh twin cannot be brought to where it stood")
        if record.percept is not None and record.decision.command is not None:
            microscope.submit(record.decision.command)
            microscope.gather(10.0)


def worlds() -> tuple[str, ...]:
    """The names of the twin's worlds."""
    return tuple(WORLDS)


def exhibit(world: str, seed: int) -> Callable[[], tuple[Card, Microscope, Truth]]:
    """What a gallery shows of a world, made when it is its turn: its card, a bare twin that has it, and its truth.

    Raises:
        ValueError: there is no such world.
    """
    card = load_card(world)
    return lambda: (card, twins.bare(world, seed), truth_of(card, seed))


def make_env(world: str = "growth") -> WorldEnv:
    """Build the environment of a world over an in-process twin, within the walls of its card.

    Raises:
        ConfigErrors: there is no such world.
    """
    chosen = load(
        DEFAULT_CONFIG, (f"goal.world={world}", f"instrument.world={world}", "perception.name=reader"), CHOICES
    )
    card = card_of(chosen)

    def eyes(microscope: Microscope) -> Eyes:
        made = perception(microscope.describe(), card, chosen)
        return Eyes(perceive=made.perceive, report=made.report)

    return WorldEnv(
        make_microscope=lambda seed: twins.guarded(world, card, [seed])[0],
        make_eyes=eyes,
        truth_of=lambda seed: truth_of(card, seed),
        card=card,
    )


def make_vector_env(num_envs: int = 1, world: str = "growth") -> VectorWorldEnv:
    """Build as many environments of a world as are asked for, computed together.

    Raises:
        ConfigErrors: there is no such world.
    """
    card = card_of(load(DEFAULT_CONFIG, (f"goal.world={world}", f"instrument.world={world}"), CHOICES))
    return VectorWorldEnv(lambda: make_env(world), lambda seeds: twins.guarded(world, card, seeds), num_envs)


def make_autotune(parameters: int = 3) -> AutotuneEnv:
    """Build the environment of aberration correction, with 3 or 7 parameters.

    Raises:
        ValueError: another number of parameters.
    """
    return AutotuneEnv(twins.tuning_bench, parameters)
