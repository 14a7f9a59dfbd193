"""The surveyor: for a specimen of which nothing is known. Patches in images, elements in spectra, no model of either.

What it gives as particles are patches, at their middle, with the radius of a disc as large; ``real`` is 1, since there
is no target that they could fail to be. One that is seen again keeps its track. The specimen is taken to stand still
and positions are the instrument's own, with its own standard deviation.

Estimates of spectra: ``step_NAME`` for every element asked for, see ``elements``, and ``zero_loss_eV`` where the
spectrum holds it. Energies count from there, or from where it was last seen. An event names elements that are there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from agent.perception.eels import SpectrumReader
from agent.perception.elements import Element, edge_steps
from agent.perception.framed import framed
from agent.perception.patches import find_patches, noise_sd
from agent.perception.references import References
from agent.perception.scan import Scan, scan_of, to_specimen
from digital_twin.spectra import energy_axis_eV
from hardware_bridge.geometry import Point, field_centre_nm
from hardware_bridge.messages import Capabilities
from hardware_bridge.observation import Observation
from hardware_bridge.report import Estimate, Particle, Percept
from hardware_bridge.words import NotNegative, Positive, Word

# How far a patch may be from where it was, as a share of its radius, and how much larger or smaller.
BESIDE_SHARE, LARGER = 0.5, 1.5


class SurveyorSettings(Word, frozen=True, kw_only=True):
    """Which elements to look for; one is there where its step is ``least_step`` and ``sure`` standard deviations."""

    elements: tuple[Element, ...] = ("C", "O", "Al", "Si", "Ti", "Fe", "Ni", "Cu")
    sure: Positive = 5.0
    least_step: NotNegative = 0.05


@dataclass
class _Known:
    x_nm: float
    y_nm: float
    radius_nm: float


@dataclass
class _Found:
    quality: dict[str, float] = field(default_factory=dict)
    estimates: dict[str, Estimate] = field(default_factory=dict)
    particles: list[Particle] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


class Surveyor:
    """Perceives: ``surveyor(observation)`` gives its percept; what cannot be read is not usable in its quality."""

    def __init__(self, capabilities: Capabilities, settings: SurveyorSettings) -> None:
        self.capabilities = capabilities
        self.settings = settings
        self._known: list[_Known] = []
        self._references = References(1.0, capabilities)
        self._readers: dict[tuple[float, float, int], SpectrumReader] = {}
        self._zero_loss_eV = 0.0

    def __call__(self, observation: Observation) -> Percept:
        """Perceive one observation."""
        acquire = observation.command.acquire
        centre = field_centre_nm(observation.state.go, self.capabilities)
        found = _Found()
        if acquire is not None:
            found.quality = {
                "gaps": float(observation.gaps),
                "incident_electrons": observation.electrons,
                "usable": 0.0,
            }
            figures = self._references.learn(observation)
            if figures is None:
                self._see(self._references.corrected(observation), centre, found)
            found.quality |= figures or {}
        return replace(
            framed(observation, centre),
            quality=found.quality,
            estimates=found.estimates,
            particles=tuple(found.particles),
            events=tuple(found.events),
        )

    def _see(self, observation: Observation, centre: Point, found: _Found) -> None:
        scan = scan_of(observation, self.capabilities, 1.0) if observation.kind == "frame" else None
        if scan is not None:
            self._look(scan, centre, observation.state.position_sd_nm, found)
        elif _is_spectrum(observation):
            self._read(observation, found)

    def _look(self, scan: Scan, centre: Point, position_sd_nm: float, found: _Found) -> None:
        found.quality |= {"noise": noise_sd(scan.counts), "usable": 1.0}
        patches = find_patches(scan.counts)
        x, y = to_specimen(scan, centre, np.array([p.row for p in patches]), np.array([p.column for p in patches]))
        sd_nm = math.hypot(position_sd_nm, scan.pixel_nm)
        for patch, x_nm, y_nm in zip(patches, x.tolist(), y.tolist(), strict=True):
            radius_nm = patch.radius * scan.pixel_nm
            found.particles.append(
                Particle(
                    track=self._track(_Known(x_nm, y_nm, radius_nm)),
                    x_nm=x_nm,
                    y_nm=y_nm,
                    radius_nm=radius_nm,
                    x_sd_nm=sd_nm,
                    y_sd_nm=sd_nm,
                    radius_sd_nm=scan.pixel_nm,
                    snr=patch.snr,
                )
            )

    def _track(self, seen: _Known) -> int:
        """The number of a patch: that of the first one known that is like it and where it is, or a new one."""
        for number, known in enumerate(self._known):
            beside_nm = math.dist((seen.x_nm, seen.y_nm), (known.x_nm, known.y_nm))
            larger = max(seen.radius_nm / known.radius_nm, known.radius_nm / seen.radius_nm)
            if beside_nm < BESIDE_SHARE * known.radius_nm and larger < LARGER:
                return number
        self._known.append(seen)
        return len(self._known) - 1

    def _read(self, observation: Observation, found: _Found) -> None:
        counts = np.asarray(observation.data, dtype=np.float64)[observation.row_seen].sum(axis=(0, 1))
        axis = observation.axes[2]
        key = (axis.offset, axis.scale, axis.size)
        energy_eV = energy_axis_eV(*key)
        if key not in self._readers:
            self._readers[key] = SpectrumReader(self.capabilities, energy_eV)
        zero_loss = self._readers[key].zero_loss_eV(counts)
        if zero_loss is not None:
            self._zero_loss_eV = zero_loss.value
        steps = edge_steps(counts, energy_eV - self._zero_loss_eV, self.settings.elements)
        found.quality |= {"counts": float(counts.sum()), "usable": float(bool(steps))}
        found.estimates = {f"step_{name}": step for name, step in steps.items()}
        if zero_loss is not None:
            found.estimates["zero_loss_eV"] = zero_loss
        names = there(found.estimates, self.settings)
        found.events.append(f"edges of {', '.join(names)}" if names else "no edge")


def there(estimates: Mapping[str, Estimate], settings: SurveyorSettings) -> list[Element]:
    """The elements that a spectrum's estimates show."""
    named = ((element, estimates.get(f"step_{element}")) for element in settings.elements)
    return [e for e, step in named if step and step.value > max(settings.least_step, settings.sure * step.sd)]


def _is_spectrum(observation: Observation) -> bool:
    data = observation.data
    return (
        observation.kind == "spectrum"
        and data is not None
        and data.ndim == 3
        and len(observation.axes) == 3
        and bool(observation.row_seen.any())
        and bool(np.isfinite(data).all())
    )
