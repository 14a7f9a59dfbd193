"""Round trips of questions to a bridge, from a process of its own: prints name, p50 and p99 in ms.

python -m experiments.benchmarks.stream_control ENDPOINT SECONDS
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from hardware_bridge.client import Client

PAUSE_S = 0.002


def main() -> None:
    """Ask what the instrument's thread answers, and what the control thread answers alone, by turns."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.stream_control", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("endpoint")
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    with Client(given.endpoint, holder=None) as client:
        questions: dict[str, Callable[[], object]] = {
            "state": client.state,
            "fate": lambda: client.fate("nothing"),
        }
        took: dict[str, list[float]] = {name: [] for name in questions}
        until = time.monotonic() + given.seconds
        while time.monotonic() < until:
            for name, ask in questions.items():
                begun = time.perf_counter()
                ask()
                took[name].append(1e3 * (time.perf_counter() - begun))
                time.sleep(PAUSE_S)
    for name, times in took.items():
        print(name, *np.percentile(times, [50.0, 99.0]))


if __name__ == "__main__":
    main()
