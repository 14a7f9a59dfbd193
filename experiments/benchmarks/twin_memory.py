"""How much memory 16 worlds of growth take at 256 x 256: a fresh process prints megabytes, before and at most.

python -m experiments.benchmarks.twin_memory
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from digital_twin.noise import poisson
from experiments.benchmarks.twin_images import growth

WORLDS, BAR_MB = 16, 1000.0


def used() -> tuple[float, float]:
    """Megabytes of a fresh process with everything imported, and at most while it makes images with noise."""
    command = [sys.executable, "-m", "experiments.benchmarks.twin_memory"]
    before, most = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(before), float(most)


def peak_megabytes() -> float:
    """The most that this process ever held (what getrusage tells counts its parent in)."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Print what was held before the worlds were made, and at most."""
    before = peak_megabytes()
    work = growth(WORLDS, "cpu")
    for frame in range(3):
        poisson(50.0 * work().to(torch.float32), range(WORLDS), frame)
    print(before, peak_megabytes())


if __name__ == "__main__":
    main()
