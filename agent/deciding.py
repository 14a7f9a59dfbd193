"""Who decides in a run: the policy that a configuration asks for, with what it needs to foresee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from agent.clairvoyance import Clairvoyance
from agent.config import Config, ConfigErrors, PolicyChoice
from agent.decoding import laid_over
from agent.lessons import outlook_of, truth_of
from hardware_bridge.report import Card, Report
from policies import catalogue
from policies.bayes.settings import BayesSettings
from policies.chooser.checkpoint import load
from policies.chooser.policy import LearnedSettings, path_of
from policies.clairvoyant import Clairvoyant, ForeknowingGreedy
from policies.greedy import GreedySettings
from policies.heeding import Heeding
from policies.interface import Policy
from policies.outlook import Outlook
from policies.references import Referenced, Schedule
from policies.restless import Restless
from policies.within import Within

CLAIRVOYANT = "clairvoyant"


@dataclass(frozen=True)
class Foresight:
    """What the clairvoyant needs, in evaluation only: the world it is in, and what the shared reporter claims now."""

    card: Card
    seed: int
    report: Callable[[], Report]


def clairvoyants(config: Config) -> str:
    """The policy whose proposers and settings the clairvoyant shares: the one that foresees what perception reads."""
    return "greedy" if config.perception.name == "reader" else "bayes"


def policy(config: Config, foresight: Foresight | None = None) -> Policy:
    """Build the policy that a configuration asks for; the clairvoyant only where foresight is given.

    Raises:
        ConfigErrors: there is no such policy or setting.
    """
    name, seeing = config.policy.name, config.policy.name == CLAIRVOYANT and foresight is not None
    try:
        kind = catalogue.settings_type(clairvoyants(config) if seeing else name)
    except ValueError as error:
        raise ConfigErrors("the configuration", [f"policy.name: {error}"]) from None
    settings, errors = laid_over(kind, config.policy.settings, "policy.settings")
    if settings is None:
        raise ConfigErrors("the configuration", errors)
    if foresight is not None and isinstance(settings, BayesSettings) and seeing:
        return Clairvoyant(settings, truth_of(foresight.card, foresight.seed), foresight.report)
    if foresight is not None and isinstance(settings, GreedySettings) and seeing:
        return ForeknowingGreedy(settings, Clairvoyance(config.goal.world, foresight.seed, config.goal.weights))
    if isinstance(settings, LearnedSettings):
        _check_trained(settings, config.goal.world)
    made, asked = catalogue.make(name, settings, _foreseen(config)), config.references
    made = Heeding(Restless(made) if name in catalogue.ADAPTIVE else made)
    if config.goal.regions:
        made = Within(made, config.goal.regions)
    schedule = Schedule(asked.dark_every_s, asked.gain, asked.zero_loss)
    return made if schedule == Schedule() else Referenced(made, schedule)


def with_policy(config: Config, name: str) -> Config:
    """The configuration with another policy, with the settings that it has for it.

    Raises:
        ConfigErrors: there is no such policy, or it cannot run as all is configured.
    """
    changed = replace(config, policy=PolicyChoice(name=name, settings=config.settings_of(name)))
    policy(changed)
    return changed


def _check_trained(settings: LearnedSettings, world: str) -> None:
    path = path_of(settings.checkpoint, world)
    try:
        if not settings.checkpoint and not path.with_suffix(".json").is_file():
            raise ValueError(f"no chooser is shipped for world {world}: adaptem train makes one, and this names it")
        load(path)
    except ValueError as error:
        raise ConfigErrors("the configuration", [f"policy.settings.checkpoint: {error}"]) from None


def _foreseen(config: Config) -> Outlook | None:
    """What a policy that foresees is given; None for others.

    Raises:
        ConfigErrors: perception is another than the one whose errors are known, or nothing was learned of the world.
    """
    name, seeing = config.policy.name, config.perception.name
    if name not in catalogue.FORESEEING:
        return None
    if seeing != "reader":
        told = f"policy.name = {name!r} foresees what the reader would see: perception.name = {seeing!r} is not reader"
        raise ConfigErrors("the configuration", [told])
    try:
        return outlook_of(config.goal.world, config.goal.weights)
    except ValueError as error:
        raise ConfigErrors("the configuration", [f"goal.world: {error}"]) from None
