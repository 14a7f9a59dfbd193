"""Images as laboratories store them, npy, npz, TIFF and HDF5: their numbers, and the pixel size where the file says it.

    npy   numbers alone
    npz   ``haadf`` and ``meta`` (JSON with ``haadf_axes`` or ``axes``), or any one image with or without ``pixel_nm``
    TIFF  pages in order; pixel size from ImageJ's description, OME's ``PhysicalSizeX``, or a resolution per cm
    HDF5  HyperSpy's layout (``Experiments/*/data`` with ``axis-N``), or any one image

Resolutions per inch are those of a printer and are not believed.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from digital_twin.optics import Array

UNIT_NM = {
    "pm": 1e-3,
    "A": 0.1,
    "Å": 0.1,
    "nm": 1.0,
    "um": 1e3,
    "micron": 1e3,
    "\N{MICRO SIGN}m": 1e3,
    "\N{GREEK SMALL LETTER MU}m": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
}
READERS = (".npy", ".npz", ".tif", ".tiff", ".h5", ".hdf5", ".hspy")
MOST_VALUES = 2**28
DESCRIPTION, X_RESOLUTION, RESOLUTION_UNIT, PER_CM = 270, 282, 296, 3


@dataclass(frozen=True)
class Stack:
    """What a file holds: ``counts`` (N, H, W) of its own type, and the size of a pixel in nm, None if it does not say.

    ``facts`` are other numbers beside the image (of an npz or HDF5 file) by their names, such as ``dwell_s``.
    """

    counts: NDArray[Any]
    pixel_nm: float | None
    facts: Mapping[str, float]


def read_stack(path: Path) -> Stack:
    """Read an image (H, W), or images of one size (N, H, W), with the numbers as they were stored.

    Raises:
        ValueError: naming the file, and what is missing or wrong in it.
    """
    kind = path.suffix.lower()
    if kind not in READERS:
        raise ValueError(f"{path}: cannot be read: no image of a known kind ({', '.join(READERS)})")
    try:
        if kind == ".npy":
            stack = Stack(np.load(path, allow_pickle=False), None, {})
        elif kind == ".npz":
            stack = _npz(path)
        elif kind.startswith(".tif"):
            stack = _tiff(path)
        else:
            stack = _hdf5(path)
    except (OSError, UnidentifiedImageError, zipfile.BadZipFile, EOFError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    counts = stack.counts[None] if stack.counts.ndim == 2 else stack.counts
    if counts.ndim != 3 or min(counts.shape) < 1 or counts.dtype.kind not in "uif":
        raise ValueError(f"{path}: holds no image of numbers (H, W) or (N, H, W) but {_spoken(stack.counts)}")
    if counts.size > MOST_VALUES:
        raise ValueError(f"{path}: holds {counts.size} pixels, at most {MOST_VALUES} are read")
    if counts.dtype.kind == "f" and not np.isfinite(counts).all():
        raise ValueError(f"{path}: holds pixels that are not finite")
    if stack.pixel_nm is not None and not (math.isfinite(stack.pixel_nm) and stack.pixel_nm > 0):
        raise ValueError(f"{path}: says that a pixel is {stack.pixel_nm:g} nm wide, it must be above 0")
    return Stack(counts, stack.pixel_nm, stack.facts)


def read_image(path: Path, pixel_nm: float | None = None) -> tuple[Array, float]:
    """Read one image as a specimen: (H, W) scaled to 0..1, and its pixel size in nm; the given one counts if there is.

    Raises:
        ValueError: naming the file, and what is missing or wrong in it.
    """
    stack = read_stack(path)
    if len(stack.counts) != 1:
        raise ValueError(f"{path}: holds {len(stack.counts)} images, one is needed")
    image = stack.counts[0].astype(np.float64)
    low, high = float(image.min()), float(image.max())
    if high <= low or min(image.shape) < 2:
        raise ValueError(f"{path}: must be one image with contrast, at least 2 x 2 pixels; it is {_spoken(image)}")
    pixel = stack.pixel_nm if pixel_nm is None else pixel_nm
    if pixel is None:
        raise ValueError(f"{path}: does not say how large a pixel is: give instrument.specimen_pixel_nm")
    if not (math.isfinite(pixel) and pixel > 0):
        raise ValueError(f"{path}: instrument.specimen_pixel_nm = {pixel:g} must be above 0")
    return (image - low) / (high - low), pixel


def _spoken(array: NDArray[Any]) -> str:
    return f"{' x '.join(map(str, array.shape)) or 'one value'} of {array.dtype}"


def _length_nm(scale: object, unit: object) -> float | None:
    """A length in nm; None where the unit is not one of length (pixels, say)."""
    if not isinstance(scale, int | float | np.number):
        return None
    text = unit.decode() if isinstance(unit, bytes) else str(unit)
    return float(scale) * UNIT_NM[text] if text in UNIT_NM else None


def _one(names: list[str], wanted: str) -> str:
    """The only name, or the wanted one; a complaint that lists them otherwise."""
    if wanted in names:
        return wanted
    if len(names) != 1:
        raise ValueError(f"holds {len(names)} images, one is needed" + (f": {', '.join(names)}" if names else ""))
    return names[0]


def _npz(path: Path) -> Stack:
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: np.asarray(data[name]) for name in data.files}
    images = [name for name, each in arrays.items() if each.ndim in (2, 3) and each.dtype.kind in "uif"]
    name = _one(images, "haadf")
    pixel_nm = _of_meta(str(arrays["meta"]), name) if "meta" in arrays else None
    facts = {key: float(each) for key, each in arrays.items() if each.ndim == 0 and each.dtype.kind in "uif"}
    return Stack(arrays[name], facts.pop("pixel_nm", pixel_nm), facts)


def _of_meta(text: str, name: str) -> float | None:
    try:
        meta = json.loads(text)
        axes = meta.get(f"{name}_axes", meta.get("axes"))
        return _square_nm([_length_nm(axis["scale"], axis["units"]) for axis in axes[-2:]])
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
        return None


def _square_nm(edges_nm: list[float | None]) -> float | None:
    """The edge of a square pixel from its two edges."""
    known = [edge for edge in edges_nm if edge is not None]
    if len(known) == 2 and abs(known[0] - known[1]) > 1e-3 * abs(known[1]):
        raise ValueError(f"has pixels of {known[1]:g} nm by {known[0]:g} nm, they must be square")
    return known[-1] if known else None


def _tiff(path: Path) -> Stack:
    pages = []
    with Image.open(path) as file:
        if file.format != "TIFF":
            raise ValueError(f"is no TIFF but {file.format}")
        tags = dict(file.getexif())
        for page in range(getattr(file, "n_frames", 1)):
            file.seek(page)
            if file.mode not in ("1", "L", "I", "F", "I;16", "I;16B", "I;16L"):
                raise ValueError(f"is an image in colours ({file.mode}), grey values are needed")
            pages.append(np.asarray(file))
    if len({page.shape for page in pages}) != 1:
        raise ValueError("holds pages of several sizes")
    return Stack(np.stack(pages), _tiff_pixel_nm(tags), {})


def _tiff_pixel_nm(tags: Mapping[int, Any]) -> float | None:
    told = str(tags.get(DESCRIPTION, ""))
    per_unit = float(tags.get(X_RESOLUTION, 0.0) or 0.0)
    ome = re.search(r'PhysicalSizeX="([^"]+)"', told)
    if ome is not None:
        # Micrometres are the schema's default.
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', told)
        return _length_nm(float(ome.group(1)), unit.group(1) if unit else "um")
    imagej = re.search(r"^unit=(\S+)$", told, re.MULTILINE)
    if imagej is not None and per_unit > 0:
        return _length_nm(1.0 / per_unit, imagej.group(1).replace("\\u00B5", "u"))
    if tags.get(RESOLUTION_UNIT) == PER_CM and per_unit > 0:
        return UNIT_NM["cm"] / per_unit
    return None


def _hdf5(path: Path) -> Stack:
    with h5py.File(path, "r") as file:
        found = dict(_images(file))
        hyperspy = [name for name in found if re.fullmatch(r"Experiments/[^/]+/data", name)]
        name = _one(list(found), hyperspy[0] if len(hyperspy) == 1 else "")
        data = found[name]
        if data.size > MOST_VALUES:
            raise ValueError(f"{name} holds {data.size} pixels, at most {MOST_VALUES} are read")
        axes = [data.parent.get(f"axis-{n}") for n in (data.ndim - 2, data.ndim - 1)]
        edges_nm = [_length_nm(each.attrs.get("scale"), each.attrs.get("units")) for each in axes if each is not None]
        facts = {key: float(v) for key, v in data.attrs.items() if isinstance(v, int | float | np.number)}
        return Stack(data[()], facts.pop("pixel_nm", _square_nm(edges_nm)), facts)


def _images(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset that may be an image or a stack of them: of numbers, no edge shorter than 2 pixels."""
    found: list[tuple[str, h5py.Dataset]] = []

    def visit(name: str, node: object) -> None:
        if not isinstance(node, h5py.Dataset) or node.ndim not in (2, 3) or node.dtype.kind not in "uif":
            return
        if min(node.shape[-2:]) >= 2:
            found.append((name, node))

    file.visititems(visit)
    return iter(found)
