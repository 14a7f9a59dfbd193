"""Spectrum images as laboratories store them in HDF5: their counts, their energies, and an image of the same field.

    HyperSpy  Experiments/NAME/data with groups axis-0, axis-1, ... beside it; the signal axis is the one whose
              ``navigate`` is False (RosettaSciIO, HSpy format)
    NSID      a dataset with HDF5 dimension scales, of which one says ``dimension_type`` spectral (pyNSID, docs: nsid;
              files of pyNSID 0.0.7.2 with sidpy 0.12.9 are read so)
    NeXus     a group of NX_class NXdata with ``signal`` and ``axes``; the signal axis is the one in eV or keV

Nothing in a file is believed: each number that is used is checked, and what is wrong is told with its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SUFFIXES = (".hspy", ".h5", ".hdf5", ".hf5", ".nxs")
MOST_VALUES = 2**28
LEAST_EDGE, LEAST_CHANNELS = 4, 4
ENERGIES = ("eV", "keV")
NOTHING = "_None_"
"""What HyperSpy writes for no name and no unit."""


@dataclass(frozen=True)
class Dimension:
    """One dimension of a dataset: its values (n,), their unit, and whether they are those of a spectrum."""

    name: str
    values: Array
    unit: str
    spectral: bool


@dataclass(frozen=True)
class SpectrumImage:
    """What a file holds: ``counts`` (H, W, E) of their own type, the axis (E,) in ``unit``, and an image if there is.

    ``image`` (h, w) covers the same field. ``name`` and ``image_name`` say where in the file they lie.
    """

    name: str
    counts: NDArray[Any]
    axis: Array
    unit: str
    image: Array | None
    image_name: str


def read_spectrum_image(path: Path, name: str | None = None, image: str | None = None) -> SpectrumImage:
    """Read the spectrum image of a file, or the one called ``name``, and an image of the same field.

    Where no ``image`` is named, that is the only image of as many points as there are spectra, if there is one.

    Raises:
        ValueError: naming the file, the dataset, and what is missing or wrong.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: {path.suffix or 'no suffix'}: one of {', '.join(SUFFIXES)} is read")
    try:
        with h5py.File(path, "r") as file:
            return _read(file, name, image)
    except (OSError, RuntimeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read(file: h5py.File, name: str | None, image: str | None) -> SpectrumImage:
    found = {where: data for where, data in _datasets(file) if data.ndim == 3}
    known = {where: dimensions for where, data in found.items() if (dimensions := _dimensions(data)) is not None}
    spectra = {where: each for where, each in known.items() if sum(one.spectral for one in each) == 1}
    if name is None:
        if len(spectra) != 1:
            raise ValueError(_choose("spectrum images", spectra, "--dataset") if spectra else _none(found))
        (name,) = spectra
    elif name not in spectra:
        raise ValueError(f"--dataset {name}: choose one of {', '.join(spectra) or 'none, ' + _none(found)}")
    counts, axes = _numbers(found[name], name), list(spectra[name])
    spectral = [each.spectral for each in axes].index(True)
    counts = np.moveaxis(counts, spectral, 2)
    energy = axes.pop(spectral)
    # Some write x before y: rows are y.
    turned = axes[0].name.lower() == "x" and axes[1].name.lower() == "y"
    if turned:
        counts = counts.swapaxes(0, 1)
    _check(counts, energy, name)
    seen, where = _image(file, image, (counts.shape[0], counts.shape[1]), turned)
    return SpectrumImage(name, counts, energy.values, energy.unit, seen, where)


def _choose(what: str, some: Sequence[str] | dict[str, Any], option: str) -> str:
    return f"holds {len(some)} {what}, choose one with {option}: {', '.join(some)}"


def _none(found: dict[str, h5py.Dataset]) -> str:
    if not found:
        return "no dataset of three dimensions (H, W, E)"
    return (
        f"no signal axis is marked in {', '.join(found)}: HyperSpy marks it by navigate = False, NSID by "
        f"dimension_type = spectral, NeXus by units of {' or '.join(ENERGIES)}"
    )


def _datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """All datasets of numbers; links to other files are not followed."""
    found: list[tuple[str, h5py.Dataset]] = []

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None and node.dtype.kind in "uif":
            found.append((name, node))

    file.visititems(visit)
    return iter(found)


def _dimensions(data: h5py.Dataset) -> list[Dimension] | None:
    """The dimensions of a dataset by whatever says what they are; None where nothing does.

    Raises:
        ValueError: something does, and is wrong.
    """
    if all(f"axis-{n}" in data.parent for n in range(data.ndim)):
        return [_of_hyperspy(data, n) for n in range(data.ndim)]
    if _text(data.parent.attrs.get("NX_class")) == "NXdata" and "axes" in data.parent.attrs:
        return _of_nexus(data)
    if all(len(dimension) for dimension in data.dims):
        return [_of_nsid(data, n) for n in range(data.ndim)]
    return None


def _of_hyperspy(data: h5py.Dataset, n: int) -> Dimension:
    axis, where, size = data.parent[f"axis-{n}"], f"{data.parent.name}/axis-{n}", data.shape[n]
    spectral = not bool(_number(axis.attrs.get("navigate", n < data.ndim - 1), f"{where} navigate"))
    name, unit = (_text(axis.attrs.get(key, "")) for key in ("name", "units"))
    if isinstance(axis, h5py.Group) and "axis" in axis:
        return Dimension(name, _along(axis["axis"], size, where), unit, spectral)
    scale, offset = (_number(axis.attrs.get(key), f"{where} {key}") for key in ("scale", "offset"))
    return Dimension(name, offset + scale * np.arange(size), unit, spectral)


def _of_nsid(data: h5py.Dataset, n: int) -> Dimension:
    scale = data.dims[n][0]
    kind = _text(scale.attrs.get("dimension_type", "")).lower()
    name = _text(scale.attrs.get("name", data.dims[n].label))
    unit = _text(scale.attrs.get("units", ""))
    return Dimension(name, _along(scale, data.shape[n], scale.name), unit, kind.endswith("spectral"))


def _of_nexus(data: h5py.Dataset) -> list[Dimension] | None:
    group = data.parent
    if _text(group.attrs.get("signal")) != data.name.rpartition("/")[2]:
        return None
    names = [_text(each) for each in np.atleast_1d(group.attrs["axes"])]
    if len(names) != data.ndim:
        raise ValueError(f"{group.name} axes: {len(names)} names for the {data.ndim} dimensions of {data.name}")
    found = []
    for name, size in zip(names, data.shape, strict=True):
        if name == "." or name not in group:
            found.append(Dimension(name, np.arange(size, dtype=np.float64), "", False))
            continue
        unit = _text(group[name].attrs.get("units", ""))
        found.append(Dimension(name, _along(group[name], size, group[name].name), unit, unit in ENERGIES))
    return found


def _along(values: object, size: int, where: str) -> Array:
    """The values of an axis that says each of them."""
    if not isinstance(values, h5py.Dataset) or values.shape != (size,) or values.dtype.kind not in "uif":
        told = values.shape if isinstance(values, h5py.Dataset) else "no dataset"
        raise ValueError(f"{where}: {told}, {size} numbers are needed")
    return np.asarray(values[()], dtype=np.float64)


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float | np.number | np.bool_) or not np.isfinite(value):
        raise ValueError(f"{where} = {value!r}: must be a finite number")
    return float(value)


def _text(value: object) -> str:
    told = value.decode() if isinstance(value, bytes) else str(value)
    return "" if told == NOTHING else told


def _numbers(data: h5py.Dataset, name: str) -> NDArray[Any]:
    if data.size > MOST_VALUES:
        raise ValueError(f"{name}: {data.size} values, at most {MOST_VALUES} are read")
    if data.is_virtual or data.external:
        raise ValueError(f"{name}: takes its values from other files, which are not read")
    return np.asarray(data[()])


def _check(counts: NDArray[Any], energy: Dimension, name: str) -> None:
    height, width, channels = counts.shape
    if min(height, width) < LEAST_EDGE or channels < LEAST_CHANNELS:
        least = f"{LEAST_EDGE} x {LEAST_EDGE} of {LEAST_CHANNELS}"
        raise ValueError(f"{name}: {height} x {width} spectra of {channels} channels, at least {least}")
    if counts.dtype.kind == "f" and not np.isfinite(counts).all():
        raise ValueError(f"{name}: {int((~np.isfinite(counts)).sum())} values are not finite, all must be")
    if not counts.any():
        raise ValueError(f"{name}: all counts are 0")
    if not np.isfinite(energy.values).all() or not (np.diff(energy.values) > 0).all():
        raise ValueError(f"{name}: its signal axis {energy.name} must rise, and be finite")


def _image(file: h5py.File, asked: str | None, grid: tuple[int, int], turned: bool) -> tuple[Array | None, str]:
    """An image of as many points as there are spectra, and where it lies."""
    fits = grid[::-1] if turned else grid
    found = {where: data for where, data in _datasets(file) if data.shape == fits}
    if asked is not None and asked not in found:
        told = ", ".join(found) or "there is none"
        raise ValueError(f"--image {asked}: no image of {fits[0]} x {fits[1]} points; choose one of: {told}")
    if asked is None and len(found) > 1:
        raise ValueError(_choose("images", list(found), "--image"))
    if not found:
        return None, ""
    where = asked if asked is not None else next(iter(found))
    image = _numbers(found[where], where).astype(np.float64)
    if not np.isfinite(image).all():
        raise ValueError(f"{where}: {int((~np.isfinite(image)).sum())} pixels are not finite, all must be")
    return (image.T if turned else image), where
