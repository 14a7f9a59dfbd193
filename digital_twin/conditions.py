"""What the room, the stage and the lenses do by themselves during a session; every part is off at zero."""

from __future__ import annotations

from hardware_bridge.words import NotNegative, Positive, Word

ROOM_K = 298.0

LAG_S = 20.0
"""Time constant with which a specimen follows the holder's set points, ``lag_s`` of what follows them (off: PROMPT_S).

It stands between what was measured: chips heat to 1,070 K within 26 ms (H. Zhao et al., ACS Appl. Mater. Interfaces 16
(2024) 25080, abstract), liquid in a cell is exchanged within seconds by the fastest flow, two to three orders of
magnitude slower in others (S. Merkens et al., Nat. Commun. 15 (2024), s41467-024-46842-3), so within an hour.
"""
PROMPT_S = 1e-9


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

    Where the sizes are from (what was only read as an abstract is marked so); what no source could be opened for is an
    assumption of this twin, between the bounds that are given:

    - ``decay_nm``, ``wander_nm`` and their times: makers promise less than 1 nm/min once settled; TESCAN accepts its
      TENSOR at 5 nm/min, mean over a minute, 300 s after stage moves (``specification_criteria.py`` of Expert PI). Of
      the decay 1.4 nm/min are left then, along each axis, and the wander moves 5 nm in a minute. That drift is fastest
      after a holder was put in, dies away and never ends: P. Potapov and G. Guzzinati, arXiv 2605.11018 (abstract).
      Nion Swift's usim, where its drift is on, has 10 and 15 nm to either side in six and four minutes.
    - ``jitter_nm``, ``jitter_s``: between what P. M. Voyles took from a quiet Titan (his Igor code STEMDistortionStack:
      0.015 Angstrom, lines from 30 Hz to 2.7 kHz) and the 0.3 pixels a line of T. Aarholt's genSTEM, 0.15 nm at 0.5 nm
      a pixel. ``mains_nm``: none; genSTEM has half a pixel, of 0.01 nm.
    - ``creep_share``, ``creep_nm``, ``creep_s``: SerialEM waits 2 s after a stage move, and where it waits for drift to
      die away, for less than 1 nm/s, at most 60 s. These leave 2.7 nm/s at the end of a long move, 1 nm/s 3 s later.
    - ``backlash_nm``: C. Xu's notes on SerialEM move back by 25 nm to clear it; de-twin's ColumnRealism has 300 nm.
      What a driver claims, ``position_sd_nm``, is of the size of its backlash.
    - ``C10_wander_nm``, ``focus_s``: that focus and twofold astigmatism of a corrected microscope wander by nanometres
      within minutes was measured by K. Kimoto and K. Ishizuka, Ultramicroscopy 111 (2011), "Rapid measurement of
      low-order aberrations". Supplies as good as 10 ppm, the least that a microscope needs (Y. Liao, globalsino.com,
      EM/page4256), move the focus by Cc (dE/E + 2 dI/I), 36 nm, and the specimen drifts along z as well.
    - ``C12_wander_nm`` to ``C30_wander_um``: none; that they drift too, within minutes: arXiv 2601.20561 (abstract).
    - ``zero_loss_wander_eV``: none; 2 ppm of 200 kV, as supplies are specified (an abstract on filters), are 0.4 eV.
    - ``current_decay_per_h``: none, as of a Schottky emitter; LaB6 loses 0.001 an hour (globalsino.com, EM/page3695).
    - ``heat_nm_per_K``, ``heat_s``: none; see ``film.HEATED``.
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
