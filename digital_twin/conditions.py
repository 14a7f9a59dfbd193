"""What the room, the stage and the lenses do by themselves during a session; every part is off at zero."""

from __future__ import annotations

from hardware_bridge.words import NotNegative, Positive, Word

ROOM_K = 298.0


class Conditions(Word, frozen=True, kw_only=True):
    """How much a microscope drifts, shakes and ages; the defaults are those of a side-entry holder left for a while.

    ``decay_nm`` is the sd, along x and y, of the drift that is still to come after the holder was put in; it decays
    with ``decay_s``. ``wander_nm`` is the sd of its random part and ``jitter_nm`` of the shaking of the probe, each
    with its correlation time; ``mains_nm`` is the amplitude of what a stray field of 50 Hz does. Of a stage move
    ``creep_share``, at most ``creep_nm``, is still to come when it ends and decays with ``creep_s``.
    ``backlash_nm`` is what a stage axis stands further on after a move in negative direction, and ``position_sd_nm``
    how well the driver claims to know where it stands. ``C10_wander_nm`` to ``C30_wander_um`` are sds of the drift of
    aberrations, of C12 to C23 of each of their two directions; they change with ``focus_s`` (C10) and
    ``aberration_s``. ``zero_loss_wander_eV`` moves the spectrum. The beam current falls by ``current_decay_per_h`` an
    hour, as a share of what it is. Of the holder's heat ``heat_nm_per_K`` is the sd, along x and y, of how far the
    specimen is carried off for each kelvin above the room's ``ROOM_K``; it follows the set point with ``heat_s``.

    Sizes: drift below 1 nm/min once settled is what makers promise for side-entry stages; that focus and twofold
    astigmatism of a corrected microscope wander by nanometres within minutes was measured by K. Kimoto and K. Ishizuka,
    Ultramicroscopy 111 (2011), "Rapid measurement of low-order aberrations". The remaining defaults are assumptions.
    """

    decay_nm: NotNegative = 25.0
    decay_s: Positive = 150.0
    wander_nm: NotNegative = 6.0
    wander_s: Positive = 120.0
    jitter_nm: NotNegative = 0.15
    jitter_s: Positive = 0.02
    mains_nm: NotNegative = 0.0
    creep_share: NotNegative = 0.02
    creep_nm: NotNegative = 8.0
    creep_s: Positive = 3.0
    backlash_nm: NotNegative = 12.0
    position_sd_nm: NotNegative = 10.0
    C10_wander_nm: NotNegative = 60.0
    focus_s: Positive = 200.0
    C12_wander_nm: NotNegative = 0.0
    C21_wander_nm: NotNegative = 0.0
    C23_wander_nm: NotNegative = 0.0
    C30_wander_um: NotNegative = 0.0
    aberration_s: Positive = 600.0
    zero_loss_wander_eV: NotNegative = 0.0
    zero_loss_s: Positive = 300.0
    current_decay_per_h: NotNegative = 0.0
    heat_nm_per_K: NotNegative = 0.0
    heat_s: Positive = 60.0


STILL = Conditions(
    decay_nm=0.0,
    wander_nm=0.0,
    jitter_nm=0.0,
    creep_share=0.0,
    creep_nm=0.0,
    backlash_nm=0.0,
    position_sd_nm=0.0,
    C10_wander_nm=0.0,
)
"""A microscope in which nothing moves by itself."""
