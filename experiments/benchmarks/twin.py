"""How fast the twin is: every line on the processor, and on a GPU if there is one, beside the plain prototype.

python -m experiments.benchmarks.twin                       # about two minutes; writes TWIN.md and TWIN.json
python -m experiments.benchmarks.twin --seconds 0.2 --only 64x64 --out -
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from experiments.benchmarks import twin_images, twin_spectra
from experiments.benchmarks.lines import Reached, measure

MODULES = (twin_images, twin_spectra)
RESULT = Path(__file__).with_name("TWIN.md")


def reached(devices: Sequence[str], seconds: float, only: str = "") -> list[Reached]:
    """Measure the lines with a piece of text in their names, telling each as it comes."""
    found = []
    for device in devices:
        for line in (line for module in MODULES for line in module.lines(device) if only in line.name):
            found.append(measure(line, device, seconds))
            print(row(found[-1]), flush=True)
    return found


def row(one: Reached) -> str:
    """A row of the table."""
    line = one.line
    asked = [f"{line.bar:,.0f}"] if line.bar else []
    asked += [f"{line.times:g} x prototype"] if line.times else []
    ratio = f"{one.prototype_per_s:,.0f} ({one.ratio:.1f} x)" if one.prototype_per_s and one.ratio else ""
    met = {True: "yes", False: "no", None: ""}[one.met]
    cells = (line.name, one.device, str(line.threads), f"{one.per_s:,.0f} {line.unit}", ratio, " and ".join(asked), met)
    return f"| {' | '.join(cells)} |"


def page(found: Sequence[Reached], cuda: str) -> str:
    """The page: what it was measured on and the table."""
    title = ("what", "on", "threads", "reached", "prototype", "asked", "met")
    return "\n".join(
        [
            "# How fast the twin is",
            "",
            "Written by `python -m experiments.benchmarks.twin`; the prototype is `prototype.py`, timed in turns with",
            "the twin in the same run, on one and on two threads, of which the better counts.",
            "",
            f"{os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}. CUDA: {cuda}.",
            "",
            f"| {' | '.join(title)} |",
            "|" + "---|" * len(title),
            *(row(one) for one in found),
            "",
        ]
    )


def as_json(found: Sequence[Reached], cuda: str) -> str:
    """The same for programs."""
    told = [
        {
            "name": one.line.name,
            "device": one.device,
            "threads": one.line.threads,
            "per_s": one.per_s,
            "unit": one.line.unit,
            "prototype_per_s": one.prototype_per_s,
            "bar": one.line.bar,
            "times": one.line.times,
            "met": one.met,
        }
        for one in found
    ]
    machine = {"cores": os.cpu_count(), "torch": torch.__version__, "cuda": cuda}
    return json.dumps({**machine, "lines": told}, indent=1) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.twin", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each side of a line (default 1)")
    parser.add_argument("--only", default="", help="only lines with this in their names")
    parser.add_argument("--out", default=str(RESULT), help="page to write, with JSON beside it; - writes none")
    given = parser.parse_args(arguments)
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "there is none here"
    found = reached(("cpu", "cuda") if torch.cuda.is_available() else ("cpu",), given.seconds, given.only)
    if given.out != "-":
        Path(given.out).write_text(page(found, cuda))
        Path(given.out).with_suffix(".json").write_text(as_json(found, cuda))


if __name__ == "__main__":
    main()
