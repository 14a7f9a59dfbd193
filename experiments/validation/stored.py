"""Arrays that other codes made, as small files; ``references`` holds the scripts that make them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / "golden"
MADE_BY = "made_by"

Arrays = dict[str, NDArray[Any]]


@cache
def golden(name: str) -> Arrays:
    """The arrays of golden/NAME.npz."""
    with np.load(GOLDEN / f"{name}.npz") as data:
        return {key: data[key] for key in data.files if key != MADE_BY}


def made_by(name: str) -> str:
    """The code that made a golden file, with its version."""
    with np.load(GOLDEN / f"{name}.npz") as data:
        return str(data[MADE_BY])
