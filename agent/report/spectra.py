"""Electron energy-loss spectra, with the edges that tell copper from what is not."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from agent.reading import Run
from agent.report import gathered
from agent.report.gathered import Array, Look
from agent.report.style import BLUE, QUIET, VERMILION, label, panel, tick
from hardware_bridge.observation import Observation

EDGES_EV = (("O K", 532.0), ("Cu L3", 931.0))
CORE_FROM_EV = 420.0
CORE_BIN_EV = 10.0
COPPER = "copper_probability"


def chosen(run: Run) -> list[tuple[Look, Observation]]:
    """The spectrum with most electrons that reached the detector, and one of the other kind, if there is one."""
    taken = [k for k in gathered.looks(run) if k.percept.mode == "EELS" and k.record.arrays is not None]
    taken.sort(key=lambda k: (k.percept.quality.get("usable", 0.0), k.percept.quality.get("electrons", 0.0)))
    read = [(look, seen) for look in reversed(taken) if (seen := gathered.seen(run, look)) is not None]
    other = [item for item in read[1:] if _copper(item[0]) != _copper(read[0][0])]
    return read[:1] + other[:1]


def _copper(look: Look) -> bool | None:
    known = look.percept.estimates.get(COPPER)
    return known.value >= 0.5 if known is not None else None


def summed(observation: Observation) -> tuple[Array, Array]:
    """Energy loss in eV and counts, summed over all positions, both (E,)."""
    axis = observation.axes[-1]
    counts: Array = np.asarray(observation.data).reshape(-1, axis.size).sum(axis=0, dtype=np.float64)
    return axis.offset + axis.scale * np.arange(axis.size, dtype=np.float64), counts


def name(look: Look) -> str:
    """A spectrum in a few words."""
    kind = {True: "copper", False: "no copper", None: "not analysed"}[_copper(look)]
    return f"turn {look.record.turn}, {kind}"


def full_figure(spectra: list[tuple[Look, Observation]]) -> Figure:
    """The whole spectra on a logarithmic scale."""
    made, axes = panel(5.4, 3.2)
    for (look, observation), colour in reversed(list(zip(spectra, (BLUE, QUIET), strict=False))):
        energy, counts = summed(observation)
        axes.plot(energy, np.where(counts > 0, counts, np.nan), color=colour, linewidth=0.8, label=name(look))
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    _edges(axes)
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.9))
    label(axes, "", "energy loss (eV)", "electrons per channel")
    return made


def core_figure(spectra: list[tuple[Look, Observation]]) -> Figure | None:
    """The core losses alone, binned, with counting errors; None where the axis ends before them."""
    made, axes = panel(5.4, 3.2)
    drawn = False
    for (look, observation), colour in reversed(list(zip(spectra, (BLUE, QUIET), strict=False))):
        energy, counts = summed(observation)
        width = max(1, round(CORE_BIN_EV / observation.axes[-1].scale))
        keep = np.flatnonzero(energy >= CORE_FROM_EV)
        keep = keep[: len(keep) // width * width]
        if not len(keep):
            continue
        binned = counts[keep].reshape(-1, width).sum(axis=1)
        centre = energy[keep].reshape(-1, width).mean(axis=1)
        axes.errorbar(
            centre, binned, np.sqrt(binned), fmt="-", drawstyle="steps-mid", color=colour, linewidth=1.0,
            elinewidth=0.6, label=name(look),
        )  # fmt: skip
        drawn = True
    if not drawn:
        return None
    _edges(axes)
    axes.set_ylim(bottom=0.0)
    label(axes, "", "energy loss (eV)", f"electrons per {CORE_BIN_EV:g} eV")
    return made


def _edges(axes: Axes) -> None:
    low, high = axes.get_xlim()
    for words, onset_eV in EDGES_EV:
        if low < onset_eV < high:
            axes.axvline(onset_eV, color=VERMILION, linewidth=0.8, linestyle=":")
            axes.text(
                onset_eV, 1.0, f" {words}", color=VERMILION, fontsize=8, va="top", transform=axes.get_xaxis_transform()
            )
