"""The configuration of a run: one frozen tree, read from a TOML file, with every error told at once.

    [goal] [instrument] [limits] [budget] [perception] [policy] [rivals] [references] [review] [record] [watch] ...

Nothing starts before the whole tree is known to be good.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from agent.decoding import Check, Errors, decode_table, nearest
from agent.notify import Notify
from agent.perception.watcher import WatchSettings
from hardware_bridge.endpoint import parse
from hardware_bridge.messages import Box, Go, Holder, Limits, Optics, Range, Settings
from hardware_bridge.report import EventKind
from hardware_bridge.words import Count, Fraction, Name, NotNegative, Number, Positive, Size, Text, Word
from policies.references import GainReference, ZeroLossReference

Setting = bool | int | Number | Text | tuple[Number | Text, ...]

# What limits.ranges may bound: every number that a command can hold.
RANGED = frozenset(
    {*Go.__struct_fields__, *Optics.__struct_fields__, *Holder.__struct_fields__}
    | {"fov_nm", "pixels_x", "pixels_y", "dwell_s", "max_frames"}
) - {"approach"}


class Goal(Word, frozen=True, kw_only=True):
    """The question that is asked, and the world whose targets answer it.

    Of a specimen that nobody has a card of, ``extent_nm`` is the edge of the square to look at, around the origin of
    the specimen frame; it has no targets, and ``world`` is just a name. ``weights`` are what targets are worth to the
    policy, not to the score; left out, the card's. ``regions``, in nm of that frame, are all that is to be looked at.
    """

    question: Text
    world: Name
    extent_nm: Positive | None = None
    weights: dict[Name, NotNegative] = {}
    regions: tuple[Box, ...] = ()


class Instrument(Word, frozen=True, kw_only=True):
    """What is driven: ``twin`` runs one in this process, ``bridge`` goes over the wire.

    ``endpoint`` is where a bridge listens; left out, a twin is served by a process of its own for the run. ``world``
    (one of the twin's, or ``standard`` to calibrate on) and ``seed`` choose its specimen, or ``specimen`` names a file
    with a measured micrograph to use as one. ``image`` names one whose structure a world's specimen starts with;
    ``specimen_pixel_nm`` is how large the pixels of either are, where the file does not say or is not to be believed.
    ``contamination_nm_per_e_per_A2`` is how much carbon the beam leaves on a world (0: none). ``misaligned`` is the
    seed of hidden errors of the twin's stage, beam shift, scan, lens and spectrometer; left out, it is as it says.
    ``calibration`` is a file of `adaptem calibrate` through which the twin is driven; a bridge at an endpoint applies
    its own. ``readout`` is gain, offset and noise of its detectors, by the names of `digital_twin.readout.Readout`;
    left out, they are ideal. ``camera`` is what the sensor of its camera does to broad-beam images and patterns, by the
    names of `digital_twin.camera.Camera`, laid over those of a CCD; each is off at 0. ``conditions`` is what drifts,
    shakes and ages, by the names of `digital_twin.conditions.Conditions`, laid over those of the world; each is off at
    0. ``column`` are those of `digital_twin.detectors.Column` that `agent.twins.COLUMN` names, laid over the world's;
    each is off at 0. In ``stepped`` time only commands pass time: a seed gives one record; in ``real`` time the wall
    clock does, ``speed`` times as fast. ``keys`` is the file that `adaptem keys make` wrote for this client of the
    bridge; without it only a bridge on this machine can be reached.
    """

    kind: Literal["twin", "bridge"] = "twin"
    endpoint: Text | None = None
    keys: Text | None = None
    world: Name = "growth"
    specimen: Text | None = None
    image: Text | None = None
    specimen_pixel_nm: Positive | None = None
    contamination_nm_per_e_per_A2: NotNegative = 0.0
    misaligned: Count | None = None
    calibration: Text | None = None
    readout: dict[Name, Number] = {}
    camera: dict[Name, Number] = {}
    conditions: dict[Name, Number] = {}
    column: dict[Name, NotNegative] = {}
    seed: Count = 0
    time: Literal["stepped", "real"] = "stepped"
    speed: Positive = 1.0


class Budget(Word, frozen=True, kw_only=True):
    """What the run may spend: incident electrons, seconds on the specimen's clock, and turns, if they are limited."""

    electrons: Positive
    duration_s: Positive
    turns: Size | None = None


class PerceptionChoice(Word, frozen=True, kw_only=True):
    """Who perceives, and its settings, by name; those left out keep their defaults.

    ``analyst`` knows particles of one material and how they grow; ``surveyor`` knows nothing of the specimen;
    ``reader`` has learned to see the fields of a world, whichever it is.
    """

    name: Literal["analyst", "surveyor", "reader"] = "analyst"
    settings: dict[Name, Setting] = {}


class PolicyChoice(Word, frozen=True, kw_only=True):
    """Which policy decides, and its settings, by name; those left out keep their defaults."""

    name: Name
    settings: dict[Name, Setting] = {}


class ReviewChoice(Word, frozen=True, kw_only=True):
    """Who looks at a proposal before it runs.

    What lies inside ``envelope`` (ranges that narrow those of the limits, by the same names) goes to the instrument.
    What lies outside is refused in ``autonomous`` mode and put to a person in ``approval`` mode; there an empty
    envelope means that everything is. ``timeout_s`` is how long a person is waited for; meanwhile, by ``waiting``, the
    beam is blanked, what lies inside the envelope goes on, or the last field is watched, each pixel at no more than
    ``watch_e_per_A2_s``. Whoever approves what is proposed is asked less and less, but of ``ask_at_least`` of all
    decisions (1: all), and of what lies outside the envelope.
    """

    mode: Literal["autonomous", "approval"] = "autonomous"
    envelope: dict[Name, Range] = {}
    timeout_s: Positive = 60.0
    waiting: Literal["hold", "go_on", "watch"] = "hold"
    watch_e_per_A2_s: Positive = 0.01
    ask_at_least: Fraction = 1.0


class ReferencesChoice(Word, frozen=True, kw_only=True):
    """References that are taken now and then: ``dark_every_s`` of the instrument's clock; left out, none are.

    ``gain`` and ``zero_loss`` say how often and where those are taken. The set beam current is the reference of the
    measured one: where they part by another ``current_share`` of it, somebody is told.
    """

    dark_every_s: Positive | None = None
    gain: GainReference | None = None
    zero_loss: ZeroLossReference | None = None
    current_share: Positive = 0.1


class RecordChoice(Word, frozen=True, kw_only=True):
    """Where the record goes: a folder that does not exist yet; left out, the command line names one."""

    folder: Text | None = None


class WatchChoice(Word, frozen=True, kw_only=True):
    """How the frames of a stream are watched one by one; without it they are not.

    ``urgent`` are the kinds of events (``change``, ``lost_signal``, ``saturation``) that blank the beam and end the
    acquisition, so that the agent decides at once. Around those in ``save`` frames are written, from ``before_s``
    before to ``after_s`` after, ``most_bytes`` in the whole run; up to ``memory_bytes`` of frames are held for that.
    ``alarms`` tells when the watcher speaks.
    """

    urgent: tuple[EventKind, ...] = ()
    save: tuple[EventKind, ...] = ("change", "lost_signal", "saturation")
    before_s: NotNegative = 1.0
    after_s: NotNegative = 1.0
    memory_bytes: Positive = 256e6
    most_bytes: NotNegative = 10e9
    alarms: WatchSettings = WatchSettings()


class Park(Word, frozen=True, kw_only=True):
    """Where the instrument is left when a run ends: what is not named here stays as it is."""

    go: Go = Go()
    set: Settings = Settings()


class Config(Word, frozen=True, kw_only=True):
    """All that decides a run. The same tree and seed in stepped time give the same record.

    ``rivals`` are the settings, by name, of other policies that this one is compared with; left out, their defaults.
    """

    goal: Goal
    instrument: Instrument = Instrument()
    limits: Limits
    budget: Budget
    perception: PerceptionChoice = PerceptionChoice()
    policy: PolicyChoice
    rivals: dict[Name, dict[Name, Setting]] = {}
    references: ReferencesChoice = ReferencesChoice()
    review: ReviewChoice = ReviewChoice()
    record: RecordChoice = RecordChoice()
    watch: WatchChoice | None = None
    park: Park | None = None
    notify: Notify = Notify()

    def settings_of(self, policy: str) -> dict[str, Setting]:
        """The settings of a policy by name; none where it is to have its defaults."""
        return self.policy.settings if policy == self.policy.name else self.rivals.get(policy, {})


class ConfigErrors(ValueError):
    """All that is wrong with a configuration, one complaint a line, each with its path in the file."""

    def __init__(self, source: str, errors: Sequence[str]) -> None:
        self.source = source
        self.errors = tuple(errors)
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__("\n".join([f"{count} in {source}", *(f"  {error}" for error in errors)]))


def load(path: Path | str, overrides: Sequence[str] = (), more: Mapping[type, Check] | None = None) -> Config:
    """Read a configuration from TOML (or the JSON that ``dump`` wrote), with overrides like ``budget.electrons=1e9``.

    ``more`` adds checks by struct, for what only those know who make the parts that the configuration names.

    Raises:
        ConfigErrors: everything that is wrong with the file and the overrides.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigErrors(str(path), [f"cannot be read: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:  # of syntax, encoding or nesting
        raise ConfigErrors(str(path), [f"not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}"]) from None
    return from_table(table, overrides, str(path), more)


def from_table(
    table: dict[str, Any],
    overrides: Sequence[str] = (),
    source: str = "the configuration",
    more: Mapping[type, Check] | None = None,
) -> Config:
    """Decode a configuration from plain tables; what ``load`` does after reading the file.

    Raises:
        ConfigErrors: everything that is wrong.
    """
    errors: Errors = []
    for override in overrides:
        table = _overridden(table, override, errors)
    config, found = decode_table(Config, table, "", _both(CHECKS, more or {}))
    if config is None or errors:
        raise ConfigErrors(source, errors + found)
    return config


def dump(config: Config) -> bytes:
    """Write a configuration as JSON that ``load`` reads back as the same tree."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def _overridden(table: dict[str, Any], override: str, errors: Errors) -> dict[str, Any]:
    """The table with one ``a.b=value`` put in; the value is TOML, or a plain word."""
    path, equals, text = override.partition("=")
    keys = _keys(path)
    if not equals or not keys:
        errors.append(f"--set {override}: expected PATH=VALUE, such as budget.electrons=1e9")
        return table
    result = node = dict(table)
    for key in keys[:-1]:
        below = node.get(key, {})
        if not isinstance(below, dict):
            errors.append(f"--set {override}: {key} is a value, not a table")
            return table
        node[key] = node = dict(below)
    node[keys[-1]] = toml_value(text.strip())
    return result


def _keys(path: str) -> list[str]:
    """The keys of a path, quoted where they hold dots (``policy.settings."view.pixels"``); none of what is no path."""
    try:
        node: object = tomllib.loads(f"{path} = 0")
    except tomllib.TOMLDecodeError:
        return []
    keys = []
    while isinstance(node, dict):
        ((key, node),) = node.items()
        keys.append(key)
    return keys


def toml_value(text: str) -> object:
    """The value a person typed: TOML if it is that, else the text itself."""
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _both(first: Mapping[type, Check], second: Mapping[type, Check]) -> dict[type, Check]:
    def check(kind: type, got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        return chain.from_iterable(checks[kind](got) for checks in (first, second) if kind in checks)

    return {kind: partial(check, kind) for kind in {**first, **second}}


def _check_range(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "low" in got and "high" in got and got["low"] > got["high"]:
        yield "", f"low {got['low']:g} is above high {got['high']:g}"


def _check_limits(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for table, names in (("ranges", RANGED), ("slew", RANGED), ("on_loss", frozenset(Holder.__struct_fields__))):
        for name in got.get(table, {}):
            if name not in names:
                yield f"{table}.{name}", f"no such setting{nearest(name, names)}"


def _check_instrument(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if got.get("kind") == "twin" and got.get("endpoint") is not None:
        yield "endpoint", 'only a bridge has one: set kind = "bridge" or leave it out'
    if got.get("time") == "stepped" and got.get("speed", 1.0) != 1.0:
        yield "speed", 'only real time has one: set time = "real" or leave it out'
    if got.get("keys") is not None and got.get("endpoint") is None:
        yield "keys", "only an endpoint needs them: set endpoint or leave them out"
    if got.get("specimen_pixel_nm") is not None and got.get("specimen") is None and got.get("image") is None:
        yield "specimen_pixel_nm", "only a file has pixels: set specimen or image, or leave it out"
    for name in ("misaligned", "calibration"):
        if got.get(name) is not None and got.get("endpoint") is not None:
            yield name, "only a twin of this config has one: whoever serves the endpoint chooses"
    if got.get("endpoint") is not None:
        try:
            if not parse(got["endpoint"]).is_local and got.get("keys") is None:
                yield "keys", f"{got['endpoint']} is not on this machine: the file of this client's keys is needed"
        except ValueError as error:
            yield "endpoint", str(error).removeprefix("endpoint = ")


def _check_notify(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    webhook = got.get("webhook")
    if webhook is not None and not webhook.startswith(("https://", "http://")):
        yield "webhook", f"{webhook!r} is no address: https://... is needed"


def _check_config(got: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    limits = cast(Limits | None, got.get("limits"))
    if limits is None:
        return
    budget = cast(Budget | None, got.get("budget"))
    if budget is not None and budget.electrons > limits.max_electrons:
        yield "budget.electrons", f"{budget.electrons:g} is above limits.max_electrons = {limits.max_electrons:g}"
    park = cast(Park | None, got.get("park"))
    if park is not None:
        yield from _outside("park.go", park.go, limits)
        yield from _outside("park.set.optics", park.set.optics, limits)
        yield from _outside("park.set.holder", park.set.holder, limits)
    references = cast(ReferencesChoice | None, got.get("references"))
    for name in ("gain", "zero_loss") if references is not None else ():
        reference = cast(GainReference | ZeroLossReference | None, getattr(references, name))
        if reference is not None:
            path, at = f"references.{name}.at", reference.at
            yield from _outside(f"{path}.go", at.go, limits)
            yield from _outside(path, Optics(beam_current_pA=at.beam_current_pA), limits)
    review = cast(ReviewChoice | None, got.get("review"))
    for name, complaint in outside_limits(review.envelope if review is not None else {}, limits):
        yield f"review.envelope.{name}", complaint


def outside_limits(envelope: Mapping[str, Range], limits: Limits) -> Iterator[tuple[str, str]]:
    """Say which ranges of an envelope are none, or wider than the limits allow: names and complaints."""
    for name, asked in envelope.items():
        allowed = limits.ranges.get(name)
        if allowed is None:
            yield name, f"not in limits.ranges{nearest(name, limits.ranges)}"
        elif asked.low > asked.high:
            yield name, f"low {asked.low:g} is above high {asked.high:g}"
        elif asked.low < allowed.low or asked.high > allowed.high:
            passes = f"limits.ranges.{name} = {allowed.low:g}..{allowed.high:g}"
            yield name, f"{asked.low:g}..{asked.high:g} passes {passes}"


def _outside(path: str, group: Go | Optics | Holder, limits: Limits) -> Iterator[tuple[str, str]]:
    for name in RANGED.intersection(group.__struct_fields__):
        value, allowed = getattr(group, name), limits.ranges.get(name)
        if value is None:
            continue
        if allowed is None:
            yield f"{path}.{name}", "not in limits.ranges: it cannot be set"
        elif not allowed.low <= value <= allowed.high:
            limit = f"limits.ranges.{name} = {allowed.low:g}..{allowed.high:g}"
            yield f"{path}.{name}", f"{value:g} passes {limit}"


CHECKS: Mapping[type, Check] = {
    Range: _check_range,
    Limits: _check_limits,
    Instrument: _check_instrument,
    Notify: _check_notify,
    Config: _check_config,
}
