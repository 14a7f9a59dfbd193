"""What was seen and what is claimed: percepts, the card of a world, and the report on its targets.

These words live here because every room may import them: measurement writes them, scores and policies read them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from hardware_bridge.messages import Mode
from hardware_bridge.words import Count, Fraction, Name, NotNegative, Number, Positive, Text, Word

Sd = Annotated[float, Meta(ge=0, le=1e15)]
EventKind = Literal["change", "lost_signal", "saturation"]

GAIN_REFERENCE = "gain-reference"
"""How the ids of commands begin that look at an evenly lit, empty place: of the detector, not of the specimen."""


class Estimate(Word, frozen=True, kw_only=True):
    """A number with its standard deviation, in the unit that its name ends with."""

    value: Number
    sd: Sd


class Particle(Word, frozen=True, kw_only=True):
    """One particle (or bead) in one image, in the registered specimen frame; ``track`` is kept over the run.

    ``real`` is the probability that it is a particle of the target material and not debris.
    """

    track: Count
    x_nm: Number
    y_nm: Number
    radius_nm: NotNegative
    x_sd_nm: Sd
    y_sd_nm: Sd
    radius_sd_nm: Sd
    snr: NotNegative
    real: Fraction = 1.0


class FrameEvent(Word, frozen=True, kw_only=True):
    """Something sudden in a stream, seen by a watcher: what, in which frame, begun when, how much against which limit.

    ``x_px`` and ``y_px`` tell where in the frame a change is largest.
    """

    kind: EventKind
    epoch: Count
    frame: Count
    time_s: Number
    value: Number
    limit: Number
    x_px: Number | None = None
    y_px: Number | None = None


class Percept(Word, frozen=True, kw_only=True):
    """What perception made of one observation: where it looked, how good the data are, and what they say.

    ``x_nm``, ``y_nm`` is the registered centre of the field in the specimen frame and ``width_nm``, ``height_nm`` its
    size. ``quality`` holds figures without uncertainty (``snr``, ``sharpness``, ``saturated_share``,
    ``electrons_per_pixel``, ...). ``estimates`` are named with their unit last (``drift_x_nm``, ``defocus_nm``,
    ``thickness_t_over_lambda``, ...). ``events`` are for the record, ``alarms`` for a person, at once.
    """

    command_id: Name
    mode: Mode | None
    start_s: Number
    end_s: Number
    x_nm: Number = 0.0
    y_nm: Number = 0.0
    width_nm: NotNegative = 0.0
    height_nm: NotNegative = 0.0
    quality: dict[Name, Number] = {}
    estimates: dict[Name, Estimate] = {}
    particles: tuple[Particle, ...] = ()
    novelty: NotNegative = 0.0
    events: tuple[Text, ...] = ()
    alarms: tuple[Text, ...] = ()


class Target(Word, frozen=True, kw_only=True):
    """One quantity that a world asks for.

    A field has a value per time and cell, flattened in the order (time, row, column) over the card's grid; a global
    has one. ``prior_mean`` and ``prior_sd`` come from 200 seeds that are used for nothing else. ``crps_scale`` is the
    expected sum over the target's values of the CRPS of that prior, the denominator of the score.
    """

    name: Name
    kind: Literal["field", "global"]
    unit: Text
    weight: NotNegative
    prior_mean: tuple[Number, ...]
    prior_sd: tuple[Sd, ...]
    crps_scale: Positive


class Card(Word, frozen=True, kw_only=True):
    """What is public about a world: extent, grid, times, budgets, and the prior of each target.

    ``extent_nm`` is the edge of the square specimen area, centred on the origin; ``cells`` the number of grid cells
    along it; ``times_s`` when the fields are asked for, counted like ``duration_s`` on the specimen's clock from the
    start. ``kernel`` holds what the prior ensemble says about correlation (``<target>.shared_share``,
    ``<target>.time_s``, ``<target>.length_nm``). ``headroom`` says what choosing where to look is worth, as
    experiments/headroom found it; it is empty where that was not played since the world last changed.
    """

    world: Name
    version: Count
    extent_nm: Positive
    cells: Count
    times_s: tuple[Number, ...]
    duration_s: Positive
    budget_electrons: Positive
    max_fluence_e_per_A2: Positive
    targets: tuple[Target, ...]
    kernel: dict[Name, Number] = {}
    sources: tuple[Text, ...] = ()
    headroom: Text = ""


class TargetReport(Word, frozen=True, kw_only=True):
    """What is claimed about one target: Gaussian mean and sd for each of its values, in the order of the card."""

    mean: tuple[Number, ...]
    sd: tuple[Sd, ...]


class Report(Word, frozen=True, kw_only=True):
    """What is claimed about all targets of a world; its score compares it with the truth."""

    world: Name
    targets: dict[Name, TargetReport]


def prior_report(card: Card) -> Report:
    """The report of someone who has seen nothing: the prior of every target."""
    return Report(
        world=card.world,
        targets={t.name: TargetReport(mean=t.prior_mean, sd=t.prior_sd) for t in card.targets},
    )
