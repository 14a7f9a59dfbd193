"""How fast the twin is: every line on the processor, and on a GPU if there is one, beside the plain prototype.

python -m experiments.benchmarks.twin                       # some minutes; writes TWIN.md and TWIN.json
python -m experiments.benchmarks.twin --seconds 0.2 --only 64x64 --out -
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from experiments.benchmarks import beside_abtem, twin_env, twin_images, twin_memory, twin_spectra, twin_waves
from experiments.benchmarks.lines import Reached, measure

MODULES = (twin_images, twin_spectra, twin_waves, twin_env)
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
    cells = (line.name, one.device, str(one.threads), f"{one.per_s:,.0f} {line.unit}", ratio, " and ".join(asked), met)
    return f"| {' | '.join(cells)} |"


def page(found: Sequence[Reached], cuda: str, notes: Sequence[str]) -> str:
    """The page: what it was measured on, the table, and what does not fit into one."""
    title = ("what", "on", "threads", "reached", "prototype", "asked", "met")
    return "\n".join(
        [
            "# How fast the twin is",
            "",
            "Written by `python -m experiments.benchmarks.twin`; the prototype is `prototype.py`, timed in turns with",
            "the twin in the same run. Of one thread and two the better counts, on either side.",
            "",
            f"{os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}. CUDA: {cuda}.",
            "",
            f"| {' | '.join(title)} |",
            "|" + "---|" * len(title),
            *(row(one) for one in found),
            "",
            *(f"- {note}" for note in notes),
            "",
        ]
    )


def linear(found: Sequence[Reached]) -> str:
    """With which power of the number of pixels the time of a frame grows, in sentences."""
    told = []
    for batch in twin_images.BATCHES:
        sizes = {
            pixels**2: 1 / one.per_s
            for pixels in twin_images.SIZES
            for one in found
            if one.device == "cpu" and one.line.name == twin_images.fixed_name(pixels, batch)
        }
        if len(sizes) > 2:
            power = np.polyfit(np.log(list(sizes)), np.log(list(sizes.values())), 1)[0]
            told.append(f"batch {batch}: power {power:.2f}")
    return f"A frame's time grows with its pixels (1 is linear): {', '.join(told)}." if told else ""


def memory() -> str:
    """What 16 worlds take, in a sentence."""
    before, most = twin_memory.used()
    met = "met" if most < twin_memory.BAR_MB else "not met"
    return (
        f"{twin_memory.WORLDS} worlds imaged at 256x256: {most:.0f} MB at most, {before:.0f} of them before a world "
        f"was made ({twin_memory.BAR_MB:.0f} allowed: {met})."
    )


def abtem(python: str | None, seconds: float) -> str:
    """The comparison with abTEM, or why there is none."""
    found = beside_abtem.python_with_abtem(python)
    if found is None:
        return "Beside abTEM: not run, it is not installed here (`--abtem PYTHON` names a Python that has it)."
    try:
        return beside_abtem.compared(found, seconds).paragraph()
    except subprocess.CalledProcessError as error:
        return f"Beside abTEM: not run, {(error.stderr.strip().splitlines() or ['it failed'])[-1]}."


def as_json(found: Sequence[Reached], cuda: str, notes: Sequence[str]) -> str:
    """The same for programs."""
    told = [
        {
            "name": one.line.name,
            "device": one.device,
            "threads": one.threads,
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
    return json.dumps({**machine, "lines": told, "notes": list(notes)}, indent=1) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.twin", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each side of a line (default 1)")
    parser.add_argument("--only", default="", help="only lines with this in their names")
    parser.add_argument("--abtem", metavar="PYTHON", help="a Python that has abTEM, to compare with")
    parser.add_argument("--out", default=str(RESULT), help="page to write, with JSON beside it; - writes none")
    given = parser.parse_args(arguments)
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "there is none here"
    found = reached(("cpu", "cuda") if torch.cuda.is_available() else ("cpu",), given.seconds, given.only)
    notes = [linear(found)]
    if not given.only:
        notes += [memory(), twin_env.shares(), abtem(given.abtem, given.seconds)]
    notes = [note for note in notes if note]
    print(*notes, sep="\n")
    if given.out != "-":
        Path(given.out).write_text(page(found, cuda, notes))
        Path(given.out).with_suffix(".json").write_text(as_json(found, cuda, notes))


if __name__ == "__main__":
    main()
