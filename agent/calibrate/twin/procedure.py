"""The whole fit of a twin: one measurement after the other, each with its error or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.calibrate.twin import current, darks, focusing, source, track, transfer
from agent.calibrate.twin.evidence import Evidence
from agent.calibrate.twin.found import Found
from agent.perception.focus import Lens


@dataclass(frozen=True)
class Fitted:
    """All parameters, and the tracks they came from for pictures; a track is a str where there is none."""

    found: Found
    drift: track.Drifted | str
    focus: focusing.Focus | str


def calibrate(
    evidence: Evidence, source_name: str, share: float | None = None, say: Callable[[str], None] = lambda line: None
) -> Fitted:
    """Fit everything that recorded images tell of the instrument that took them.

    ``share`` is the part of the incident electrons that the images count, where it is known; ``say`` is told each step.
    """
    say(f"{len(evidence.images)} images, {len(evidence.darks)} dark references")
    dark = darks.dark_of(evidence.darks)
    say("photon transfer")
    line = transfer.photon_transfer(evidence, dark)
    parameters = transfer.parameters(line, dark)
    gain = parameters[0]
    gain_counts = gain.value if gain.value is not None else 1.0
    parameters += darks.parameters(dark, all(frame.is_whole for frame in evidence.darks))
    stay = evidence.stay()
    level = dark.at(stay[0].dwell_s if stay else None) if dark is not None else 0.0
    pedestal = dark.var / gain_counts**2 if dark is not None else 0.0
    scans = [frame.in_electrons(gain_counts, level, pedestal) for frame in stay]
    say("drift")
    drift = track.follow(scans)
    gained = None if gain.value is None else (gain.value, gain.sd or 0.0)
    placed = None if isinstance(drift, str) else drift.track
    parameters += current.parameters(placed, evidence.images, gained, level, share)
    say("focus")
    column = evidence.column
    lens = None
    if column is not None and stay:
        lens = Lens(column.convergence_semi_angle_mrad, stay[0].optics.C30_um or 0.0)
    focus = focusing.follow(scans, lens)
    say("source")
    near = [frame.in_electrons(gain_counts, level, pedestal) for frame in source.series(evidence)]
    parameters += [source.parameter(evidence, near), *track.parameters(drift), *focusing.parameters(focus)]
    return Fitted(Found(source=source_name, parameters=tuple(parameters)), drift, focus)
