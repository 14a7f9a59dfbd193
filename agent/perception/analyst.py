"""The analyst: one Observation in, one Percept out, remembering what it needs of those before.

A function of the observations in their order alone: replaying them rebuilds it exactly. Estimates (value and standard
deviation) that it may give:

  drift_x_nm, drift_y_nm   how far the specimen has moved against the instrument's coordinates: the nominal centre of
                           the field less the registered one
  defocus_error_nm         what to add to C10 to be in focus here (from two images of one place at different C10)
  blur_nm                  blur of the image, pixel included: standard deviation along one axis
  thickness_t_over_lambda  thickness in inelastic mean free paths (spectra)
  zero_loss_eV             where the zero-loss peak lies on the axis (spectra)
  oxygen_per_nm2, copper_per_nm2   atoms under the beam (spectra)
  copper_probability       that the spectrum shows copper; its sd is that of a Bernoulli variable (spectra)

Quality figures of images: see ``quality``, and ``incident_electrons`` (sent in all), ``drift_in_frame_nm`` (drift speed
times frame time), ``detection_limit_nm`` (radius that is found half of the time), ``registered`` (how many earlier
images agreed on the place). Of spectra: ``electrons`` detected, ``incident_electrons``, ``edge_misfit`` (reduced
chi-square of the copper fit), ``rows_missing_share``, ``gaps``. ``usable`` is 0 where nothing could be read. Of
diffraction patterns and X-rays see ``spectroscope``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from agent.perception.composition import Composition
from agent.perception.contrast import Brightness, ContrastSettings, Sized, linear
from agent.perception.detection import detectable_radius
from agent.perception.drift import Drift, DriftSettings, Placed
from agent.perception.fit import BLUR_LEAST_PX, Blur
from agent.perception.focus import Lens, Shot
from agent.perception.framed import framed
from agent.perception.pairs import FocusMemory
from agent.perception.particles import Found, find_particles
from agent.perception.quality import Novelty, image_quality
from agent.perception.references import References
from agent.perception.scan import Scan, scan_of, to_specimen
from agent.perception.spectroscope import Spectroscope
from agent.perception.tracking import Sighting, Tracker, TrackSettings
from hardware_bridge.geometry import field_centre_nm
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Estimate, Particle, Percept
from hardware_bridge.words import Positive, Word

IMAGE_MODES = frozenset({"HAADF"})


class AnalystSettings(Word, frozen=True, kw_only=True):
    """How the analyst sees: detector gain, and what is believed of drift, particles and their material."""

    counts_per_electron: Positive = 1.0
    drift: DriftSettings = DriftSettings()
    contrast: ContrastSettings = ContrastSettings()
    tracks: TrackSettings = TrackSettings()


@dataclass(frozen=True)
class _Seen:
    """What one image gave before it is put into words."""

    scan: Scan
    placed: Placed
    found: Found
    sized: Sized


class Analyst:
    """Perceives: ``analyst(observation)`` gives its percept; of bad data it says so in the quality and never raises."""

    def __init__(self, capabilities: Capabilities, settings: AnalystSettings | None = None) -> None:
        self.capabilities = capabilities
        self.settings = settings or AnalystSettings()
        self._drift = Drift(self.settings.drift)
        self._brightness = Brightness(self.settings.contrast, capabilities)
        self._tracker = Tracker(self.settings.tracks, self._brightness)
        self._composition = Composition(capabilities, self.settings.contrast, self._tracker)
        self._focus = FocusMemory(capabilities.convergence_semi_angle_mrad)
        self._novelty = Novelty()
        self._spectroscope = Spectroscope(capabilities)
        self._references = References(self.settings.counts_per_electron, capabilities)

    def __call__(self, observation: Observation) -> Percept:
        """Perceive one observation; the next must be a later one."""
        acquire = observation.command.acquire
        figures = self._references.learn(observation)
        corrected = self._references.corrected(observation)
        go = observation.state.go
        stage_nm = (go.stage_x_nm or 0.0, go.stage_y_nm or 0.0, go.stage_z_nm or 0.0)
        scan = None
        mode = acquire.mode if acquire is not None and figures is None else None
        if observation.kind == "frame" and mode in IMAGE_MODES:
            scan = scan_of(corrected, self.capabilities, self.settings.counts_per_electron)
        self._drift.advance(scan.mid_s if scan else observation.end_s, stage_nm, observation.state.position_sd_nm)
        if scan is not None:
            return self._image(observation, scan)
        if mode is not None and (observation.kind == "pattern" or mode == "EDS"):
            return self._placed(self._spectroscope(corrected))
        if mode is not None and _is_spectrum(observation):
            return self._spectrum(corrected)
        return self._unseen(observation, figures or {})

    def _image(self, observation: Observation, scan: Scan) -> Percept:
        placed = self._drift.register(scan)
        lens = Lens(self.capabilities.convergence_semi_angle_mrad, observation.state.optics.C30_um or 0.0)
        expected_nm, doubt_nm = self._focus.expect(scan, placed.centre_nm)
        believed = _blur(scan, lens, expected_nm, doubt_nm)
        found = find_particles(linear(scan), scan.incident, believed, self._brightness.contrast(scan))
        error = self._focus.learn(_shot(scan, believed, found), placed.centre_nm, lens)
        sized = self._brightness.size(scan, found.blobs)
        seen = _Seen(scan, placed, found, sized)
        limit_nm = self._limit_nm(seen)
        particles, events = self._particles(seen, limit_nm)
        if placed.refused:
            events.append(f"{placed.refused} earlier image(s) of this place contradicted the expected position")
        estimates = {**_drift_estimates(placed), "blur_nm": _blur_estimate(scan, found)}
        if error is not None:
            estimates["defocus_error_nm"] = error
        quality = image_quality(observation, scan, found)
        quality["incident_electrons"] = observation.electrons
        quality["drift_in_frame_nm"] = placed.speed_nm_per_s * (scan.end_s - scan.start_s)
        quality["detection_limit_nm"] = limit_nm
        quality["registered"] = float(placed.matched)
        return Percept(
            command_id=observation.command.id,
            mode="HAADF",
            start_s=observation.start_s,
            end_s=observation.end_s,
            x_nm=placed.centre_nm[0],
            y_nm=placed.centre_nm[1],
            width_nm=scan.size_nm[0],
            height_nm=scan.size_nm[1],
            quality=quality,
            estimates=estimates,
            particles=particles,
            novelty=self._novelty.of(scan, found),
            events=tuple(events),
        )

    def _particles(self, seen: _Seen, limit_nm: float) -> tuple[tuple[Particle, ...], list[str]]:
        """Blobs whose centre lies in the field as tracked particles, with what happened in words."""
        scan, blobs, sized = seen.scan, seen.found.blobs, seen.sized
        height, width = scan.counts.shape
        rows, columns = blobs.values[:, 0], blobs.values[:, 1]
        x, y = to_specimen(scan, seen.placed.centre_nm, rows, columns)
        inside = np.flatnonzero((rows > -0.5) & (rows < height - 0.5) & (columns > -0.5) & (columns < width - 0.5))
        own_sd = scan.pixel_nm * np.sqrt(np.diagonal(blobs.cov, axis1=1, axis2=2)[:, :2])
        common = seen.placed.offset_x_nm.sd, seen.placed.offset_y_nm.sd
        sightings = [
            Sighting(
                x_nm=float(x[i]),
                y_nm=float(y[i]),
                position_sd_nm=float(np.hypot(own_sd[i].max(), min(common))),
                radius_nm=float(sized.radius_nm[i]),
                radius_sd_nm=float(sized.radius_sd_nm[i]),
                free_radius_nm=float(sized.free_radius_nm[i]),
                look=(float(sized.look[i, 0]), float(sized.look[i, 1])),
            )
            for i in inside
        ]
        numbers, events = self._tracker.link(sightings, scan.mid_s, seen.placed.centre_nm, scan.size_nm, limit_nm)
        real = np.array(self._tracker.reals(numbers))
        self._brightness.learn(Sized(*(getattr(sized, name)[inside] for name in Sized.__dataclass_fields__)), real)
        particles = []
        for number, i, sure in zip(numbers, inside, real, strict=True):
            of_target = sure >= 0.5
            particles.append(
                Particle(
                    track=number,
                    x_nm=float(x[i]),
                    y_nm=float(y[i]),
                    radius_nm=float((sized.radius_nm if of_target else sized.free_radius_nm)[i]),
                    x_sd_nm=math.hypot(own_sd[i, 1], common[0]),
                    y_sd_nm=math.hypot(own_sd[i, 0], common[1]),
                    radius_sd_nm=float((sized.radius_sd_nm if of_target else sized.free_radius_sd_nm)[i]),
                    snr=float(seen.found.significance[i]),
                    real=float(sure),
                )
            )
        return tuple(particles), events

    def _limit_nm(self, seen: _Seen) -> float:
        """Radius of a particle of the target that this image would show half of the time."""
        contrast = math.exp(self._brightness.contrast(seen.scan).mean)
        noise = float(seen.found.background.counts.mean())
        return seen.scan.pixel_nm * detectable_radius(max(noise, 1e-9), contrast, seen.found.blur.px)

    def _spectrum(self, observation: Observation) -> Percept:
        acquire, data = observation.command.acquire, observation.data
        assert acquire is not None
        assert data is not None
        placed = self._drift.place(field_centre_nm(observation.state.go, self.capabilities))
        size_nm = (acquire.fov_nm, acquire.fov_nm * acquire.pixels_y / acquire.pixels_x)
        counts = np.asarray(data, dtype=np.float64) / self.settings.counts_per_electron
        counts[~observation.row_seen] = 0.0
        composed = self._composition.read(observation, placed, size_nm, counts)
        return replace(
            framed(observation, placed.centre_nm),
            quality=composed.quality,
            estimates={**_drift_estimates(placed), **composed.estimates},
            particles=composed.particles,
            events=composed.events,
        )

    def _placed(self, percept: Percept) -> Percept:
        """A percept of the spectroscope, which knows of no drift, put where it was taken."""
        placed = self._drift.place((percept.x_nm, percept.y_nm))
        estimates = {**_drift_estimates(placed), **percept.estimates}
        return replace(percept, x_nm=placed.centre_nm[0], y_nm=placed.centre_nm[1], estimates=estimates)

    def _unseen(self, observation: Observation, figures: dict[str, float]) -> Percept:
        """A percept of something that shows no specimen: where and when, and figures of the detector."""
        acquire = observation.command.acquire
        placed = self._drift.place(field_centre_nm(observation.state.go, self.capabilities))
        empty = acquire is not None and (observation.data is None or not observation.row_seen.any())
        return Percept(
            command_id=observation.command.id,
            mode=acquire.mode if acquire else None,
            start_s=observation.start_s,
            end_s=observation.end_s,
            x_nm=placed.centre_nm[0],
            y_nm=placed.centre_nm[1],
            quality={"usable": 0.0, "gaps": float(observation.gaps), **figures} if acquire else {},
            estimates=_drift_estimates(placed),
            events=("no data arrived",) if empty else (),
        )


def _is_spectrum(observation: Observation) -> bool:
    data = observation.data
    return (
        observation.kind == "spectrum"
        and observation.command.acquire is not None
        and data is not None
        and data.ndim == 3
        and len(observation.axes) == 3
        and bool(observation.row_seen.any())
        and bool(np.isfinite(data).all())
    )


def _drift_estimates(placed: Placed) -> dict[str, Estimate]:
    return {
        "drift_x_nm": Estimate(value=-placed.offset_x_nm.value, sd=placed.offset_x_nm.sd),
        "drift_y_nm": Estimate(value=-placed.offset_y_nm.value, sd=placed.offset_y_nm.sd),
    }


def _blur_estimate(scan: Scan, found: Found) -> Estimate:
    blur_nm = found.blur.px * scan.pixel_nm
    return Estimate(value=blur_nm, sd=blur_nm * found.blur.ln_sd)


def _shot(scan: Scan, believed: Blur, found: Found) -> Shot:
    """An image for a pair, with what its particles said of the blur beyond what was believed before."""
    gained = max(found.blur.ln_sd**-2 - believed.ln_sd**-2, 1e-6)
    ln_px = (found.blur.ln_px * found.blur.ln_sd**-2 - believed.ln_px * believed.ln_sd**-2) / gained
    return Shot(scan, ln_px + math.log(scan.pixel_nm), gained**-0.5)


def _blur(scan: Scan, lens: Lens, off_nm: float, doubt_nm: float) -> Blur:
    """What to believe of the blur of an image that is off focus by so much, give or take."""
    off_nm += lens.sharpest_C10_nm
    likely = lens.blur_nm(off_nm + doubt_nm * np.array([-1.5, -0.75, 0.0, 0.75, 1.5])) / scan.pixel_nm
    blurs = np.log(np.hypot(likely, BLUR_LEAST_PX))
    return Blur(float(blurs.mean()), max(float(blurs.std()), 0.1))
