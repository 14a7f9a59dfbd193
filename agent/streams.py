"""The arrays of a run: one HDF5 file a stream, in HyperSpy's layout, readable by HyperSpy while the run goes on.

A stream is what stacks: same mode, type, shape and axes. Item n of the stack is one turn's newest frame. The layout is
HyperSpy's file format 3.3, written by h5py append in HDF5's default version, on disk every turn. Beside the data, under
``original_metadata/adaptem``, lie what is needed to rebuild an observation (``row_start_s``, ``row_seen``, both (N, H))
and a table with one row a turn whose columns are named in its attribute.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from agent.record import ArrayRef
from agent.turnfile import TurnFile
from hardware_bridge.messages import Axis, Capabilities
from hardware_bridge.observation import Observation

FOLDER = "arrays"
COLUMNS = ("turn", "start_s", "end_s", "dwell_s", "beam_current_pA", "stage_x_nm", "stage_y_nm", "stage_z_nm", "C10_nm")

_CHUNK_BYTES = 8 << 20
_SIGNAL_AXES = {"frame": 2, "spectrum": 1, "pattern": 2}
_SIGNAL_TYPES = {"EELS": "EELS", "EDS": "EDS_TEM"}
_SPECTRUM_AXES = {"EELS": "Energy loss", "EDS": "Energy"}


def arrays_hash(data: NDArray[np.generic], row_seen: NDArray[np.bool_], row_start_s: NDArray[np.float64]) -> str:
    """XXH3 (64 bits, 16 hex digits) over the bytes of an observation's arrays."""
    digest = xxhash.xxh3_64()
    for array in (data, row_seen, row_start_s):
        digest.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    return digest.hexdigest()


class Streams:
    """The open array files of a run being written."""

    def __init__(self, folder: Path, capabilities: Capabilities) -> None:
        """Write below ``folder``; ``capabilities`` fill in the microscope's part of the metadata."""
        self._folder = folder
        self._capabilities = capabilities
        self._files: dict[str, tuple[h5py.File, TurnFile]] = {}

    def append(self, observation: Observation, turn: int) -> tuple[ArrayRef, str]:
        """Put the arrays of a turn on disk; returns where they lie and their hash.

        Raises:
            OSError: the file cannot be written; it holds the turns before.
        """
        data = observation.data
        assert data is not None
        file, disk = self._stream(observation, data)
        group = file["Experiments"][next(iter(file["Experiments"]))]
        own = group["original_metadata/adaptem"]
        index = int(group["data"].shape[0])
        for dataset, item in (
            (group["data"], data),
            (own["row_start_s"], observation.row_start_s),
            (own["row_seen"], observation.row_seen),
            (own["table"], _row(observation, turn)),
        ):
            dataset.resize(index + 1, axis=0)
            dataset[index] = item
        group["axis-0"].attrs["size"] = index + 1
        file.flush()
        disk.commit()
        ref = ArrayRef(file=f"{FOLDER}/{disk.path.name}", index=index)
        return ref, arrays_hash(data, observation.row_seen, observation.row_start_s)

    def reopen(self, referenced: Iterable[ArrayRef]) -> None:
        """Open the files of an interrupted run and cut off what no record refers to.

        A file that cannot be opened is left as it is, and its stream goes on in a new one.
        """
        counts: dict[str, int] = {}
        for ref in referenced:
            counts[ref.file] = max(counts.get(ref.file, 0), ref.index + 1)
        for path in sorted((self._folder / FOLDER).glob("*.hspy")):
            disk = TurnFile(path, new=False)
            try:
                file = h5py.File(disk, "r+")
                key = _truncate(file, counts.get(f"{FOLDER}/{path.name}", 0))
            except (OSError, KeyError, RuntimeError):
                disk.close()
                continue
            disk.commit()
            self._files[key] = file, disk

    def close(self) -> None:
        """Close all files; they hold what was put on disk."""
        for file, disk in self._files.values():
            file.close()
            disk.close()
        self._files.clear()

    def _stream(self, observation: Observation, data: NDArray[np.generic]) -> tuple[h5py.File, TurnFile]:
        acquire = observation.command.acquire
        mode = acquire.mode if acquire is not None else "none"
        key = msgspec.json.encode((mode, observation.kind, data.dtype.str, observation.axes)).decode()
        if key not in self._files:
            path = self._free_path(_title(mode, observation.axes))
            path.parent.mkdir(exist_ok=True)
            disk = TurnFile(path, new=True)
            file = h5py.File(disk, "w")
            self._files[key] = file, disk
            group = file.create_group(f"Experiments/{path.stem}")
            group.attrs["adaptem_stream"] = key
            _lay_out(file, group, observation, data)
            _write_tree(group.create_group("metadata"), _metadata(path.stem, mode, self._capabilities))
        return self._files[key]

    def _free_path(self, title: str) -> Path:
        path, number = self._folder / FOLDER / f"{title}.hspy", 2
        while path.exists():
            path, number = path.with_name(f"{title}_{number}.hspy"), number + 1
        return path


def _title(mode: str, axes: tuple[Axis, ...]) -> str:
    """Name of a stream: mode, shape and pixel, such as ``HAADF_256x256_1.95nm``."""
    pixel = f"_{axes[0].scale:.4g}{axes[0].unit}".replace("/", "per") if axes else ""
    return f"{mode}_{'x'.join(str(axis.size) for axis in axes)}{pixel}"


def _row(observation: Observation, turn: int) -> NDArray[np.float64]:
    acquire, state = observation.command.acquire, observation.state
    values = {
        "turn": turn,
        "start_s": observation.start_s,
        "end_s": observation.end_s,
        "dwell_s": acquire.dwell_s if acquire is not None else None,
        "beam_current_pA": state.optics.beam_current_pA,
        "stage_x_nm": state.go.stage_x_nm,
        "stage_y_nm": state.go.stage_y_nm,
        "stage_z_nm": state.go.stage_z_nm,
        "C10_nm": state.optics.C10_nm,
    }
    return np.array([np.nan if values[name] is None else values[name] for name in COLUMNS], dtype=np.float64)


def _lay_out(file: h5py.File, group: h5py.Group, observation: Observation, data: NDArray[np.generic]) -> None:
    """Make the empty stack, its axes and the side tables."""
    file.attrs["file_format"] = "HyperSpy"
    file.attrs["file_format_version"] = "3.3"
    file.attrs["package"] = group.attrs["package"] = "hyperspy"
    file.attrs["package_version"] = group.attrs["package_version"] = "2.5.0"
    rows = max(1, min(data.shape[0], _CHUNK_BYTES // max(1, data[0].nbytes)))
    group.create_dataset(
        "data", (0, *data.shape), data.dtype, maxshape=(None, *data.shape), chunks=(1, rows, *data.shape[1:])
    )
    own = group.create_group("original_metadata/adaptem")
    height = data.shape[0]
    for name, dtype, width in (("row_start_s", "f8", height), ("row_seen", "?", height), ("table", "f8", len(COLUMNS))):
        own.create_dataset(name, (0, width), dtype, maxshape=(None, width), chunks=(16, width))
    own.attrs["table_columns"] = " ".join(COLUMNS)
    _write_axis(group, 0, Axis(name="turn", size=1, offset=0.0, scale=1.0, unit=""), navigate=True)
    signal_axes = _SIGNAL_AXES[observation.kind or "frame"]
    acquire = observation.command.acquire
    for number, axis in enumerate(observation.axes, start=1):
        navigate = number <= len(observation.axes) - signal_axes
        _write_axis(group, number, axis, navigate)
        if observation.kind == "spectrum" and not navigate and acquire is not None:
            group[f"axis-{number}"].attrs["name"] = _SPECTRUM_AXES.get(acquire.mode, axis.name)


def _write_axis(group: h5py.Group, number: int, axis: Axis, navigate: bool) -> None:
    attrs = group.create_group(f"axis-{number}").attrs
    attrs["_type"] = "UniformDataAxis"
    attrs["name"], attrs["units"] = axis.name, axis.unit
    attrs["size"], attrs["offset"], attrs["scale"] = axis.size, axis.offset, axis.scale
    attrs["navigate"], attrs["is_binned"] = navigate, False


def _metadata(title: str, mode: str, capabilities: Capabilities) -> dict[str, Any]:
    """HyperSpy's metadata tree; with it, exSpy has all it needs to quantify a spectrum."""
    microscope: dict[str, Any] = {
        "acquisition_mode": "TEM" if mode == "HRTEM" else "STEM",
        "microscope": capabilities.name,
        "beam_energy": capabilities.beam_energy_keV,
        "convergence_angle": capabilities.convergence_semi_angle_mrad,
    }
    if mode == "EELS":
        microscope["Detector"] = {"EELS": {"collection_angle": capabilities.collection_semi_angle_mrad}}
    return {
        "General": {"title": title},
        "Signal": {"signal_type": _SIGNAL_TYPES.get(mode, ""), "quantity": "Electrons (Counts)"},
        "Acquisition_instrument": {"TEM": microscope},
    }


def _write_tree(group: h5py.Group, tree: dict[str, Any]) -> None:
    for name, value in tree.items():
        if isinstance(value, dict):
            _write_tree(group.create_group(name), value)
        else:
            group.attrs[name] = value


def _truncate(file: h5py.File, count: int) -> str:
    """Cut a stream to its first ``count`` items; returns its key."""
    group = file["Experiments"][next(iter(file["Experiments"]))]
    own = group["original_metadata/adaptem"]
    count = min(count, *(int(dataset.shape[0]) for dataset in (group["data"], *own.values())))
    for dataset in (group["data"], *own.values()):
        dataset.resize(count, axis=0)
    group["axis-0"].attrs["size"] = count
    file.flush()
    return str(group.attrs["adaptem_stream"])
