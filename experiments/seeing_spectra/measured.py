"""A measured X-ray map read by the agent's fit: what it finds in all, and where.

The file holds a field of 64 x 64 pixels of nanoparticles on a support at 200 kV, some six X-rays a pixel. Current and
solid angle are not told, so that only ratios of elements mean something; absorption is left out.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.perception.eds import LineTable, XrayReader
from agent.report.style import CYCLE, MEAN_MAP, figure, house_style, label
from digital_twin.xrays import XrayDetector
from experiments.seeing_spectra.scenes import Array
from experiments.seeing_spectra.xrays import line_table

FILE = "nanoparticles_haadf_eds_200kV.npz"
ELEMENTS = (6, 7, 8, 14, 22, 29, 47)
"""What its record names (O, Ti, Cu, Pd), carbon, and silicon and nitrogen, whose lines stand out: a nitride window.

The twin's tables have silver and no palladium, the element before it: see ``_palladium``.
"""

PALLADIUM_SHARE = 2838.6 / 2984.3
"""L alpha of palladium over that of silver, eV, as eXSpy's table of lines has them."""

BLOCK = 4
"""Pixels along an edge that are read together."""

ELECTRONS = 1e9
SHOWN = ("N", "O", "Si", "Ti", "Cu", "Pd")


def read(folder: Path) -> tuple[Array, Array, Array, XrayReader]:
    """The image (H, W), the X-rays (H, W, E), the energies of channels in eV, and a reader for them."""
    with np.load(folder / FILE, allow_pickle=False) as file:
        haadf, eds = (np.asarray(file[name], dtype=np.float64) for name in ("haadf", "eds"))
        axis = json.loads(str(file["meta"]))["eds_axes"][2]
    detector = XrayDetector(
        elevation_deg=18.0, energy_offset_eV=1e3 * axis["offset"], energy_step_eV=1e3 * axis["scale"]
    )
    axis_eV = detector.energy_axis_eV()
    table = _palladium(line_table(ELEMENTS, detector, 200.0))
    return haadf, eds, axis_eV, XrayReader(axis_eV, table, detector.efficiency(np.maximum(axis_eV, 100.0)))


def _palladium(table: LineTable) -> LineTable:
    """Palladium in silver's place, in a film too thin to absorb.

    Its lines lie lower by one share, and are taken to be as strong.
    """
    silver = table.elements.index("Ag")
    energy_eV = np.where(table.whose == silver, PALLADIUM_SHARE * table.energy_eV, table.energy_eV)
    names = tuple("Pd" if name == "Ag" else name for name in table.elements)
    return replace(table, elements=names, energy_eV=energy_eV, absorbed=np.zeros_like(table.absorbed))


def maps(eds: Array, reader: XrayReader) -> dict[str, tuple[Array, Array]]:
    """Atoms per nm^2 and sd of each element in blocks, up to a common factor, (H / BLOCK, W / BLOCK) each."""
    height, width = (n // BLOCK for n in eds.shape[:2])
    blocks = eds.reshape(height, BLOCK, width, BLOCK, -1).sum(axis=(1, 3))
    fits = [[reader(each, ELECTRONS) for each in row] for row in blocks]
    told = {}
    for name in SHOWN:
        some = [[fit.told(name) if fit else None for fit in row] for row in fits]
        values = np.array([[each.value if each else 0.0 for each in row] for row in some])
        told[name] = (values, np.array([[each.sd if each else np.inf for each in row] for row in some]))
    return told


def found(folder: Path, picture: Path) -> str:
    """Draw what is found, and say it.

    Raises:
        FileNotFoundError: the measured file is not there.
    """
    haadf, eds, axis_eV, reader = read(folder)
    whole = reader(eds.sum(axis=(0, 1)), ELECTRONS)
    assert whole is not None
    each = maps(eds, reader)
    _draw(haadf, eds, (axis_eV, reader), each, picture)
    total = sum(whole.told(name).value for name in SHOWN)
    shares = ", ".join(
        f"{name} {100 * whole.told(name).value / total:.1f} ± {100 * whole.told(name).sd / total:.1f}" for name in SHOWN
    )
    titanium, palladium = each["Ti"][0].ravel(), each["Pd"][0].ravel()
    sure = ", ".join(f"{int((value > 2 * sd).sum())} of 256 ({name})" for name, (value, sd) in each.items())
    ratio = whole.told("O").value / whole.told("Ti").value
    return (
        f"Of {eds.sum():.0f} X-rays in all, atomic percent of {', '.join(SHOWN)}: {shares} (counting errors alone; "
        f"reduced chi-square {whole.misfit:.2f}). In blocks of {BLOCK} x {BLOCK} pixels, some {eds.sum() / 256:.0f} "
        f"X-rays each, elements stand out by two sd in {sure}. "
        f"Maps of Pd and Ti correlate by {np.corrcoef(titanium, palladium)[0, 1]:.2f}; O / Ti is {ratio:.1f}."
    )


def _draw(
    haadf: Array,
    eds: Array,
    fitted: tuple[Array, XrayReader],
    each: dict[str, tuple[Array, Array]],
    path: Path,
) -> None:
    axis_eV, reader = fitted
    with house_style():
        page = figure(12.0, 5.2)
        for n, (name, image) in enumerate([("HAADF", haadf), *((k, v[0]) for k, v in each.items())]):
            axes = page.add_subplot(2, 7, n + 1)
            axes.imshow(image, cmap=MEAN_MAP if n else "gray")
            axes.set_title(name)
            axes.set_xticks([])
            axes.set_yticks([])
        axes = page.add_subplot(2, 1, 2)
        keep = (axis_eV > 150.0) & (axis_eV < 10000.0)
        counts = eds.sum(axis=(0, 1))
        axes.step(axis_eV[keep], counts[keep], where="mid", color=CYCLE[7], linewidth=0.6, label="measured")
        use, model = reader.expected(counts, ELECTRONS)
        axes.plot(axis_eV[use], model, color=CYCLE[1], linewidth=1.0, label="fit")
        axes.set_yscale("symlog", linthresh=10.0)
        axes.set_ylim(0.0, None)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        label(axes, f"all pixels, fitted with {', '.join(reader.table.elements)}", "energy in eV", "X-rays")
        axes.legend()
        page.tight_layout()
        page.savefig(path, dpi=100)
