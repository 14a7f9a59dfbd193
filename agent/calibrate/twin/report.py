"""What was found, as a table for a person, as tables of a configuration, and as JSON."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from agent.calibrate.twin.found import Found, Parameter

TABLES = {
    "instrument.readout": ("gain_counts_per_electron", "offset_counts", "dark_counts_per_s", "read_noise_counts"),
    "instrument.column": ("source_fwhm_nm",),
    "instrument.conditions": (
        "decay_nm",
        "decay_s",
        "wander_nm",
        "wander_s",
        "C10_wander_nm",
        "focus_s",
        "current_decay_per_h",
    ),
}
"""The tables of a configuration that make a twin, and their keys."""

HEAD = """\
# A twin of the instrument that recorded {source}.
# Put these tables into a configuration; what is left out keeps its default.
"""


def table(found: Found) -> str:
    """All parameters as text, one a line; those that the data do not tell after the others, with the reason."""
    rows = [("parameter", "value", "unit", "rests on")]
    rows += [(each.name, spoken(each), each.unit, each.note) for each in found.parameters if each.is_identifiable]
    wide = [max(len(row[k]) for row in rows) for k in range(3)]
    lines = ["  ".join([*(c.ljust(w) for c, w in zip(row, wide, strict=False)), row[3]]).rstrip() for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    reasons: dict[str, list[str]] = {}
    for each in found.parameters:
        if each.value is None:
            reasons.setdefault(each.note, []).append(each.name)
    return "\n".join(lines + [f"not told by these data: {', '.join(names)}: {why}" for why, names in reasons.items()])


def spoken(parameter: Parameter) -> str:
    """A value to the second digit of its error."""
    value, sd, ln_sd = parameter.value, parameter.sd, parameter.ln_sd
    if value is None or sd is None:
        return "-"
    digits = min(max(1 - math.floor(math.log10(sd)), 0), 6) if sd > 0 else 6
    if ln_sd is not None and ln_sd > 0.1:
        return f"{value:.{digits}f} times or over {math.exp(ln_sd):.2f}"
    return f"{value:.{digits}f} +- {sd:.{digits}f}"


def toml(found: Found) -> str:
    """The part of a configuration that makes such a twin, with errors and reasons as comments.

    What the data do not tell is left out: the twin then keeps its default. What no key stands for is told at the end.
    """
    named = {each.name: each for each in found.parameters}
    lines = [HEAD.format(source=found.source)]
    for name, fields in TABLES.items():
        lines.append(f"[{name}]")
        for each in [named.pop(field) for field in fields if field in named]:
            if each.value is None:
                lines.append(f"# {each.name}: not told by these data: {each.note}")
            else:
                lines.append(f"{each.name} = {float(f'{each.value:.6g}')!r}  # {spoken(each)} {each.unit}")
        lines.append("")
    told = [each for each in named.values() if each.value is not None]
    lines += [f"# {each.name}: {spoken(each)} {each.unit}: {each.note}" for each in told]
    return "\n".join(lines) + "\n"


def write(found: Found, path: Path) -> None:
    """Write the tables of a configuration, and all numbers as JSON beside it; OSError where that is not possible."""
    path.write_text(toml(found), encoding="utf-8")
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
