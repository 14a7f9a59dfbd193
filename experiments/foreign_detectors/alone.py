"""How fast a detector's own client takes a run, with nothing behind it: prints frames a second of each run.

`python -m experiments.foreign_detectors.alone merlin|dectris DATA_PORT CONTROL_PORT FRAMES RUNS`
"""

from __future__ import annotations

import sys
import time

from experiments.foreign_detectors.serve import opened


def main() -> None:
    """Take the runs, one after the other."""
    detector, *numbers = sys.argv[1:]
    data_port, control_port, frames, runs = map(int, numbers)
    source = opened(detector, data_port, control_port, frames, 1e-4)
    try:
        for _ in range(runs):
            counted, times = 0, []
            for first, images in source.run():
                assert first == counted
                counted += len(images)
                times.append((time.perf_counter(), counted))
            assert counted == frames
            (begin_s, already), (end_s, all_of_them) = times[0], times[-1]
            print((all_of_them - already) / (end_s - begin_s), flush=True)
    finally:
        source.close()


if __name__ == "__main__":
    main()
