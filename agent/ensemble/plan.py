"""What an ensemble is: a run's configuration, the seeds of its specimens, and which of its parameters take what values.

config = "../../agent/growth.toml"        # beside the plan
seeds = "1000-1003"
[grid]                                    # every combination of these
"policy.name" = ["raster", "bayes"]
"budget.electrons" = [1e8, 4e8]
[sample]                                  # each of them with so many draws
members = 8
ranges."instrument.conditions.decay_nm" = { low = 0.5, high = 50, log = true }
"""

from __future__ import annotations

import itertools
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent import assemble
from agent.config import Config, ConfigErrors, Setting, from_table
from agent.decoding import decode_table
from agent.evaluate import seeds_of
from hardware_bridge.words import Count, Number, Size, Text, Word

Parameters = dict[Text, Setting]
MOST = 1_000_000
"""Members of an ensemble: all are checked before the first is played."""


class Spread(Word, frozen=True, kw_only=True):
    """Evenly drawn values of a number between two; with ``log`` its logarithm is even."""

    low: Number
    high: Number
    log: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        if self.log and self.low <= 0.0:
            raise ValueError(f"low {self.low:g} has no logarithm: it must be above 0")

    def at(self, share: float) -> float:
        """The value that this share (0..1) of all draws lies below."""
        if self.log:
            return math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        return self.low + share * (self.high - self.low)


class Sample(Word, frozen=True, kw_only=True):
    """How many draws are made of the parameters in ``ranges``, all of them together; they follow from the seed."""

    members: Size
    ranges: dict[Text, Spread]
    seed: Count = 0

    def draws(self) -> list[Parameters]:
        """The draws; more of them begin with the same ones."""
        random = np.random.default_rng(self.seed)
        return [
            {name: spread.at(float(random.random())) for name, spread in self.ranges.items()}
            for _ in range(self.members)
        ]


class Plan(Word, frozen=True, kw_only=True):
    """An ensemble: every seed with every combination of ``grid`` and every draw of ``sample``.

    Parameters are named by their path in the configuration, as `--set` has them.
    """

    config: Text
    seeds: Text
    grid: dict[Text, tuple[Setting, ...]] = {}
    sample: Sample | None = None


class Job(Word, frozen=True, kw_only=True):
    """One member to be played."""

    seed: Count
    parameters: Parameters

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return json.dumps([self.seed, dict(sorted(self.parameters.items()))])


class Ensemble:
    """A plan that is known to be good, with the configuration it is about."""

    def __init__(self, plan: Plan, table: dict[str, Any], overrides: Sequence[str]) -> None:
        """``table`` is the configuration's, ``overrides`` go over it before any parameter.

        Raises:
            ConfigErrors: all that is wrong with the plan, and the first member that no configuration allows.
        """
        self.plan, self._table, self._overrides = plan, table, tuple(overrides)
        errors = [f"grid.{name}: no values" for name, values in plan.grid.items() if not values]
        drawn = plan.sample.ranges if plan.sample is not None else {}
        errors += [f"sample.ranges.{name}: it is in the grid already" for name in drawn if name in plan.grid]
        try:
            seeds = seeds_of(plan.seeds)
        except ValueError as error:
            errors.append(str(error).removeprefix("--"))
            seeds = range(1)
        draws = plan.sample.draws() if plan.sample is not None else [{}]
        combined = math.prod(len(values) for values in plan.grid.values())
        if combined * len(draws) * len(seeds) > MOST:
            errors.append(f"{combined * len(draws) * len(seeds)} members: at most {MOST} are played in one ensemble")
        if errors:
            raise ConfigErrors("the ensemble", errors)
        points = [dict(zip(plan.grid, point, strict=True)) for point in itertools.product(*plan.grid.values())]
        everything = [{**point, **draw} for point in points for draw in draws]
        for parameters in everything:
            _check(self.config_of(parameters), parameters)
        self.jobs = [Job(seed=seed, parameters=parameters) for seed in seeds for parameters in everything]

    @property
    def base(self) -> Config:
        """The configuration before any parameter."""
        return self.config_of({})

    def config_of(self, parameters: Mapping[str, Setting]) -> Config:
        """The configuration of a member; a policy comes with the settings that the configuration has for it.

        Raises:
            ConfigErrors: a parameter that there is not, or that cannot have that value.
        """
        table = self._table
        wanted, policy = parameters.get("policy.name"), table.get("policy")
        if wanted is not None and isinstance(policy, dict) and policy.get("name") != wanted:
            rivals = table.get("rivals", {})
            table = {**table, "policy": {"name": wanted, "settings": rivals.get(wanted, {})}}
        overrides = [*self._overrides, *(f"{path}={json.dumps(value)}" for path, value in parameters.items())]
        return from_table(table, overrides, f"the member with {spoken(parameters)}", assemble.CHOICES)


def load_plan(path: Path, overrides: Sequence[str] = ()) -> Ensemble:
    """Read the plan of an ensemble, and the configuration that it names, beside it.

    Raises:
        ConfigErrors: everything that is wrong with the plan, or with the first member that is not in order.
    """
    plan, errors = decode_table(Plan, _read(path), "")
    if plan is None:
        raise ConfigErrors(str(path), errors)
    return Ensemble(plan, _read(path.parent / plan.config), overrides)


def spoken(parameters: Mapping[str, Setting]) -> str:
    """Parameters in one line."""
    return ", ".join(f"{name} = {value}" for name, value in parameters.items()) or "no parameters"


def _check(config: Config, parameters: Mapping[str, Setting]) -> None:
    """Refuse what cannot be played in an ensemble; raises ConfigErrors."""
    wrong = []
    if config.instrument.endpoint is not None:
        wrong.append("instrument.endpoint: an ensemble is of twins, each beside whoever plays it: leave it out")
    if config.goal.world not in assemble.worlds() or config.goal.extent_nm is not None:
        wrong.append(f"goal.world: {config.goal.world} has no truth to score against")
    if wrong:
        raise ConfigErrors(f"the member with {spoken(parameters)}", wrong)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigErrors(str(path), [f"cannot be read: {error.strerror}"]) from None
    except ValueError as error:  # of syntax or encoding
        raise ConfigErrors(str(path), [f"not TOML: {error}"]) from None
