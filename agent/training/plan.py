"""What `adaptem train` is asked to do, read from a TOML file; all that is wrong with it is told at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

from agent import assemble
from agent.config import ConfigErrors
from agent.decoding import decode_table
from agent.lessons import prior_of
from agent.training.misreading import load_errors
from hardware_bridge.words import Count, Fraction, Name, NotNegative, Positive, Size, Word
from policies.training.settings import PpoSettings

MOST_WORLDS = 20_000
LEAST_WORLDS = 12


class Plan(Word, frozen=True, kw_only=True):
    """A training: in which ``world``, on which ``seeds`` (first, last), how many ``runs`` at once, how long.

    ``alike`` of the runs are in one world each, so that they can be compared. Of the worlds, the share ``beyond`` whose
    hidden constants are the most unusual is never trained on, and of the rest the share ``apart`` neither. Every
    ``check_every`` iterations the chooser is scored on the latter; after ``patience`` checks without a better score, or
    after ``minutes``, training ends. Budgets are drawn between an eighth of the card's and all of it.
    """

    world: Name
    seeds: tuple[Count, ...] = (20_000, 20_383)
    runs: Size = 64
    alike: Size = 8
    beyond: Fraction = 0.15
    apart: Fraction = 0.15
    minutes: Positive = 40.0
    check_every: Size = 4
    patience: Size = 8
    greedy_weights: tuple[NotNegative, ...] = (0.0, 0.25, 1.0, 4.0)
    ppo: PpoSettings = PpoSettings()


def read_plan(path: Path) -> Plan:
    """Read a training's configuration.

    Raises:
        ConfigErrors: the file is no TOML, or something in it is unknown, of a wrong kind, or cannot be trained in.
        OSError: there is no such file.
    """
    try:
        table = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigErrors(str(path), [str(error)]) from None
    plan, errors = decode_table(Plan, table, "")
    if plan is None:
        raise ConfigErrors(str(path), errors)
    errors = list(_wrong(plan))
    if errors:
        raise ConfigErrors(str(path), errors)
    return plan


def _wrong(plan: Plan) -> list[str]:
    wrong = []
    if len(plan.seeds) != 2 or not LEAST_WORLDS <= plan.seeds[-1] - plan.seeds[0] + 1 <= MOST_WORLDS:
        few, many = LEAST_WORLDS, MOST_WORLDS
        wrong.append(f"seeds = {list(plan.seeds)}: the first and the last of {few} to {many} worlds are needed")
    if plan.beyond + plan.apart > 0.8:
        wrong.append(f"beyond + apart = {plan.beyond + plan.apart:g}: at most 0.8 may be kept apart")
    if plan.runs % plan.alike:
        wrong.append(f"runs = {plan.runs}: a multiple of alike = {plan.alike} is needed")
    if not plan.greedy_weights:
        wrong.append("greedy_weights: at least one is needed")
    if plan.world not in assemble.worlds():
        wrong.append(f"world = {plan.world!r} is unknown: choose one of {', '.join(assemble.worlds())}")
        return wrong
    try:
        load_errors(plan.world)
        prior_of(plan.world)
    except ValueError as error:
        wrong.append(str(error))
    return wrong
