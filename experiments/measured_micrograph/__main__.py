"""Run the agent on a measured micrograph and check the particles it finds against the EDS map of the same field.

    python -m experiments.measured_micrograph [OUT]      writes RESULT.md and found.png here, the record to OUT

The twin images the micrograph through probe, dose and noise; perception sees only that.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from skimage.registration import phase_cross_correlation

from agent.config import Config, load
from agent.reading import open_run
from agent.run import begin
from agent.watched import Watched
from experiments.options import record_folder
from hardware_bridge.report import Particle

HERE = Path(__file__).parent
PALLADIUM_L_keV = 2.838
WINDOW_keV = 0.12
SMOOTH_PX = 1.5
PIXEL_NM = 0.771

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def palladium_map(eds: NDArray[np.uint8]) -> Array:
    """Pd L counts of a measured spectrum image (H, W, 2048), smoothed; about 160 counts in all, so it is coarse."""
    energy_keV = -0.47544754 + 0.010001 * np.arange(eds.shape[-1])
    counts = eds[..., np.abs(energy_keV - PALLADIUM_L_keV) < WINDOW_keV].sum(axis=-1, dtype=np.float64)
    return np.asarray(gaussian_filter(counts, SMOOTH_PX))


def otsu(image: Array) -> float:
    """Otsu's threshold of an image."""
    return float(threshold_otsu(image))  # type: ignore[no-untyped-call]  # scikit-image has no types


def found_mask(particles: tuple[Particle, ...], shape: tuple[int, int]) -> Mask:
    """Pixels of the micrograph that lie in a particle found, (H, W)."""
    rows, columns = np.indices(shape)
    x = (columns - (shape[1] - 1) / 2) * PIXEL_NM
    y = (rows - (shape[0] - 1) / 2) * PIXEL_NM
    mask: Mask = np.zeros(shape, dtype=bool)
    for p in particles:
        mask |= (x - p.x_nm) ** 2 + (y - p.y_nm) ** 2 <= p.radius_nm**2
    return mask


def offset_nm(haadf: Array, seen: Array) -> tuple[float, float]:
    """What to add to x and y of the image seen to lie on the micrograph: drift and settling moved the specimen."""
    finer = np.kron(haadf, np.ones((seen.shape[0] // haadf.shape[0],) * 2))
    window = np.outer(*[np.hanning(n) for n in seen.shape])
    flat = [window * (smooth - smooth.mean()) for smooth in (gaussian_filter(i, SMOOTH_PX) for i in (finer, seen))]
    found = phase_cross_correlation(  # type: ignore[no-untyped-call]  # scikit-image has no types
        *flat, upsample_factor=10, normalization=None
    )
    pixel_nm = PIXEL_NM * haadf.shape[0] / seen.shape[0]
    return pixel_nm * float(found[0][1]), pixel_nm * float(found[0][0])


def f1(found: Mask, true: Mask) -> tuple[float, float, float]:
    """Precision, recall and F1 of one mask against another, pixel by pixel."""
    both = float((found & true).sum())
    precision, recall = both / max(found.sum(), 1), both / max(true.sum(), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def main() -> None:
    """Run, compare, and write the result."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = record_folder("experiments.measured_micrograph", __doc__, Path(scratch) / "run")
        config: Config = load(HERE / "config.toml")
        observer = Watched(sys.stdin.fileno(), sys.stdout)
        begin(config, config.instrument.seed, folder, observer)
        observer.close()
        run = open_run(folder)
        last = run.records[-1]
        observation = run.observation(last)
        run.close()
    if last.percept is None or observation is None or observation.data is None:
        raise SystemExit("nothing was seen: " + last.failure)
    with np.load(str(config.instrument.specimen), allow_pickle=False) as data:
        haadf, palladium = data["haadf"], palladium_map(data["eds"])
    true = palladium > otsu(palladium)
    seen = np.asarray(observation.data, dtype=np.float64)
    moved = offset_nm(haadf.astype(np.float64), seen)
    placed = tuple(replace(p, x_nm=p.x_nm + moved[0], y_nm=p.y_nm + moved[1]) for p in last.percept.particles)
    precision, recall, both = f1(found_mask(placed, haadf.shape), true)
    bright = gaussian_filter(haadf.astype(np.float64), 1.0)
    plain = f1(bright > otsu(bright), true)
    _picture(haadf, seen, palladium, (last.percept.particles, placed))
    text = _result(len(placed), math.hypot(*moved), (precision, recall, both), plain)
    (HERE / "RESULT.md").write_text(text, encoding="utf-8")
    print(text)


def _result(count: int, moved_nm: float, ours: tuple[float, float, float], plain: tuple[float, float, float]) -> str:
    return f"""# A measured micrograph as the specimen

`python -m experiments.measured_micrograph`: HAADF and EDS of palladium particles on titania, 200 kV, 64 x 64 pixels
of 0.77 nm. The twin images the micrograph again through probe, dose and noise; the agent finds {count} particles.
Drift and settling had moved the specimen by {moved_nm:.1f} nm; what was found is laid on the micrograph by correlation.

| against the thresholded Pd L map, pixel by pixel | precision | recall | F1 |
|---|---|---|---|
| particles found by the agent | {ours[0]:.2f} | {ours[1]:.2f} | {ours[2]:.2f} |
| Otsu threshold of the micrograph itself | {plain[0]:.2f} | {plain[1]:.2f} | {plain[2]:.2f} |

![found](found.png)

How good that is: it finds the palladium, and takes lumps of the support for particles as well, like a plain threshold
does; nobody should count particles with it in such an image. It cannot be much better from the micrograph alone: this
was stretched to its full range when it was stored, so the thick titania support is as bright as the metal, and telling
them apart needs a spectrum, which the twin cannot give for a micrograph. The Pd map has some 160 counts in all, so its
outline is uncertain by pixels. And the detector was made for balls on an even background, which supports are not.
"""


def _picture(haadf: Array, seen: Array, palladium: Array, found: tuple[tuple[Particle, ...], ...]) -> None:
    figure = Figure(figsize=(11, 3.9), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    half = PIXEL_NM * haadf.shape[0] / 2
    extent = (-half, half, half, -half)
    images = (
        ("measured HAADF", haadf, "gray"),
        ("as the agent saw it", seen, "gray"),
        ("Pd L counts", palladium, "magma"),
    )
    for number, (title, image, colours) in enumerate(images, start=1):
        axes = figure.add_subplot(1, 3, number)
        axes.imshow(image, cmap=colours, extent=extent)
        for p in found[0] if image is seen else found[1]:
            axes.add_patch(Circle((p.x_nm, p.y_nm), p.radius_nm, fill=False, ec="#3b9ddb", lw=1.2))
        axes.plot([-0.9 * half, -0.9 * half + 10], [0.9 * half] * 2, color="white", lw=3)
        axes.text(-0.9 * half, 0.85 * half, "10 nm", color="white", fontsize=8)
        axes.set(title=title, xticks=[], yticks=[], xlim=(-half, half), ylim=(half, -half))
    figure.savefig(HERE / "found.png", dpi=110)


if __name__ == "__main__":
    main()
