"""The settings of the Bayesian policy: everything that was tuned, in one frozen tree that can be printed."""

from __future__ import annotations

from hardware_bridge.words import Count, Fraction, NotNegative, Positive, Size, Word
from policies.commands import View
from policies.focus import FocusSettings


class AnalystSettings(Word, frozen=True, kw_only=True):
    """What the analyst gets out of an image, as far as planning needs it (see ``analyst``).

    ``visibility`` is the signal-to-noise of a sphere of 1 nm radius at 1 electron/nm^2 without blur until images say
    better; features are found from ``rose_snr`` on. ``radius_spread`` is the relative sd of radii in a cell, and cells
    are measured where at least ``least_share`` of them was seen.
    """

    visibility: Positive = 0.1
    rose_snr: Positive = 5.0
    radius_spread: Positive = 0.4
    least_share: Fraction = 0.3


class BeamSettings(Word, frozen=True, kw_only=True):
    """How the beam drives the specimen: radical level per dose rate, and how far radicals reach.

    No image may expose its field for more than ``most_step_s`` at unit level: particles that jump between two looks
    are not recognised.
    """

    level_per_e_per_A2_s: NotNegative = 20.0
    halo_nm: Positive = 120.0
    most_step_s: Positive = 15.0


class ImagingSettings(Word, frozen=True, kw_only=True):
    """Which images are considered: fields of so many cells along an edge, and how fast to spend electrons.

    ``spends`` are multiples of the current at which electrons and time run out together.
    """

    survey_cells: tuple[Size, ...] = (2,)
    tracking_cells: tuple[Size, ...] = (1,)
    pixels: Size = 128
    dwell_s: Positive = 1e-5
    spends: tuple[Positive, ...] = (0.25, 1.0, 2.0, 6.0)
    offered: Size = 4


class RefocusSettings(Word, frozen=True, kw_only=True):
    """How far apart a pair is taken, how well it tells focus, and over how many images that pays.

    An image is half of a pair for ``recent_s`` if its blur is known to ``most_blur_share``. ``spend`` is how much
    faster than evenly electrons are spent on it. Focus is kept whatever else pays: where its sd over the specimen is
    above ``tolerance_nm``, a pair is due ``every`` images after the last one.
    """

    spend: Positive = 2.5
    offset_nm: Positive = 400.0
    pair_sd_nm: Positive = 50.0
    recent_s: Positive = 20.0
    most_blur_share: Positive = 0.4
    horizon_images: Positive = 30.0
    places: Size = 4
    tolerance_nm: Positive = 180.0
    every: Size = 8


class SpectrumSettings(Word, frozen=True, kw_only=True):
    """How a spectrum of a feature is taken and how likely it tells what the feature is.

    Whatever else pays, what images say of features is checked by a spectrum after every ``every`` images.
    """

    view: View = View(mode="EELS", fov_nm=32.0, pixels=8, dwell_s=5e-3)
    power: Fraction = 0.8
    attempts: Size = 2
    offered: Size = 3
    every: Size = 25


class FitSettings(Word, frozen=True, kw_only=True):
    """When hyperparameters are fitted: started after every ``every`` turns, joined ``turns`` later; 0 never."""

    every: Count = 40
    turns: Size = 20
    most_measurements: Size = 150


class BayesSettings(Word, frozen=True, kw_only=True):
    """All settings of the Bayesian policy.

    ``electron_weight`` is what a share of the electrons left is worth against the same share of the time left. A
    measurement that tells less than ``least_nats`` about its own cell is not kept, which bounds the cost of a long
    run.
    """

    imaging: ImagingSettings = ImagingSettings()
    analyst: AnalystSettings = AnalystSettings()
    beam: BeamSettings = BeamSettings()
    refocus: RefocusSettings = RefocusSettings()
    spectrum: SpectrumSettings = SpectrumSettings()
    fit: FitSettings = FitSettings()
    focus: FocusSettings = FocusSettings()
    electron_weight: NotNegative = 1.0
    least_nats: NotNegative = 0.15
