"""Spectrum images of each layout come back as they were, HyperSpy's own among them; what is wrong is told by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from agent.structure.files import read_spectrum_image

Stored = Callable[..., Path]
Taken = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.mark.parametrize("kind", ["hspy", "h5", "nxs"])
def test_spectra_axis_and_image_come_back(stored: Stored, taken: Taken, kind: str) -> None:
    spectra, image, axis = taken
    found = read_spectrum_image(stored(kind, image=True))
    assert np.array_equal(found.counts, spectra)
    assert found.counts.dtype == np.uint16
    assert found.axis == pytest.approx(axis)
    assert found.unit == "eV"
    assert found.image is not None
    assert np.array_equal(found.image, image)
    assert found.image_name == "haadf"
    alone = read_spectrum_image(stored(kind))
    assert alone.image is None


def test_what_hyperspy_itself_writes_is_read(tmp_path: Path, taken: Taken) -> None:
    hs = pytest.importorskip("hyperspy.api")
    spectra, image, axis = taken
    signal = hs.signals.Signal1D(spectra)
    energy = signal.axes_manager.signal_axes[0]
    energy.offset, energy.scale, energy.units, energy.name = axis[0], axis[1] - axis[0], "eV", "Energy loss"
    signal.save(tmp_path / "map.hspy")
    with h5py.File(tmp_path / "map.hspy") as file:
        held = len(file["Experiments"])
    found = read_spectrum_image(tmp_path / "map.hspy")
    assert held == 1
    assert np.array_equal(found.counts, spectra)
    assert found.axis == pytest.approx(axis)
    assert found.unit == "eV"
    # An axis whose values are all told.
    uneven = signal.isig[:]
    uneven.axes_manager.signal_axes[0].convert_to_non_uniform_axis()
    uneven.save(tmp_path / "uneven.hspy")
    assert read_spectrum_image(tmp_path / "uneven.hspy").axis == pytest.approx(axis)
    # An image alone is no spectrum image.
    hs.signals.Signal2D(image).save(tmp_path / "image.hspy")
    with pytest.raises(ValueError, match=r"image\.hspy: no dataset of three dimensions"):
        read_spectrum_image(tmp_path / "image.hspy")


def test_measured_counts_are_read_from_hyperspys_file(tmp_path: Path, shared_data: Path) -> None:
    hs = pytest.importorskip("hyperspy.api")
    with np.load(shared_data / "nanoparticles_haadf_eds_200kV.npz", allow_pickle=False) as held:
        measured = held["eds"]
    signal = hs.signals.Signal1D(measured)
    signal.axes_manager.signal_axes[0].units = "keV"
    signal.save(tmp_path / "eds.hspy")
    found = read_spectrum_image(tmp_path / "eds.hspy")
    assert np.array_equal(found.counts, measured)
    assert found.unit == "keV"


def test_of_several_one_is_chosen(tmp_path: Path, taken: Taken, put: Callable[..., None]) -> None:
    spectra, image, _ = taken
    with h5py.File(tmp_path / "two.hspy", "w") as file:
        put(file, spectra, "A")
        put(file, spectra[:, :, ::-1], "B")
        file["one"], file["other"] = image, 2 * image
    path = tmp_path / "two.hspy"
    with pytest.raises(ValueError, match="2 spectrum images, choose one with --dataset: Experiments/A/data, Exp"):
        read_spectrum_image(path)
    with pytest.raises(ValueError, match="2 images, choose one with --image: one, other"):
        read_spectrum_image(path, "Experiments/B/data")
    found = read_spectrum_image(path, "Experiments/B/data", "other")
    assert np.array_equal(found.counts, spectra[:, :, ::-1])
    assert found.image == pytest.approx(2 * image)
    with pytest.raises(ValueError, match="--dataset C: choose one of Experiments/A/data"):
        read_spectrum_image(path, "C")
    with pytest.raises(ValueError, match="--image C: no image of 20 x 24 points; choose one of: one, other"):
        read_spectrum_image(path, "Experiments/A/data", "C")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"navigate": True}, "no signal axis is marked in Experiments/Measured/data: HyperSpy marks it by navigate"),
        ({"scale": np.nan}, "axis-2 scale = .*nan.*: must be a finite number"),
        ({"scale": None}, "axis-2 scale = None: must be a finite number"),
        ({"offset": "far"}, "axis-2 offset = 'far': must be a finite number"),
        ({"scale": -1.0}, "its signal axis E must rise"),
        ({"navigate": "no"}, "axis-2 navigate = 'no': must be a finite number"),
    ],
)
def test_axes_that_are_wrong_are_told(stored: Stored, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_spectrum_image(stored(**changed))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (np.zeros((8, 8, 9)), "Experiments/Measured/data: all counts are 0"),
        (np.where(np.arange(9) == 3, np.nan, np.ones((8, 8, 9))), "data: 64 values are not finite"),
        (np.ones((3, 8, 9)), "3 x 8 spectra of 9 channels, at least 4 x 4 of 4"),
        (np.ones((8, 8, 2)), "8 x 8 spectra of 2 channels, at least 4 x 4 of 4"),
        (np.ones((8, 8, 0)), "8 x 8 spectra of 0 channels, at least 4 x 4 of 4"),
        (np.ones((8, 8)), "no dataset of three dimensions"),
        (np.ones((8, 8, 9), dtype=complex), "no dataset of three dimensions"),
    ],
)
def test_counts_that_are_none_are_told(stored: Stored, data: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_spectrum_image(stored(data=data))


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.hspy").write_bytes(b"no HDF5 at all")
    with pytest.raises(ValueError, match=r"a\.hspy: cannot be read"):
        read_spectrum_image(tmp_path / "a.hspy")
    with pytest.raises(ValueError, match=r"b\.hspy: cannot be read"):
        read_spectrum_image(tmp_path / "b.hspy")
    with pytest.raises(ValueError, match=r"c\.dm4: \.dm4: one of \.hspy"):
        read_spectrum_image(tmp_path / "c.dm4")


def test_values_of_other_files_are_not_read(tmp_path: Path, put: Callable[..., None]) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(8 * 8 * 9))
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        put(file, np.ones((8, 8, 9), np.uint8))
        del file["Experiments/Measured/data"]
        file["Experiments/Measured"].create_dataset("data", (8, 8, 9), np.uint8, external=str(secret))
    with pytest.raises(ValueError, match="takes its values from other files"):
        read_spectrum_image(tmp_path / "a.hspy")


def test_an_image_that_is_not_finite_is_told(stored: Stored) -> None:
    path = stored(image=True)
    with h5py.File(path, "a") as file:
        file["haadf"][3, 4] = np.inf
    with pytest.raises(ValueError, match="haadf: 1 pixels are not finite"):
        read_spectrum_image(path)
