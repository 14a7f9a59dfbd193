"""The result in words and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from agent.perception.elements import EDGES_eV, Element
from agent.reading import Run
from agent.record import Record
from experiments.foreign_usim.judge import Judgement, Reading

COLOURS = {"Ni": "#4c9be8", "Ge": "#f0a63c", "Si": "#58c26a"}
MIXED, NOTHING = "#e05c8a", "#cccccc"
SHOWN = 4
# Sizes of flakes that are told apart, in pixels, and below which one is thin.
SIZES, THIN = (0.0, 3.0, 6.0, 12.0), 3.0


def draw(judged: Judgement, run: Run, path: Path) -> None:
    """Draw the survey with what was found, the specimen as it is, and a few spectra."""
    figure = Figure(figsize=(13, 11.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    parts = figure.subplot_mosaic([["seen", "truth"], ["spectra", "spectra"]], height_ratios=(3, 2))
    seen, truth, spectra = (parts[name] for name in ("seen", "truth", "spectra"))
    _mosaic(seen, run)
    for p in judged.features:
        seen.plot(p.x_nm, p.y_nm, ".", color="red", ms=3)
    for reading in judged.readings:
        seen.plot(reading.x_nm, reading.y_nm, "o", mfc="none", mec=_colour(reading), ms=7, mew=1.5)
    seen.set_title("as the agent saw it: features (dots) and what spectra say")
    for flake in judged.flakes:
        corner = (flake.x_nm - flake.width_nm / 2, flake.y_nm - flake.height_nm / 2)
        colour = COLOURS[flake.element]
        truth.add_patch(Rectangle(corner, flake.width_nm, flake.height_nm, fc=colour, ec=colour, alpha=0.5))
    truth.set_title(
        "what there is: " + ", ".join(f"{e} {c}" for e, c in zip(COLOURS, ("blue", "amber", "green"), strict=True))
    )
    truth.set(xlim=seen.get_xlim(), ylim=seen.get_ylim(), aspect="equal", xlabel="x, nm")
    _spectra(spectra, judged, run)
    figure.savefig(path, dpi=80)


def _colour(reading: Reading) -> str:
    if len(reading.claimed) > 1:
        return MIXED
    return COLOURS.get(next(iter(reading.claimed), ""), NOTHING)


def _mosaic(axes: Axes, run: Run) -> None:
    reach = 0.0
    for record, image in _taken(run, "HAADF"):
        assert record.percept is not None
        percept = record.percept
        half = percept.width_nm / 2
        extent = (percept.x_nm - half, percept.x_nm + half, percept.y_nm + half, percept.y_nm - half)
        axes.imshow(image / _dwell_us(record), cmap="gray", extent=extent, vmin=-0.5, vmax=3.5)
        reach = max(reach, abs(percept.x_nm) + half, abs(percept.y_nm) + half)
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal", xlabel="x, nm", ylabel="y, nm")


def _dwell_us(record: Record) -> float:
    """The dwell of an acquisition; usim's counts grow with it."""
    assert record.decision.command is not None
    assert record.decision.command.acquire is not None
    return 1e6 * record.decision.command.acquire.dwell_s


def _taken(run: Run, mode: str) -> list[tuple[Record, np.ndarray]]:
    taken = []
    for record in run.records:
        if record.percept is not None and record.percept.mode == mode:
            observation = run.observation(record)
            if observation is not None and observation.data is not None:
                taken.append((record, np.asarray(observation.data, dtype=np.float64)))
    return taken


def _spectra(axes: Axes, judged: Judgement, run: Run) -> None:
    kinds: dict[frozenset[str], tuple[Record, np.ndarray]] = {}
    taken = _taken(run, "EELS")
    for reading, (record, data) in zip(judged.readings, taken, strict=True):
        if reading.claimed and len(kinds) < SHOWN:
            kinds.setdefault(reading.claimed, (record, data))
    able = run.header.capabilities if run.header is not None else None
    assert able is not None
    energy = able.energy_offset_eV + able.energy_step_eV * np.arange(able.energy_channels)
    use = energy > 120.0
    for claimed, (_, data) in kinds.items():
        name = ", ".join(sorted(claimed))
        axes.semilogy(
            energy[use],
            np.maximum(data.sum(axis=(0, 1))[use], 1.0),
            lw=1.0,
            label=f"said to be {name}",
            color=MIXED if len(claimed) > 1 else COLOURS.get(name),
        )
    for element in COLOURS:
        onset = EDGES_eV[element]  # type: ignore[index]
        axes.axvline(onset, color="#888888", lw=0.8, ls=":")
        axes.text(onset, 1.0, f" {element}", transform=axes.get_xaxis_transform(), va="top", fontsize=9)
    axes.set(xlabel="energy loss, eV", ylabel="counts")
    axes.legend()


def page(judged: Judgement, elements: Sequence[Element]) -> str:
    """RESULT.md of a run."""
    errors = np.array(judged.errors_nm(THIN)).reshape(-1, 2)
    if not len(errors):
        raise ValueError("no flake that stands alone was found: nothing can be said of places")
    beside = np.hypot(*errors.T)
    shares = [(f"at least {least:g} pixels wide and high" if least else "all", *judged.seen(least)) for least in SIZES]
    named, met = judged.named()
    return TEXT.format(
        shares="\n".join(f"| {name} | {of} | {seen} | {seen / of:.2f} |" for name, seen, of in shares),
        lines="\n".join(f"| {e} | {t[0]} | {t[1]} | {t[2]} |" for e, t in judged.table(elements).items()),
        missed=judged.seen(THIN)[1] - judged.seen(THIN)[0], joined=judged.joined(THIN), thin=THIN,
        right=sum(r.claimed == r.true for r in judged.readings), named=named, met=met,
        features=len(judged.features), false=judged.false(), spectra=len(judged.readings), seconds=judged.seconds,
        cut=judged.cut,
        alone=len(errors), pixel=judged.pixel_nm, median=float(np.median(beside)), most=float(beside.max()),
        mean_x=float(errors[:, 0].mean()), mean_y=float(errors[:, 1].mean()),
    )  # fmt: skip


TEXT = """# At Nion Swift's simulator

`make foreign`, then `python -m experiments.foreign_usim [OUT]`: serves Nion Swift's simulator (usim 5.4.2, its default
sample of flakes) from an environment of its own and lets the agent loose on it over the bridge. Guard, dose, journal,
lease and supervisor are the real ones; config.toml has limits and settings. The agent is not told what there is: it
surveys a square of 440 nm in 16 overlapping fields, finds patches of even brightness, and takes a small spectrum image
of every one of them. What is found is compared with the simulator's own list of features, which the agent never sees.

One run, {seconds:.0f} s: {features} features, {spectra} spectra; {false} features where there is no flake.
The bridge cut {cut} commands short (see the end); of them the agent has what came before, or nothing.

| flakes in the square | there are | found | share |
|---|---|---|---|
{shares}

Found means that a feature's middle lies in the flake. Of the {missed} missed ones of at least {thin:g} pixels, {joined}
touch another flake: where two of one brightness touch, the image shows one patch, with one middle.
{alone} flakes of at least {thin:g} pixels that touch no other were found; the feature lies {median:.2f} nm (median; at
most {most:.2f}) beside their middle, on average by ({mean_x:+.2f}, {mean_y:+.2f}) nm. A pixel is {pixel:.3f} nm,
and usim draws flakes rounded down to whole pixels, which is where that average comes from.

| element | rightly named | missed | named where it is not |
|---|---|---|---|
{lines}

{right} of {spectra} spectra were read entirely right, and of the {met} flakes under a spectrum {named} were given their
element. The last six are not in this specimen. Edges in usim rise over some 100 eV (that of silicon over 10), so nickel
and copper cannot be told apart by where an edge begins; the one that fits better is named.

![found](found.png)

## What had to be made general

- *Perception*. The analyst knows balls of one material on an even background, counts electrons, and looks for copper.
  None of that holds here, so there is a second one, the `surveyor`: patches without a model of the specimen, noise
  measured on the data instead of counted, and steps of any element's edge. It follows nothing that moves, and knows
  neither drift nor dose. Loop, record, review, report and bridge are as they were.
- *Policy*. Raster, expert and the Bayesian policy ask for what grows. The `prospector` sees everything once and takes a
  spectrum of everything found.
- *Configuration*. `goal.extent_nm` stands in for a world's card where there is none; it has no targets and no score.
- *Focus*. usim's images do not answer to aberrations. `Capabilities.unresponsive` says so, and no policy moves focus
  where that changes nothing.

## What this does not show

usim is no model of dose, noise or focus: its image is a count of layers with Gaussian noise of 0.3 whatever the dwell,
its stage is exact and nothing drifts, beam current and blanker do not change the image, and its spectra have less noise
than electrons would. That the electrons of the run were charged and bounded is true of the bridge, not of the specimen.
Real edges are sharper and stand on far more background. What it shows is that an instrument nobody here wrote can be
driven as it is, and that the geometry is right, signs included: its field moves against the stage and with the beam
shift.

usim's gold balls on a carbon film (sample 2) were tried with the same patches in single images only: the balls are
found, but so are lumps of the film between them, since the background is taken to be even. No run is reported there.

It runs in real time. On a machine that has several times more to do than cores, simulator or agent hang for longer than
heartbeat and supervisor allow: the beam is then blanked and the command ends early, as it should, and after 2 s of
silence the run ends.
"""
