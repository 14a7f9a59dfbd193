"""What a person changes in a run that goes on: goals, regions, budgets, the policy and its settings.

A change is what the command line's ``--set`` is: ``goal.weights.rate=3``, ``budget.electrons=2e8``,
``policy.settings.view.fov_nm=256``. All changes together, laid over what the run was started with, are checked as a
configuration is; then the policy is made anew and learns again from all turns, as when a run is resumed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from agent import deciding
from agent.assemble import CHOICES
from agent.config import Config, ConfigErrors, dump, from_table
from agent.eventlog import Header
from agent.lessons import weighed
from agent.loop import Loop
from agent.record import Record, as_turn
from policies.interface import Policy, Setup

STEERED = (
    "goal.question", "goal.weights.", "goal.regions", "budget.electrons", "budget.duration_s", "policy.name",
    "policy.settings.",
)  # fmt: skip
SOURCE = "what is to be changed"


Check = Callable[[Sequence[str]], None]
"""Raises ConfigErrors for changes that are wrong."""


class Helm(Protocol):
    """Where people steer a run."""

    def steering(self, check: Check) -> tuple[str, ...]:
        """Say what people want changed by now, each of it found good by ``check``."""
        ...

    def plan(self, config: Config, setup: Setup, policy: Policy) -> None:
        """Learn what is wanted of the run from here on, and who proposes."""
        ...


class Wheel:
    """Steers a loop: between two turns it takes over what people want changed. ``header`` has it."""

    def __init__(self, loop: Loop, header: Header, done: Sequence[Record], helm: Helm) -> None:
        """Take over what was wanted already when the run was interrupted."""
        self.header, self._started, self._loop, self._helm = header, header, loop, helm
        self._records = list(done)
        self._changes: tuple[str, ...] = ()
        helm.plan(header.config, loop.setup, loop.policy)
        self._take()

    def turn(self, record: Record) -> None:
        """A turn is over."""
        self._records.append(record)
        self._take()

    def _take(self) -> None:
        changes = self._helm.steering(self._check)
        if changes == self._changes:
            return
        self._changes, self.header = changes, replace(self._started, config=steered(self._started, changes))
        policy = begun(self.header)
        for record in self._records:
            policy.ingest(as_turn(record))
        self._loop.policy, self._loop.setup = policy, setup_of(self.header)
        self._helm.plan(self.header.config, self._loop.setup, policy)

    def _check(self, changes: Sequence[str]) -> None:
        steered(self._started, changes)


def steered(header: Header, changes: Sequence[str]) -> Config:
    """The configuration of a run with these changes.

    Raises:
        ConfigErrors: everything that is wrong with them; a policy cannot begin with them.
    """
    wrong = [f"{change}: cannot be changed in a run; {_spoken()} can" for change in changes if not _may(change)]
    if wrong:
        raise ConfigErrors(SOURCE, wrong)
    table: dict[str, Any] = json.loads(dump(header.config))
    named = [change.partition("=")[2].strip().strip("\"'") for change in changes if change.startswith("policy.name")]
    if named and named[-1] != header.config.policy.name:
        table["policy"] = {"name": named[-1], "settings": dict(header.config.settings_of(named[-1]))}
    config = from_table(table, changes, SOURCE, CHOICES)
    longest_s = max(header.card.duration_s, header.config.budget.duration_s)
    if config.budget.duration_s > longest_s:
        told = f"budget.duration_s: {config.budget.duration_s:g} is above {longest_s:g}, what is asked of this world"
        raise ConfigErrors(SOURCE, [told])
    try:
        begun(replace(header, config=config))
    except ValueError as error:
        raise error if isinstance(error, ConfigErrors) else ConfigErrors(SOURCE, [str(error)]) from None
    return config


def setup_of(header: Header) -> Setup:
    """What the policy of a run is told."""
    budget = header.config.budget
    return Setup(
        capabilities=header.capabilities,
        limits=header.config.limits,
        card=weighed(header.card, header.config.goal.weights),
        start_s=header.start_s,
        end_s=header.start_s + budget.duration_s,
        max_electrons=budget.electrons,
    )


def begun(header: Header) -> Policy:
    """The policy of a run, before its first turn.

    Raises:
        ConfigErrors, ValueError: there is none such, or it cannot begin.
    """
    policy = deciding.policy(header.config)
    policy.begin(setup_of(header), header.seed)
    return policy


def _may(change: str) -> bool:
    path = change.partition("=")[0].strip()
    return any(path == each or (each.endswith(".") and path.startswith(each)) for each in STEERED)


def _spoken() -> str:
    return ", ".join(f"{each}NAME" if each.endswith(".") else each for each in STEERED)
