"""Energy-loss spectra beside eXSpy and closed forms: edges, free paths, thickness, tails, and all electrons."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from digital_twin import detectors, spectra
from digital_twin.detectors import Column, Spectrometer
from digital_twin.elastic import annular_nm2
from digital_twin.materials import MN2O3, WATER, Material
from digital_twin.optics import Array
from experiments.validation.check import Check, Mutation
from experiments.validation.stored import golden, made_by

EXSPY = made_by("spectra")
EDGES = {
    "C_K": spectra.C_K,
    "N_K": spectra.N_K,
    "O_K": spectra.O_K,
    "Si_L3": spectra.SI_L3,
    "Cu_L3": spectra.CU_L3,
    # Without white lines, at the onset that eXSpy gives.
    "Mn_L3": replace(spectra.MN2_L3, lines=(), onset_eV=640.0),
    "Fe_L3": replace(spectra.FE2_L3, lines=(), onset_eV=708.0),
}
THICKNESSES = (0.1, 0.5, 1.0, 1.5)
"""In mean free paths."""


def onsets() -> float:
    """How far from eXSpy's onset the first energy with a cross-section lies, at most, in steps of the axis."""
    worst, step = 0.0, 0.1
    for name, edge in EDGES.items():
        onset = float(golden("spectra")[f"{name}_onset_eV"])
        axis = spectra.energy_axis_eV(onset - 50 * step, step, 101)
        first = axis[np.flatnonzero(spectra.edge_nm2_per_eV(edge, axis, 200.0, 20.0))[0]]
        worst = max(worst, abs(float(first) - onset) / step)
    return worst


def cross_sections() -> float:
    """Largest relative deviation up to 300 eV beyond the onset."""
    data, worst = golden("spectra"), 0.0
    for name, edge in EDGES.items():
        ours = spectra.edge_nm2_per_eV(edge, data[f"{name}_energy_eV"], 200.0, 20.0)
        worst = max(worst, float(np.abs(ours / data[f"{name}_nm2_per_eV"] - 1).max()))
    return worst


def free_paths() -> float:
    """Largest relative deviation, densities 1 to 19.3 g/cm^3."""
    data = golden("spectra")
    ours = [spectra.inelastic_mean_free_path_nm(float(d), 200.0, 10.0, 20.0) for d in data["density_g_per_cm3"]]
    return float(np.abs(np.array(ours) / data["free_path_nm"] - 1).max())


def shares(thickness_nm: Array, materials: tuple[Material, ...], column: Column, wander_eV: float = 0.0) -> Array:
    """What the twin expects of layers (..., M) nm."""
    wander = torch.full(thickness_nm.shape[:-1], wander_eV, dtype=torch.float64) if wander_eV else None
    return Spectrometer(materials, column).probabilities(torch.from_numpy(thickness_nm), wander).numpy()


def thickness() -> float:
    """What eXSpy makes of 1e6 electrons beside the specimen's own thickness, of the statistical tolerance."""
    from exspy.signals import EELSSpectrum

    path_nm, worst = float(golden("spectra")["free_path_nm"][0]), 0.0
    for t_over_lambda in THICKNESSES:
        # Of a film that thin next to nothing is scattered past the aperture, which is not what is asked.
        expected = shares(np.array([t_over_lambda * path_nm]), (WATER,), Column())
        counts = np.random.default_rng(1).poisson(1e6 * expected).astype(float)
        spectrum = EELSSpectrum(counts)
        axis = spectrum.axes_manager[0]
        axis.offset, axis.scale, axis.units = -20.0, 1.0, "eV"
        spectrum.set_microscope_parameters(beam_energy=200, convergence_angle=10, collection_angle=20)
        found_nm = float(spectrum.estimate_thickness(threshold=3.5, density=1.0).data.item())
        allowed = 3 * math.sqrt((math.exp(t_over_lambda) - 1) / counts.sum()) + 0.005
        worst = max(worst, abs(found_nm / path_nm - t_over_lambda) / allowed)
    return worst


def tail_exponent(t_over_lambda: float) -> float:
    """Exponent r of A E^-r between 250 and 390 eV, below the first edge of water."""
    path_nm = float(golden("spectra")["free_path_nm"][0])
    column = Column()
    axis, counts = column.energy_axis_eV(), shares(np.array([t_over_lambda * path_nm]), (WATER,), column)
    window = (axis >= 250.0) & (axis <= 390.0)
    return -float(np.polyfit(np.log(axis[window]), np.log(counts[window]), 1)[0])


def background() -> float:
    """How far from 3 the exponent of a thin film's tail is: a free-electron gas loses E as E^-3 far above Ep."""
    return abs(tail_exponent(0.02) - 3.0)


def background_of_thick_films() -> float:
    """How far outside 2 to 5 the exponent lies, at most."""
    return max(max(2.0 - r, r - 5.0, 0.0) for r in map(tail_exponent, THICKNESSES))


def accounts() -> float:
    """Largest deviation from 1 of collected, lost beyond the end of the axis, and scattered past the aperture."""
    column, materials = Column(energy_channels=700), (MN2O3, WATER)
    layers = np.array([[5.0, 0.0], [40.0, 100.0], [90.0, 200.0]])
    n_sigma = [m.formula_per_nm3 * sum(n * annular_nm2(z, 200.0, 20.0, 1000.0) for z, n in m.atoms) for m in materials]
    past = -np.expm1(-layers @ np.array(n_sigma))
    spectrometer = Spectrometer(materials, column)
    everywhere = spectrometer._transformed(torch.from_numpy(layers)).numpy()
    collected = spectrometer.probabilities(torch.from_numpy(layers)).numpy().sum(axis=-1)
    beyond = everywhere[:, column.energy_channels :].sum(axis=-1)
    return float(np.abs(collected + beyond + past - 1).max())


def late(it: Any) -> Any:
    """Every continuum half an eV too high."""
    return lambda edge, axis, *given: it(edge, axis - 0.5, *given)


CHECKS = (
    Check(
        name="onsets of edges, 0.1 eV channels, in channels",
        reference=f"{EXSPY}: onsets of its database",
        achieved=onsets,
        tolerance=1.0,
        mutation=Mutation("energies half an eV off", spectra, "_continuum_nm2_per_eV", late),
    ),
    Check(
        name="cross-sections of edges, 300 eV from onset, 200 kV, 20 mrad, relative",
        reference=f"{EXSPY}: hydrogenic GOS",
        achieved=cross_sections,
        tolerance=0.01,
        mutation=Mutation(
            "full for half collection angle",
            spectra,
            "edge_nm2_per_eV",
            lambda it: lambda edge, axis, energy, collection: it(edge, axis, energy, 2 * collection),
        ),
    ),
    Check(
        name="inelastic mean free path, 1 to 19.3 g/cm3, relative",
        reference=f"{EXSPY}: Iakoubovskii with angular correction",
        achieved=free_paths,
        tolerance=1e-6,
        mutation=Mutation(
            "half the angles",
            spectra,
            "inelastic_mean_free_path_nm",
            lambda it: lambda density, energy, *angles: it(density, energy, *(angle / 2 for angle in angles)),
        ),
    ),
    Check(
        name="thickness read from a spectrum, t/lambda 0.1 to 1.5, of 3 sqrt((exp(t/lambda) - 1)/N) + 0.005",
        reference=f"{EXSPY}: estimate_thickness in nm",
        achieved=thickness,
        tolerance=1.0,
        slow=True,
        mutation=Mutation(
            "free path doubled", detectors, "inelastic_mean_free_path_nm", lambda it: lambda *given: 2 * it(*given)
        ),
    ),
    Check(
        name="exponent of the tail of a thin film",
        reference="closed form: Im(-1/eps) of free electrons falls as E^-3",
        achieved=background,
        tolerance=0.1,
        mutation=Mutation(
            "E^2 for E in the Drude loss", detectors, "drude", lambda it: lambda e, *p: e.clip(0) * it(e, *p)
        ),
    ),
    Check(
        name="exponent of the background, outside 2 to 5, t/lambda 0.1 to 1.5",
        reference="Egerton, section 4.4.1: r lies between 2 and 5",
        achieved=background_of_thick_films,
        tolerance=0.0,
        mutation=Mutation("no tail beyond 50 eV", detectors, "drude", lambda it: lambda e, *p: it(e, *p) * (e < 50.0)),
    ),
    Check(
        name="collected + beyond the axis + past the aperture = 1",
        reference="closed form: n sigma t of 20 to 1000 mrad",
        achieved=accounts,
        tolerance=1e-12,
        mutation=Mutation(
            "elastic scattering counted twice", detectors, "elastic_per_nm", lambda it: lambda *given: 2 * it(*given)
        ),
    ),
)
