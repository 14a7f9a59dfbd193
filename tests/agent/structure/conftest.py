"""Spectrum images as files hold them: blobs of which one kind has a peak."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

HEIGHT, WIDTH, CHANNELS = 20, 24, 50
OFFSET, SCALE = 90.0, 2.0


def counts(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (H, W, E) uint16 on a power law, with a peak in bright places to the right, and an image (H, W)."""
    random = np.random.default_rng([seed, 9])
    y, x = np.indices((HEIGHT, WIDTH))
    at = random.uniform(0, HEIGHT, (10, 2))
    image = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 5.0) for a, b in at)
    energy = OFFSET + SCALE * np.arange(CHANNELS)
    peak = np.exp(-(((energy - 145.0) / 4.0) ** 2))
    expected = 300.0 * (energy / 100.0) ** -3 * (1 + image[..., None]) + 90.0 * (image * x / WIDTH)[..., None] * peak
    return random.poisson(expected).astype(np.uint16), 1000.0 * image + random.normal(size=image.shape)


def hyperspy_layout(file: h5py.File, data: np.ndarray, name: str = "Measured", **changed: Any) -> None:
    """What HyperSpy writes of a signal, without its metadata; ``changed`` are attributes of its signal axis."""
    group = file.create_group(f"Experiments/{name}")
    group["data"] = data
    for n, size in enumerate(data.shape):
        last = n == data.ndim - 1
        attributes = {"name": "yxE"[n], "navigate": not last, "scale": 1.0, "offset": 0.0, "size": size, "units": "px"}
        if last:
            attributes |= {"scale": SCALE, "offset": OFFSET, "units": "eV", **changed}
        for key, value in attributes.items():
            if value is not None:
                group.require_group(f"axis-{n}").attrs[key] = value


def nsid_layout(file: h5py.File, data: np.ndarray, name: str = "Spectrum") -> None:
    """What pyNSID writes of a spectrum image, whose x comes before y."""
    group = file.create_group("Measurement_000/Channel_000")
    main = group.create_dataset(name, data=data.swapaxes(0, 1))
    main.attrs.update({"quantity": "intensity", "units": "counts", "data_type": "SPECTRAL_IMAGE"})
    kinds = (("x", "nm", "SPATIAL", 1.0), ("y", "nm", "SPATIAL", 1.0), ("energy_loss", "eV", "SPECTRAL", SCALE))
    for n, (axis, unit, kind, step) in enumerate(kinds):
        values = step * np.arange(main.shape[n]) + (OFFSET if kind == "SPECTRAL" else 0.0)
        scale = group.create_dataset(axis, data=values)
        scale.attrs.update({"name": axis, "units": unit, "quantity": "distance", "dimension_type": kind})
        scale.make_scale(axis)
        main.dims[n].label = axis
        main.dims[n].attach_scale(scale)


def nexus_layout(file: h5py.File, data: np.ndarray) -> None:
    """A group of NeXus that says what its axes are."""
    group = file.create_group("entry/data")
    group.attrs.update({"NX_class": "NXdata", "signal": "counts", "axes": ["y", ".", "energy"]})
    group["counts"] = data
    group["y"] = np.arange(data.shape[0], dtype=np.float64)
    group["energy"] = OFFSET + SCALE * np.arange(data.shape[2])
    group["energy"].attrs["units"] = "eV"


LAYOUTS = {"hspy": hyperspy_layout, "h5": nsid_layout, "nxs": nexus_layout}


@pytest.fixture
def taken() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The spectra of one seed (H, W, E), the image (H, W) of their field, and their axis (E,) eV."""
    return (*counts(), OFFSET + SCALE * np.arange(CHANNELS))


@pytest.fixture
def put() -> Callable[..., None]:
    """Puts spectra into an open file in HyperSpy's layout."""
    return hyperspy_layout


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """Writes the spectra of a seed in a layout, and an image beside them if asked for."""

    def write(kind: str = "hspy", image: bool = False, data: np.ndarray | None = None, **changed: Any) -> Path:
        path = tmp_path / f"map.{kind}"
        spectra, seen = counts()
        with h5py.File(path, "w") as file:
            LAYOUTS[kind](file, spectra if data is None else data, **changed)
            if image:
                file["haadf"] = seen.T if kind == "h5" else seen
        return path

    return write
