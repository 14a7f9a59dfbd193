"""Scripts that make the golden files: each module's ``arrays()`` gives what golden/NAME.npz holds.

They import their code and numpy alone, so that they run in an environment that has nothing else.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util

import numpy as np

from experiments.validation.stored import GOLDEN, MADE_BY, Arrays, golden

CODES = {
    "optics": "abTEM",
    "haadf": "abTEM",
    "waves": "abTEM",
    "monolayer": "abTEM",
    "frozen": "abTEM",
    "scanned": "abTEM",
    "spectra": "eXSpy",
    "multiplets": "edrixs",
}
"""The code that each golden file needs."""

RELATIVE = 1e-4
"""How well a file made again must agree with the stored one, of its largest value: FFTs differ between machines."""


def installed(name: str) -> bool:
    """Whether the code that a golden file needs is here."""
    return importlib.util.find_spec(CODES[name].lower()) is not None


def make(name: str) -> Arrays:
    """Compute the arrays of a golden file anew."""
    arrays: Arrays = importlib.import_module(f"{__name__}.{name}").arrays()
    return arrays


def write(name: str) -> None:
    """Compute a golden file anew and store it."""
    code = CODES[name]
    made = np.array(f"{code} {importlib.metadata.version(code.lower())}")
    np.savez_compressed(GOLDEN / f"{name}.npz", allow_pickle=False, **{MADE_BY: made}, **make(name))


def difference(name: str) -> float:
    """Largest difference between a golden file and one made anew, of the largest value of each array."""
    stored, anew = golden(name), make(name)
    if stored.keys() != anew.keys():
        return float("inf")
    return max(float(np.abs(stored[key] - anew[key]).max() / max(np.abs(stored[key]).max(), 1e-30)) for key in stored)
