"""Run the agent at Nion Swift's simulator, and compare what it found with what the simulator's specimen holds.

    python -m experiments.foreign_usim [OUT]      writes RESULT.md and found.png here, the record to OUT

The simulator is served by a process of its own, in its own environment (`make foreign`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.assemble import CHOICES
from agent.config import load
from agent.perception.surveyor import SurveyorSettings
from agent.reading import open_run
from agent.run import Observer, begin
from agent.watched import Watched
from experiments.foreign import ROOT, python_of, served
from experiments.foreign_usim.judge import Flake, judge
from experiments.foreign_usim.page import draw, page
from experiments.options import record_folder

HERE = Path(__file__).parent
SAMPLE = "0"
ENERGY_STEP_eV = "2"  # 1024 channels then reach the K edge of silicon


def flakes() -> list[Flake]:
    """What the simulator's specimen holds, asked of it past the bridge."""
    command = [str(python_of("usim")), "-m", "experiments.foreign_usim.truth", SAMPLE]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    return msgspec.json.decode(said, type=list[Flake])


def run(folder: Path, observer: Observer, overrides: Sequence[str] = ()) -> None:
    """One run of the agent at a fresh simulator, recorded in a folder."""
    config = load(HERE / "config.toml", overrides, CHOICES)
    seed = str(config.instrument.seed)
    arguments = (str(HERE / "config.toml"), "--sample", SAMPLE, "--energy-step-eV", ENERGY_STEP_eV, "--seed", seed)
    with served("usim", "experiments.foreign_usim.serve", *arguments) as endpoint:
        config = replace(config, instrument=replace(config.instrument, endpoint=endpoint))
        begin(config, config.instrument.seed, folder, observer)


def main() -> None:
    """Run, compare, and write the result."""
    config = load(HERE / "config.toml", more=CHOICES)
    settings = msgspec.convert(config.perception.settings, SurveyorSettings)
    assert config.goal.extent_nm is not None
    with tempfile.TemporaryDirectory() as scratch:
        folder = record_folder("experiments.foreign_usim", __doc__, Path(scratch) / "run")
        observer = Watched(sys.stdin.fileno(), sys.stdout)
        run(folder, observer)
        observer.close()
        with open_run(folder) as whole:
            judged = judge(whole.records, flakes(), config.goal.extent_nm, settings)
            draw(judged, whole, HERE / "found.png")
    text = page(judged, settings.elements)
    (HERE / "RESULT.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
