"""The twin against other people's codes and closed forms; writes RESULT.md.

python -m experiments.validation                 every check, and whether it catches its mutation
python -m experiments.validation optics waves    those areas alone; the rest of the table stays
python -m experiments.validation imperfections   no check: the table of imperfections as the code has them
python -m experiments.validation regenerate      the golden files anew, of those codes that are installed here
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.validation.check import Check

RESULT = Path(__file__).parent / "RESULT.md"
HEAD = """# Is the physics of the twin right?

Every check is a deviation, at best 0, from a code or a closed form that nobody here wrote. Each is made again with a
mistake in the twin, named in the last columns: the deviation must then be beyond the tolerance. `references/` holds the
scripts that made the golden files, `python -m experiments.validation regenerate` runs them; this table is written by
`python -m experiments.validation`.
"""
COLUMNS = """\
| check | reference | achieved | tolerance | mutation | achieved with it |
|---|---|---|---|---|---|"""
WRONG = " **WRONG**"
IMPERFECTIONS = "imperfections"


def main() -> int:
    """Check and write the table, or make the golden files."""
    parser = argparse.ArgumentParser(prog="python -m experiments.validation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="*", help="areas, or the word regenerate")
    asked: list[str] = parser.parse_args().what
    if asked == ["regenerate"]:
        return regenerate()
    return validate(asked)


def regenerate() -> int:
    """Write the golden files of those codes that are installed."""
    from experiments.validation import references

    for name, code in references.CODES.items():
        if references.installed(name):
            references.write(name)
            print(f"golden/{name}.npz made by {code}", flush=True)
        else:
            print(f"golden/{name}.npz left as it is: {code} is not installed", flush=True)
    return 0


def validate(asked: list[str]) -> int:
    """Run the checks of some areas, or of all, and renew their tables; 1 if one is not as it should be."""
    # The golden files are made where there is no torch, so that these must not be imported to make them.
    from experiments.validation import imperfections
    from experiments.validation.areas import AREAS

    unknown = set(asked) - AREAS.keys() - {IMPERFECTIONS}
    if unknown:
        print(f"no such area: {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}", file=sys.stderr)
        return 2
    checked = [area for area in asked or AREAS if area in AREAS]
    written = RESULT.read_text(encoding="utf-8") if RESULT.exists() else ""
    tables = {area: text.strip() for area, _, text in (part.partition("\n") for part in written.split("\n## ")[1:])}
    for area in checked:
        tables[area] = table(AREAS[area])
        print(f"## {area}\n\n{tables[area]}\n", flush=True)
    tables[IMPERFECTIONS] = imperfections.text()
    parts = [f"## {area}\n\n{tables[area]}\n" for area in (*AREAS, IMPERFECTIONS) if area in tables]
    RESULT.write_text("\n".join([HEAD, *parts]), encoding="utf-8")
    return int(any(WRONG in tables[area] for area in checked))


def table(checks: Sequence[Check]) -> str:
    """Run checks, without and with their mistakes, as a table, with the reasons for what is not met below it."""
    text, reasons = COLUMNS, ""
    for check in checks:
        achieved, mutated = check.achieved(), check.mutated()
        good = check.holds(achieved) != bool(check.unmet) and not check.holds(mutated)
        reasons += f"\n- *{check.name}* is not met: {check.unmet}" if check.unmet else ""
        unit = f" {check.unit}" if check.unit else ""
        text += (
            f"\n| {check.name} | {check.reference} | {achieved:.2g}{unit}{'' if good else WRONG} "
            f"| {check.tolerance:g}{unit} | {check.mutation.says} | {mutated:.2g}{unit} |"
        )
    return text + (f"\n{reasons}\n" if reasons else "")


if __name__ == "__main__":
    sys.exit(main())
