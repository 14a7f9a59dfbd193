"""What the agent sees in camera images: where focus is, from Thon rings, and what is darker than film."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agent.perception.thon import Rings, Source, focus_C10, rings_of
from hardware_bridge.geometry import field_centre_nm, pixel_to_specimen
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Estimate, Particle, Percept

ESTIMATE = "defocus_error_nm"
SAME_PLACE_NM = 50.0
SMOOTH_PX = 1.5
BRIGHT_PERCENTILE = 90.0
DARK = 0.6
"""Of the light that film lets through: less is a particle. The rim of a ball, thinner than that, is missed."""

LEAST_PIECE_NM = 6.0


class Eyes:
    """Perceives HRTEM images: ``eyes(observation)`` gives a percept.

    ``defocus_error_nm`` is what to add to C10 to be in Gaussian focus, from all images of the present place. Particles
    are dark pieces of the image; ``covered_share`` is the part of the field that they take. What counts as bright is
    learned from all images so far, so that a field without film is not taken for an empty one.
    """

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._shots: list[Rings] = []
        self._place_nm = (math.inf, math.inf)
        self._bright_per_s = 0.0
        self._seen = 0

    def __call__(self, observation: Observation) -> Percept:
        """Perceive one observation; one without a whole image gives a percept that is not usable."""
        acquire, go = observation.command.acquire, observation.state.go
        centre_nm = field_centre_nm(go, self._capabilities)
        if acquire is None or observation.data is None or observation.aborted or not observation.row_seen.all():
            return Percept(
                command_id=observation.command.id,
                mode=acquire.mode if acquire is not None else None,
                start_s=observation.start_s,
                end_s=observation.end_s,
                x_nm=centre_nm[0],
                y_nm=centre_nm[1],
                quality={"usable": 0.0},
            )
        image = np.asarray(observation.data, dtype=np.float64)
        C10_nm = observation.state.optics.C10_nm or 0.0
        if math.dist(centre_nm, self._place_nm) > SAME_PLACE_NM:
            self._shots, self._place_nm = [], centre_nm
        self._shots.append(rings_of(image, acquire.fov_nm / acquire.pixels_x, C10_nm))
        optics = observation.state.optics
        source = Source(
            self._capabilities.beam_energy_keV, self._capabilities.convergence_semi_angle_mrad, optics.C30_um or 0.0
        )
        focus = focus_C10(self._shots, source)
        dark = self._dark(image, acquire.dwell_s)
        return Percept(
            command_id=observation.command.id,
            mode=acquire.mode,
            start_s=observation.start_s,
            end_s=observation.end_s,
            x_nm=centre_nm[0],
            y_nm=centre_nm[1],
            width_nm=acquire.fov_nm,
            height_nm=acquire.fov_nm * acquire.pixels_y / acquire.pixels_x,
            quality={"usable": 1.0, "covered_share": float(dark.mean()), "incident_electrons": observation.electrons},
            estimates={} if focus is None else {ESTIMATE: Estimate(value=focus.value - C10_nm, sd=focus.sd)},
            particles=self._particles(observation, dark),
        )

    def _dark(self, image: NDArray[np.float64], exposure_s: float) -> NDArray[np.bool_]:
        smooth = ndimage.gaussian_filter(image, SMOOTH_PX) / exposure_s
        self._bright_per_s = max(self._bright_per_s, float(np.percentile(smooth, BRIGHT_PERCENTILE)))
        return np.asarray(smooth < DARK * self._bright_per_s)

    def _particles(self, observation: Observation, dark: NDArray[np.bool_]) -> tuple[Particle, ...]:
        acquire = observation.command.acquire
        assert acquire is not None
        pixel_nm = acquire.fov_nm / acquire.pixels_x
        labels, count = ndimage.label(dark)
        areas_nm2 = np.bincount(labels.ravel(), minlength=count + 1)[1:] * pixel_nm**2
        large = 1 + np.flatnonzero(areas_nm2 >= LEAST_PIECE_NM**2)
        centre_nm = field_centre_nm(observation.state.go, self._capabilities)
        particles = []
        places = np.reshape(ndimage.center_of_mass(dark, labels, large), (-1, 2))
        for index, (row, column) in zip(large, places, strict=True):
            x_nm, y_nm = pixel_to_specimen(centre_nm, acquire, 0.0, (float(row), float(column)))
            self._seen += 1
            particles.append(
                Particle(
                    track=self._seen,
                    x_nm=x_nm,
                    y_nm=y_nm,
                    radius_nm=math.sqrt(float(areas_nm2[index - 1]) / math.pi),
                    x_sd_nm=observation.state.position_sd_nm,
                    y_sd_nm=observation.state.position_sd_nm,
                    radius_sd_nm=pixel_nm * SMOOTH_PX,
                    snr=0.0,
                )
            )
        return tuple(particles)
