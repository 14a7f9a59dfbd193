"""The Direct Electron camera, over DE-Server's protocol: which images it takes, and one exposure at a time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import deapi
import numpy as np
from numpy.typing import NDArray

from hardware_bridge.errors import Rejected, Unreachable
from hardware_bridge.messages import Acquire

FRAME_S = 0.1
"""One read-out of the sensor, of which an exposure is the sum: 40 electrons/pixel/s fill a third of its range."""

BINNINGS = (1, 2)
SAME = 1e-4
POLL_S = 0.01
READY_S = 120.0
TEMPERATURE = "Simulator Virtual Specimen Temperature (C)"
ZERO_C_K = 273.15
STOP = b"PyClientStopAcq"


class Camera:
    """A camera; ``stop`` may be called from any thread, the rest is held apart by a lock."""

    def __init__(self, host: str, port: int, pixel_scale: float) -> None:
        """Connect and have it make ready its dark and gain references, which takes seconds.

        ``pixel_scale`` is the measured size of a pixel at the specimen as a multiple of what the camera says.
        """
        self._address = (host, port)
        self._lock = threading.Lock()
        self._line = deapi.Client()
        self._line.usingMmf = False
        self._line.connect(host, port)
        self._set("Frames Per Second", 1.0 / FRAME_S)
        self.pixels = int(self._get("Sensor Size X (pixels)"))
        self._set("Hardware Binning X", 1)
        self.pixel_nm = pixel_scale * self._get("Specimen Pixel Size X (nanometers)")
        for binning in BINNINGS:
            self._set("Hardware Binning X", binning)
            self.expose(FRAME_S, lambda: False, READY_S)

    @property
    def temperature_K(self) -> float:
        """Of the specimen, as the holder reads it."""
        return self._get(TEMPERATURE) + ZERO_C_K

    def heat(self, temperature_K: float) -> None:
        """Give the holder a new set point, which it follows by itself."""
        with self._lock:
            self._line[TEMPERATURE] = temperature_K - ZERO_C_K

    def binning(self, acquire: Acquire) -> int:
        """How the sensor must be binned for an acquisition; raises Rejected for images that it does not take."""
        for binning in BINNINGS:
            if (acquire.pixels_x, acquire.pixels_y) == (self.pixels // binning,) * 2:
                break
        else:
            taken = " or ".join(f"{self.pixels // b} x {self.pixels // b}" for b in BINNINGS)
            raise Rejected("camera", "acquire.pixels", f"{acquire.pixels_x} x {acquire.pixels_y}", taken)
        if abs(acquire.fov_nm / self.fov_nm - 1.0) > SAME:
            raise Rejected("camera", "acquire.fov_nm", f"{acquire.fov_nm:g}", f"{self.fov_nm:g} at this magnification")
        if abs(round(acquire.dwell_s / FRAME_S) * FRAME_S - acquire.dwell_s) > SAME * FRAME_S:
            raise Rejected("camera", "acquire.dwell_s", f"{acquire.dwell_s:g}", f"a multiple of {FRAME_S:g} s")
        return binning

    @property
    def fov_nm(self) -> float:
        """Width of its field at the specimen."""
        return self.pixels * self.pixel_nm

    def set(self, acquire: Acquire) -> None:
        """Make ready for an acquisition; raises Rejected."""
        self._set("Hardware Binning X", self.binning(acquire))

    def expose(self, exposure_s: float, is_over: Callable[[], bool], wait_s: float) -> NDArray[np.float32] | None:
        """Take one image, (H, W) in analogue-digital units, dark and gain corrected; None where it was cut short.

        Raises:
            Unreachable: it is not there ``wait_s`` after the exposure should have ended.
        """
        with self._lock:
            self._line["Frame Count"] = round(exposure_s / FRAME_S)
            self._line.start_acquisition(1)
        deadline_s = time.monotonic() + exposure_s + wait_s
        while self._is_acquiring():
            if is_over():
                self.stop()
                return None
            if time.monotonic() > deadline_s:
                raise Unreachable(f"the camera has no image {wait_s:g} s after its exposure should have ended")
            time.sleep(POLL_S)
        if is_over():
            return None
        with self._lock:
            image = self._line.get_result("SUMTOTAL", deapi.PixelFormat.FLOAT32).image
        return np.ascontiguousarray(image, dtype=np.float32)

    def stop(self) -> None:
        """End an exposure under way; from any thread."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.sendto(STOP, self._address)

    def _is_acquiring(self) -> bool:
        with self._lock:
            return bool(self._line.acquiring)

    def _get(self, name: str) -> float:
        with self._lock:
            return float(self._line[name])

    def _set(self, name: str, value: float) -> None:
        with self._lock:
            self._line[name] = value
            told = self._line[name]
        if float(told) != value:
            raise Unreachable(f"the camera's {name} was set to {value:g} and reads {told}")
