"""Synthetic images and instruments for perception, from closed forms: spheres, discs of confusion, Poisson noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from hardware_bridge.cost import ELECTRONS_PER_PA_S, predict
from hardware_bridge.messages import (
    Acquire,
    Axis,
    Capabilities,
    Command,
    Go,
    Holder,
    InstrumentState,
    Interlocks,
    Optics,
    Settings,
)
from hardware_bridge.observation import Observation

FINE = 3


@dataclass
class Bench:
    """An instrument that shows spheres; rates in electrons per incident electron."""

    convergence_mrad: float = 10.0
    background: float = 0.1
    per_nm: float = 0.0066

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="bench",
            version="1",
            time="stepped",
            beam_energy_keV=200.0,
            convergence_semi_angle_mrad=self.convergence_mrad,
            collection_semi_angle_mrad=20.0,
            haadf_inner_mrad=40.0,
            haadf_outer_mrad=180.0,
            modes=("HAADF", "EELS"),
            holder_channels=("temperature_K", "flow_nl_per_s"),
            probe_diameter_nm=0.2,
            energy_offset_eV=-50.0,
            energy_step_eV=1.0,
            energy_channels=1280,
            detector_fraction={"HAADF": 0.2, "EELS": 0.1},
            stage_to_specimen=(1.0, 0.0, 0.0, 1.0),
            beam_shift_to_specimen=(1.0, 0.0, 0.0, 1.0),
            stage_speed_nm_per_s=1000.0,
            decision_s=0.0,
            settle_s=0.5,
            flyback_s=0.0,
            frame_overhead_s=0.0,
            blank_latency_s=0.0,
        )

    def object(self, spheres: np.ndarray, centre: tuple[float, float], pixels: int, pixel_nm: float) -> np.ndarray:
        """Projected thickness in nm, (n FINE, n FINE), of spheres (x, y, radius) in nm, each chord averaged."""
        n = pixels * FINE
        fine = pixel_nm / FINE
        image = np.zeros((n, n))
        for x, y, radius in spheres:
            column = (x - centre[0]) / fine + n / 2 - 0.5
            row = (y - centre[1]) / fine + n / 2 - 0.5
            reach = radius / fine + 2
            r0, r1 = max(0, math.floor(row - reach)), min(n, math.ceil(row + reach) + 1)
            c0, c1 = max(0, math.floor(column - reach)), min(n, math.ceil(column + reach) + 1)
            if r0 >= r1 or c0 >= c1:
                continue
            squared = ((np.arange(r0, r1)[:, None] - row) ** 2 + (np.arange(c0, c1)[None, :] - column) ** 2) * fine**2
            chord = 2.0 * np.sqrt(np.maximum(radius**2 - squared, 0.0))
            # The volume is exact, whatever the grid.
            if chord.sum() > 0 and r1 - r0 >= 2 * reach and c1 - c0 >= 2 * reach:
                chord *= 4 / 3 * math.pi * radius**3 / (chord.sum() * fine**2)
            image[r0:r1, c0:c1] += chord
        return image

    def rate(
        self, spheres: np.ndarray, centre: tuple[float, float], pixels: int, pixel_nm: float, disc_nm: float = 0.0
    ) -> np.ndarray:
        """Expected share of the incident electrons per pixel, blurred by a disc of confusion."""
        thick = self.object(spheres, centre, pixels, pixel_nm)
        if disc_nm > 0.0:
            n = thick.shape[0]
            fine = pixel_nm / FINE
            at = (np.fft.fftfreq(n) * n) * fine
            edge = (disc_nm - np.hypot(at[:, None], at[None, :])) / fine + 0.5
            disc = np.clip(edge, 0.0, 1.0)
            thick = np.fft.irfft2(np.fft.rfft2(thick) * np.fft.rfft2(disc / disc.sum()), s=thick.shape)
        binned = thick.reshape(pixels, FINE, pixels, FINE).mean(axis=(1, 3))
        return np.maximum(self.background + self.per_nm * binned, 0.0)

    def observe(
        self,
        spheres: np.ndarray,
        rng: np.random.Generator,
        *,
        at: tuple[float, float] = (0.0, 0.0),
        offset: tuple[float, float] = (0.0, 0.0),
        fov_nm: float = 512.0,
        pixels: int = 256,
        incident: float = 1000.0,
        C10_nm: float = 0.0,
        disc_nm: float = 0.0,
        start_s: float = 0.0,
        name: str = "c",
    ) -> Observation:
        """An image asked for at ``at`` that in truth shows the specimen around at + offset; scattering saturates."""
        pixel = fov_nm / pixels
        rate = self.rate(spheres, (at[0] + offset[0], at[1] + offset[1]), pixels, pixel, disc_nm)
        counts = rng.poisson(-np.expm1(-rate) * incident).astype(np.uint16)
        current = 40.0
        dwell = incident / (current * ELECTRONS_PER_PA_S)
        command = Command(
            id=name,
            go=Go(stage_x_nm=at[0], stage_y_nm=at[1]),
            set=Settings(optics=Optics(beam_current_pA=current, C10_nm=C10_nm)),
            acquire=Acquire(mode="HAADF", fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell),
        )
        state = self.state(at, C10_nm, start_s)
        cost = predict(command, state, self.capabilities)
        end = start_s + cost.beam_on_s
        axes = (
            Axis(name="y", size=pixels, offset=0.0, scale=pixel, unit="nm"),
            Axis(name="x", size=pixels, offset=0.0, scale=pixel, unit="nm"),
        )
        return Observation(
            command=command,
            start_s=start_s,
            end_s=end,
            state=self.state(at, C10_nm, end),
            kind="frame",
            data=counts,
            axes=axes,
            row_seen=np.ones(pixels, dtype=bool),
            row_start_s=start_s + dwell * pixels * np.arange(pixels),
            electrons=cost.electrons,
        )

    def state(self, at: tuple[float, float], C10_nm: float, clock_s: float) -> InstrumentState:
        return InstrumentState(
            clock_s=clock_s,
            go=Go(
                stage_x_nm=at[0],
                stage_y_nm=at[1],
                stage_z_nm=0.0,
                beam_shift_x_nm=0.0,
                beam_shift_y_nm=0.0,
                scan_rotation_deg=0.0,
            ),
            optics=Optics(beam_current_pA=40.0, C10_nm=C10_nm),
            holder=Holder(),
            beam_blanked=False,
            interlocks=Interlocks(
                vacuum_ok=True,
                valves_open=True,
                high_tension_on=True,
                screen_up=True,
                aperture_inserted=True,
                detectors_inserted=("HAADF", "EELS"),
            ),
        )


def scatter(rng: np.random.Generator, n: int, extent_nm: float, radii: tuple[float, float]) -> np.ndarray:
    """Spheres (n, 3) as x, y, radius that do not touch, uniform over a square around the origin."""
    spheres: list[tuple[float, float, float]] = []
    tries = 0
    while len(spheres) < n and tries < 100 * n:
        tries += 1
        x, y = rng.uniform(-extent_nm / 2, extent_nm / 2, 2)
        radius = rng.uniform(*radii)
        if all(math.hypot(x - a, y - b) > radius + c + 6.0 for a, b, c in spheres):
            spheres.append((x, y, radius))
    return np.array(spheres).reshape(-1, 3)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(name="scatter")
def scatter_fixture():
    return scatter
