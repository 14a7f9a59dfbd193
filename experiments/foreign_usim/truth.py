# SPDX-License-Identifier: GPL-3.0-only
"""What the simulator's specimen really holds, as JSON: `python -m experiments.foreign_usim.truth SAMPLE`.

For the comparison after a run; nothing of it crosses the wire.
"""

from __future__ import annotations

import json
import sys

from nion.usim_device.InstrumentDevice import ScanDataGenerator

NM = 1e9


def main() -> None:
    """Print every feature: its kind, the middle and size of its box in the specimen frame, nm, and its edges in eV."""
    sample = ScanDataGenerator(sample_index=int(sys.argv[1])).sample
    found = [
        {
            "kind": type(feature).__name__,
            "x_nm": NM * feature.position_m.x,
            "y_nm": NM * feature.position_m.y,
            "width_nm": NM * feature.size_m.width,
            "height_nm": NM * feature.size_m.height,
            "edges_eV": [edge for edge, _ in feature.edges],
        }
        for feature in sample.features
    ]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
