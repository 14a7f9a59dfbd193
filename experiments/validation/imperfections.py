"""Every imperfection of the instrument: its default, where that is from, and what switches it off.

The values are those of the code. ``ideal`` is an apparatus without any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from agent.twins import tuning_apparatus
from digital_twin import conditions, holder, misalignment
from digital_twin.apparatus import PLAIN, START_OPTICS, Apparatus
from digital_twin.contamination import Contamination
from digital_twin.misalignment import NONE, ONE
from digital_twin.world import apparatus_of
from digital_twin.worlds import WORLDS
from hardware_bridge.words import Word

INTRO = """\
What of the instrument is not ideal, as a twin has it that is told nothing else, and below what is different in some
worlds. A name may be a constant that instruments are drawn by. With all of them off, and with one after the other off,
tests look at what is recorded. The docstrings of the twin say more on the sources."""
COLUMNS = """\
| imperfection | default | source, or assumption of this twin | switched off by |
|---|---|---|---|"""
OTHERS = """\
| instrument | what differs | source, or assumption of this twin |
|---|---|---|"""
NO_SOURCE = "assumption, no source could be opened"


@dataclass(frozen=True)
class Imperfection:
    """One line of the table: names in ``of`` hold the default, ``part`` of an apparatus takes the values of ``off``.

    ``part`` is a path like ``column.xrays``, or, of what stands beside the apparatus, the name of a class.
    """

    says: str
    of: object
    names: tuple[str, ...]
    source: str
    part: str
    off: Mapping[str, Any]

    @property
    def of_apparatus(self) -> bool:
        """Whether it is a part of the apparatus that takes the values."""
        return self.part[0].islower()


def ideal(apparatus: Apparatus = PLAIN, but: Imperfection | None = None) -> Apparatus:
    """An apparatus with every imperfection off, except for one if one is given."""
    for each in IMPERFECTIONS:
        if each.of_apparatus and each is not but:
            apparatus = changed(apparatus, each.part, each.off)
    return apparatus


def changed(whole: Any, path: str, values: Mapping[str, Any]) -> Any:
    """The whole with other values in one of its parts."""
    name, _, rest = path.partition(".")
    part = getattr(whole, name)
    if rest:
        part = changed(part, rest, values)
    else:
        part = msgspec.structs.replace(part, **values) if isinstance(part, Word) else replace(part, **values)
    return replace(whole, **{name: part})


def text() -> str:
    """All imperfections as a table, with what is to be said of it."""
    rows = f"{INTRO}\n\n{COLUMNS}"
    for each in IMPERFECTIONS:
        default = ", ".join(f"`{name}` {_written(getattr(each.of, name))}" for name in each.names)
        off = ", ".join(f"`{name}` {_written(value)}" for name, value in each.off.items())
        rows += f"\n| {each.says} | {default} | {each.source} | `{each.part}`: {off} |"
    others = [f"| {name} | {different(apparatus)} | {DIFFERENT[name]} |" for name, apparatus in instruments().items()]
    return "\n".join([rows, "", OTHERS, *others])


def instruments() -> dict[str, Apparatus]:
    """Those of the twin's instruments that are not as imperfect as a plain one."""
    found = {name: apparatus_of(kind.facts) for name, kind in WORLDS.items()} | {"tune": tuning_apparatus(0, ())}
    return {name: apparatus for name, apparatus in found.items() if different(apparatus)}


def different(apparatus: Apparatus) -> str:
    """What of its imperfections is not that of a plain one, with values."""
    found: dict[str, str] = {}
    for each in IMPERFECTIONS:
        for name in each.names if each.of_apparatus else ():
            values = [getattr(_at(whole, each.part), name, None) for whole in (apparatus, PLAIN)]
            if values[0] != values[1]:
                found[f"`{name}` {_written(values[0])}"] = name
    return ", ".join(found)


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_written(each) for each in value)})"
    return "none" if value == NONE else f"{value:g}"


def _at(whole: Any, path: str) -> Any:
    for name in path.split("."):
        whole = getattr(whole, name)
    return whole


def _off(*names: str) -> Mapping[str, float]:
    return dict.fromkeys(names, 0.0)


def _condition(says: str, names: str, source: str, off: str = "") -> Imperfection:
    """Of the conditions: the first name, or those that are given, are zero where it is off."""
    named = tuple(names.split())
    return Imperfection(says, PLAIN.conditions, named, source, "conditions", _off(*(off.split() or named[:1])))


def _part(says: str, part: str, names: str, source: str, **off: Any) -> Imperfection:
    """Of another part of the apparatus: all names are zero where it is off, or what is given."""
    named = tuple(names.split())
    return Imperfection(says, _at(PLAIN, part), named, source, part, off or _off(*named))


def _drawn(says: str, names: str, source: str, **off: Any) -> Imperfection:
    """Of an instrument whose calibration is drawn: the constants that it is drawn by."""
    return Imperfection(says, misalignment, tuple(names.split()), source, "hidden", off)


DETWIN = "de-twin's ColumnRealism"
EXPERT_PI = "TESCAN accepts (Expert PI)"
VULOVIC = "InSilicoTEM (Vulovic 2013)"

IMPERFECTIONS = (
    _condition(
        "drift that dies away",
        "decay_nm decay_s",
        f"{EXPERT_PI} 5 nm/min 300 s after stage moves (here 1.4 and the wander's 5); makers: under 1 in the end",
    ),
    _condition("drift that does not", "wander_nm wander_s", "the same; usim: up to 15 nm, periods of minutes"),
    _condition(
        "shaking of the probe",
        "jitter_nm jitter_s",
        "between a quiet Titan (Voyles: 0.0015 nm, 30 Hz to 2.7 kHz) and genSTEM's 0.3 pixels a line",
    ),
    _condition("stray field of the mains", "mains_nm", "none; genSTEM: 50 Hz, half a pixel of 0.01 nm"),
    _condition(
        "settling of the stage",
        "creep_share creep_nm creep_s",
        "SerialEM: 2 s after a move, and it takes 1 nm/s for settled; here 2.7 nm/s at first, 1 nm/s after 3 s",
        off="creep_share creep_nm",
    ),
    _condition(
        "backlash, as worlds have it",
        "backlash_nm",
        f"Xu's notes on SerialEM: 25 nm clear it; {DETWIN}: 300 nm",
    ),
    _condition("stage position as it is claimed", "position_sd_nm", f"{NO_SOURCE}; the size of its backlash"),
    _condition(
        "drift of focus",
        "C10_wander_nm focus_s",
        "nanometres in minutes where corrected (Kimoto 2011); supplies of 10 ppm: 36 nm, and drift along z",
    ),
    _condition("drift of twofold astigmatism", "C12_wander_nm aberration_s", "none; worlds say which they have"),
    _condition("drift of coma", "C21_wander_nm", "the same; that it drifts within minutes: arXiv 2601.20561"),
    _condition("drift of threefold astigmatism", "C23_wander_nm", "the same"),
    _condition("drift of spherical aberration", "C30_wander_um", "the same"),
    _condition(
        "drift of the zero loss",
        "zero_loss_wander_eV zero_loss_s",
        "none; supplies specified to 2 ppm: 0.4 eV at 200 kV",
    ),
    _condition("fall of the current", "current_decay_per_h", "none (Schottky); LaB6 0.001 an hour (Liao, page 3695)"),
    _condition(
        "drift by heat", "heat_nm_per_K heat_s", f"none; where a chip is heated {NO_SOURCE}: a tenth of its heat"
    ),
    _part("backlash, elsewhere", "hidden", "backlash_nm", "as of the conditions", backlash_nm=(0.0, 0.0)),
    _drawn(
        "stage axes",
        "STAGE_TURN_DEG STAGE_STRETCH LEAN_DEG BACKLASH_NM",
        f"{DETWIN}, of image shifts: 3 deg, 5 %, skew of 2 %",
        stage_to_specimen=ONE,
    ),
    _drawn(
        "beam shift", "BEAM_TURN_DEG BEAM_STRETCH", f"{DETWIN}: 5 deg, 5 %, skew of 2 %", beam_shift_to_specimen=ONE
    ),
    _drawn("scan rotation", "SCAN_TURN_DEG", f"{DETWIN}: 2 deg", scan_rotation_deg=0.0),
    _drawn("pixel size", "PIXEL_STRETCH", f"{DETWIN}: 2 %; {EXPERT_PI} 3 %", pixel_size=1.0),
    _drawn("strength of C10", "DEFOCUS_STRETCH", f"{NO_SOURCE}; that it is not 1: list 3dem, 2008", defocus_gain=1.0),
    _drawn("zero of the energy axis", "ZERO_LOSS_eV", NO_SOURCE, zero_loss_eV=0.0),
    _part(
        "aberrations that are not known of", "hidden", "residual", "none; the bench of `tune` draws them", residual=NONE
    ),
    _part(
        "blur of the camera",
        "camera",
        "blur_loss noise_loss",
        f"UltraScan 1000: MTF 12 % at Nyquist; of the noise {NO_SOURCE}: between none and that of {VULOVIC}, 0.55",
    ),
    _part("electrons that the camera misses", "camera", "missed_share", f"{NO_SOURCE}: between 0 and {VULOVIC}, 0.6"),
    _part("coincidence", "camera", "coincidence_s", "none: a CCD does not count; Zambon 2024 for one that does"),
    _part("hot pixels", "camera", "hot_share hot_electrons_per_s", f"none, as in {VULOVIC}"),
    _part("wells of the camera", "camera", "full_well_electrons", f"{VULOVIC}: 16 bits, 15 counts an electron: 4,400"),
    _part(
        "gain of detectors",
        "readout",
        "gain_counts_per_electron",
        f"none; {VULOVIC}: 15 at 200 kV",
        gain_counts_per_electron=1.0,
    ),
    _part("offset of detectors", "readout", "offset_counts", "none; every camera's own"),
    _part("dark current", "readout", "dark_counts_per_s", f"none; {VULOVIC}: 0.11"),
    _part("read noise", "readout", "read_noise_counts", f"none; {VULOVIC}: 3"),
    _part("size of the source", "column", "source_fwhm_nm", "0.16 to 0.29 nm at 50 pA by brightness (JEOL; a Titan's)"),
    _part("energies in the beam", "column", "gun_fwhm_eV", "Schottky emitter (Liao, page 4960)"),
    _part(
        "resolution of spectra",
        "column",
        "energy_fwhm_eV",
        "1.5 channels; usim's 1.2 where channels are half as wide",
        energy_fwhm_eV=0.0,
        gun_fwhm_eV=0.0,
    ),
    _part("chromatic aberration", "column", "chromatic_mm", "a Titan's (thesis); de-twin: 1.4; ReciPro: 1 to 2"),
    _part("angles in a broad beam", "column", "source_angle_mrad", "ReciPro: 0.1 to 1; de-twin: 0.1"),
    _part("resolution of X-rays", "column.xrays", "resolution_eV", f"NeXLSpectrum: 132; {EXPERT_PI} 140"),
    _part("dead layer", "column.xrays", "dead_layer_nm", "abTEM's detector; NeXLSpectrum: 30"),
    Imperfection(
        "aberrations that are left",
        START_OPTICS,
        ("C12_nm", "C21_nm", "C23_nm", "C30_um"),
        f"C30: de-twin, of 0.5 to 2 mm (Liao, page 4235); of the others {NO_SOURCE}: C12 under a quarter wave",
        "optics",
        _off("C12_nm", "C21_nm", "C23_nm", "C30_um"),
    ),
    Imperfection(
        "contamination",
        Contamination(),
        ("nm_per_e_per_A2", "supply_e_per_A2_s"),
        f"none; where it is on, {NO_SOURCE}: orders of magnitude",
        "Contamination",
        _off("nm_per_e_per_A2"),
    ),
    Imperfection("noise of the holder's sensors", holder, ("NOISE",), NO_SOURCE, "TwinHolder", {"noise": (0.0,) * 3}),
    Imperfection(
        "lag of the holder",
        conditions,
        ("LAG_S",),
        "between 26 ms of a chip (Zhao 2024) and up to an hour of a flow cell (Merkens 2024)",
        "TwinHolder, and Window, GrowthWorld, Cathode, Front, Vacancies of the worlds",
        {"lag_s": conditions.PROMPT_S},
    ),
)

DIFFERENT = {
    "valence": "zero loss: 2 ppm of 200 kV (an abstract on filters); width: between the gun's 0.7 and usim's 1.2",
    "transformation": "heat: as above; source: assumption, 50 pA in 1 mrad need 1.6 nm at JEOL's brightness",
    "beam_sensitive": "source: assumption, 50 pA in 0.8 mrad need 2 nm at JEOL's brightness",
    "defects": "drift: makers, under 1 nm/min; shaking: Voyles, times three; gun: a cold one (Liao, page 4960); "
    "source: 50 pA by a brightness that goes as the voltage; focus and astigmatism: Kimoto 2011; the rest assumptions",
    "tune": "drift and shaking as in defects; source: assumption, 100 pA need 0.09 nm at JEOL's brightness",
}
