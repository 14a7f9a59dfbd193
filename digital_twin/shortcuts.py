"""What may be left out of the physics where many worlds are computed for learning; nothing is by default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shortcuts:
    """Approximations of ``Signals``, each with what it costs; the default is none beyond those of the served twin.

    A probe out of focus is followed over a patch of at most ``largest_patch`` times what the pixels of a diffraction
    camera ask for; what would be lit beyond it folds back. On patches larger than ``sharp_patch`` times that, foci and
    points of the source are left out: the camera's pixels blur the pattern more than they do. Matter under the probe is
    drawn on squares of ``matter_px`` pixels of the patch and interpolated between them; above 1 only where nothing
    scatters coherently but mean potentials.

    Probes of images are formed in planes at multiples of a part of what planes lie apart at least (half the depth of
    focus, or what widens the probe by a pixel's half), one of ``focus_parts``, and remembered; 0 is at any C10. Between
    two planes images are blended as they always are. It pays as long as no aberration but C10 drifts.

    Raises:
        ValueError: a number that is not a whole one above 0 (``sharp_patch``, ``focus_parts``: 0 or above).
    """

    largest_patch: int = 8
    sharp_patch: int = 2
    matter_px: int = 1
    focus_parts: int = 0

    def __post_init__(self) -> None:
        for name, least in (("largest_patch", 1), ("sharp_patch", 0), ("matter_px", 1), ("focus_parts", 0)):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least):
                raise ValueError(f"{name} = {value!r}: a whole number from {least}")


NONE = Shortcuts()
