"""The camera of a temscript column: which images it can take, and how it is set to take one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.foreign_temscript.rest import Line
from experiments.foreign_temscript.units import pixel_nm
from hardware_bridge.errors import BridgeError, Rejected
from hardware_bridge.messages import Acquire

READ_OUTS = {"FULL": 1, "HALF": 2, "QUARTER": 4}
SAME = 1e-6


class Camera:
    """A camera with square pixels: what it reads out is a whole, a half or a quarter of its width, binned."""

    def __init__(self, column: Line, name: str) -> None:
        """Ask for the camera's size and pixels; raises Unreachable where there is no such camera."""
        self.name = name
        self._column = column
        about: dict[str, Any] = column.call("get_cameras")
        if name not in about:
            raise BridgeError(f"camera = {name}: this column has {', '.join(about) or 'none'}")
        self._width = int(about[name]["width"])
        self._pixel_um = float(about[name]["pixel_size(um)"])
        self._binnings = [int(binning) for binning in about[name]["binnings"]]

    def images(self) -> dict[str, tuple[str, int, int, float]]:
        """Every image that can be taken at the present magnification: read-out, binning, pixels, width in nm."""
        magnification = float(self._column.call("get_indicated_magnification"))
        if magnification <= 0.0:
            return {}  # the column is in diffraction
        made = {}
        for read_out, part in READ_OUTS.items():
            for binning in self._binnings:
                pixels = self._width // binning // part
                width_nm = pixels * pixel_nm(self._pixel_um, magnification, binning)
                made[f"{pixels} pixels on {width_nm:.6g} nm"] = (read_out, binning, pixels, width_nm)
        return made

    def set(self, acquire: Acquire) -> None:
        """Prepare for an exposure, and read back that the camera is.

        Raises:
            Rejected: there is no such image at this magnification, or the camera did not take the exposure time.
        """
        images = self.images()
        fitting = [
            (read_out, binning)
            for read_out, binning, pixels, width_nm in images.values()
            if acquire.pixels_x == acquire.pixels_y == pixels and abs(acquire.fov_nm / width_nm - 1.0) < SAME
        ]
        if not fitting:
            asked = f"{acquire.pixels_x} x {acquire.pixels_y} pixels on {acquire.fov_nm:.6g} nm"
            raise Rejected("image", "acquire.fov_nm", asked, ", ".join(images) or "none in diffraction")
        read_out, binning = fitting[0]
        wanted = {"image_size": read_out, "binning": binning, "exposure(s)": acquire.dwell_s}
        self._column.call("set_camera_param", self.name, wanted)
        given = self._column.call("get_camera_param", self.name)
        if any(given[key] != value for key, value in wanted.items()):
            raise Rejected("read_back", "acquire.dwell_s", str(wanted), f"the camera took {given}")

    def expose(self) -> NDArray[np.float32]:
        """Take one image, (H, W) float32 in counts: corrected images may hold negative ones."""
        image: NDArray[np.generic] = self._column.call("acquire", self.name)[self.name]
        return np.ascontiguousarray(image, dtype=np.float32)
