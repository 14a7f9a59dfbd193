"""What the tuner is measured against: Bayesian optimisation of one number an image, the normalised variance."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

from policies.bayes.sharpest import Sharpest, normalised_variance

BEGIN = {3: 10, 7: 20}
"""Images spread evenly before optimisation: for seven parameters BEACON's 20 (of 150 in all)."""

SIDE = Path(__file__).with_name("gpcam_side.py")


class ByVariance:
    """BoTorch's qLogNEI."""

    def __init__(self, ranges_nm: np.ndarray, seed: int) -> None:
        self._inner = Sharpest(ranges_nm, seed, begin=BEGIN[len(ranges_nm)])

    def suggest(self) -> np.ndarray:
        """The settings (P,) in nm to take the next image at."""
        return self._inner.suggest()

    def ingest(self, counts: np.ndarray, settings_nm: np.ndarray) -> None:
        """Take in an image (H, W)."""
        self._inner.tell(settings_nm, normalised_variance(counts))

    def close(self) -> None:
        """Nothing is left behind."""


class ByGpcam:
    """gpCAM as BEACON uses it, behind another interpreter; close it to end that.

    Raises:
        RuntimeError: the other side ended, with what it said.
    """

    def __init__(self, ranges_nm: np.ndarray, seed: int, python: Path) -> None:
        self._ranges_nm = ranges_nm
        pipe = subprocess.PIPE
        self._side = subprocess.Popen([str(python), str(SIDE)], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        count = len(ranges_nm)
        self._say(json.dumps({"parameters": count, "begin": BEGIN[count], "seed": seed}))

    def suggest(self) -> np.ndarray:
        """The settings (P,) in nm to take the next image at."""
        assert self._side.stdout is not None
        assert self._side.stderr is not None
        line = self._side.stdout.readline()
        if not line:
            raise RuntimeError(f"gpCAM ended: {self._side.stderr.read()[-500:]}")
        return np.asarray(np.array(json.loads(line)) * self._ranges_nm)

    def ingest(self, counts: np.ndarray, settings_nm: np.ndarray) -> None:
        """Take in an image (H, W)."""
        self._say(repr(normalised_variance(counts)))

    def close(self) -> None:
        """End the other side."""
        self._side.communicate(timeout=30)

    def _say(self, line: str) -> None:
        assert self._side.stdin is not None
        self._side.stdin.write(line + "\n")
        self._side.stdin.flush()
