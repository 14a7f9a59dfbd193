# SPDX-License-Identifier: GPL-3.0-only
"""Nion Swift's simulator, headless: its controls in SI units, and one way each to scan and to take a spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from nion.data.DataAndMetadata import DataAndMetadata
from nion.device_kit.ScanDevice import ScanFrameParameters
from nion.instrumentation import scan_base
from nion.instrumentation.camera_base import CameraFrameParameters
from nion.usim_device.DeviceConfiguration import AcquisitionContextConfiguration
from nion.utils.Geometry import FloatPoint
from numpy.typing import NDArray

from hardware_bridge.errors import BridgeError

Array = NDArray[np.float32]
Point = tuple[float, float]

CENTRE = 0.5


class SeededNoise:
    """In the place of usim's ``PoissonNoise``, whose draws no seed repeats: the same again at the same seed.

    usim sets ``poisson_level``, the mean; as there, what is added is a Gaussian's where that is large, less the mean.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.poisson_level: float | None = None

    def apply(self, spectrum: DataAndMetadata) -> DataAndMetadata:
        """Add noise to a frame."""
        level, shape = self.poisson_level, spectrum.data_shape
        if not level:
            return spectrum
        large = level > 1
        noise = (
            self._random.normal(0.0, math.sqrt(level), shape) if large else self._random.poisson(level, shape) - level
        )
        return spectrum + noise.astype(spectrum.data.dtype)


class Column:
    """The simulated instrument. Lengths in m and points as (x, y), unless a name says otherwise."""

    def __init__(self, folder: Path, sample: int, energy_step_eV: float, seed: int = 0) -> None:
        """Switch it on; it keeps its settings in ``folder``. All of its noise follows from the seed, frame by frame.

        Raises:
            ValueError: there is no such sample.
        """
        made = AcquisitionContextConfiguration(sample_index=sample, set_configuration_location=False)
        samples = made._instrument.scan_data_generator.sample_titles
        if not 0 <= sample < len(samples):
            self._cameras = (made.eels_camera_device, made.ronchigram_camera_device)
            self.close()
            raise ValueError(f"sample = {sample}: this simulator has {', '.join(samples)}, counted from 0")
        scan_base.run(folder)
        made.run()
        self.sample: str = samples[sample]
        self._instrument = made.instrument
        self._scanner = made.scan_module.device
        self._spectrometer = made.eels_camera_device
        self._cameras = (made.eels_camera_device, made.ronchigram_camera_device)
        # Its images take their noise from numpy's one generator.
        np.random.seed(seed)  # noqa: NPY002
        self._spectrometer.simulator.noise = SeededNoise(seed)
        made.instrument.value_manager.energy_per_channel_eV = energy_step_eV
        _, energy = self._spectrometer.get_dimensional_calibrations(None, None)
        self.energy_offset_eV, self.energy_step_eV = float(energy.offset), float(energy.scale)
        self.energy_channels = int(self._spectrometer.sensor_dimensions[1])

    def value(self, name: str) -> float:
        """Read a control."""
        return float(self._instrument.GetVal(name))

    def set_value(self, name: str, value: float) -> None:
        """Set a control and read it back; raises BridgeError where it did not take the value."""
        took = self._instrument.SetVal(name, value)
        self._check(name, took, (value,), (self.value(name),))

    def point(self, name: str) -> Point:
        """Read a control that has two components."""
        point = self._instrument.GetVal2D(name)
        return float(point.x), float(point.y)

    def set_point(self, name: str, point: Point) -> None:
        """Set a control that has two components and read it back; raises BridgeError as ``set_value`` does."""
        took = self._instrument.SetVal2D(name, FloatPoint(x=point[0], y=point[1]))
        self._check(name, took, point, self.point(name))

    @staticmethod
    def _check(name: str, took: bool, asked: tuple[float, ...], read: tuple[float, ...]) -> None:
        same = (math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-18) for a, b in zip(asked, read, strict=True))
        if not took or not all(same):
            raise BridgeError(f"{name} was set to {asked} and reads {read}")

    def scan(self, shape: tuple[int, int], width_nm: float, dwell_s: float, rotation_rad: float) -> Iterator[Array]:
        """Scan one frame of (rows, columns) and yield its rows as they come, (n, columns) float32, until cancelled."""
        rows, columns = shape
        # Its field of view is the height.
        height_nm = width_nm * rows / columns
        self._scanner.set_frame_parameters(
            ScanFrameParameters(
                pixel_size=shape, pixel_time_us=1e6 * dwell_s, fov_nm=height_nm, rotation_rad=rotation_rad
            )
        )
        self._scanner.start_frame(False)
        number, skip, done, complete = None, 0, 0, False
        while not complete:
            elements, complete, _, _, number, skip = self._scanner.read_partial(number, skip)
            here = rows if complete else skip // columns
            if here > done:
                yield np.array(elements[0]["data"][done:here], dtype=np.float32)
                done = here

    def spectrum(self, offset_nm: Point, context_nm: float, exposure_s: float) -> Array:
        """Park the probe so far from the axis, within a square of ``context_nm``, and expose once: (E,) float32."""
        x, y = (CENTRE + offset / context_nm for offset in offset_nm)
        self._instrument._update_scan_context((1, 1), (0.0, 0.0), context_nm, 0.0)
        self._instrument.probe_position = FloatPoint(x=x, y=y)
        parameters = CameraFrameParameters(exposure_ms=1e3 * exposure_s, binning=1, processing="sum_project")
        self._spectrometer.acquire_sequence_begin(parameters, 1)
        try:
            given = self._spectrometer.acquire_sequence_continue()
            return np.array(given.xdata.data[0], dtype=np.float32)
        finally:
            self._spectrometer.acquire_sequence_end()

    def cancel(self) -> None:
        """End the scan or the exposure that runs, from any thread; what it then still gives is worth nothing."""
        self._scanner.cancel()
        self._spectrometer.acquire_sequence_cancel()

    def close(self) -> None:
        """Switch it off: its cameras have threads that would keep the process alive."""
        for camera in self._cameras:
            camera.close()
