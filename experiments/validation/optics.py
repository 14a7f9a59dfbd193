"""Wavelength, aberrations, envelopes, probes and scattering by atoms, beside abTEM."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from digital_twin import blur, elastic, optics
from digital_twin.blur import blur_of, blurred
from digital_twin.elastic import annular_nm2
from digital_twin.optics import Aberrations, Column
from digital_twin.probe import probe_kernels
from experiments.validation.check import Check, Mutation
from experiments.validation.stored import golden, made_by

# Those of references/optics.py in the twin's units: none is zero.
ALL = Aberrations(
    C10_nm=-60.0, C12_nm=15.0, phi12_rad=0.4, C21_nm=400.0, phi21_rad=1.1, C23_nm=300.0, phi23_rad=-0.5, C30_um=1200.0
)
# Those of references/scanned.py.
LEANING = Aberrations(
    C10_nm=2.0, C12_nm=4.0, phi12_rad=0.4, C21_nm=800.0, phi21_rad=0.6, C23_nm=400.0, phi23_rad=-0.5, C30_um=10.0
)
ROUND = Aberrations(C10_nm=-60.0, C30_um=1200.0)
ZEROS_PER_A = (0.39874, 0.45764, 0.49516, 0.52390)
"""Where chi is a multiple of pi for ROUND at 200 kV: pi (C10 lambda k^2 + C30 lambda^3 k^4 / 2) solved by hand."""
WAVELENGTH_80_nm = 4.17571e-3
OPTICS, HAADF, SCANNED = made_by("optics"), made_by("haadf"), made_by("scanned")


def wavelength() -> float:
    """Largest relative deviation, 60 to 300 kV."""
    data = golden("optics")
    ours = np.array([10 * optics.wavelength_nm(energy / 1e3) for energy in data["energy_eV"]])
    return float(np.abs(ours / data["wavelength_A"] - 1).max())


def interaction() -> float:
    """Largest relative deviation, 60 to 300 kV."""
    data = golden("optics")
    ours = np.array([optics.interaction_rad_per_V_A(energy / 1e3) for energy in data["energy_eV"]])
    return float(np.abs(ours / data["interaction_rad_per_V_A"] - 1).max())


def transfer() -> float:
    """Largest absolute deviation of the complex transfer out to 30 mrad."""
    data = golden("optics")
    alpha, phi = data["transfer_alpha_rad"], data["transfer_phi_rad"]
    ours = optics.transfer(alpha * np.cos(phi), alpha * np.sin(phi), ALL, Column(200.0, 40.0))
    return float(np.abs(ours - data["transfer"]).max())


def zeros_per_A() -> float:
    """How far from each zero the nearest change of sign of the contrast transfer lies."""
    line = np.linspace(0.30, 0.55, 250_001)
    angle = line * 10 * optics.wavelength_nm(200.0)
    contrast = np.sin(optics.chi_rad(angle, 0 * angle, ROUND, 200.0))
    crossings = line[:-1][np.diff(np.sign(contrast)) != 0]
    return max(float(np.abs(crossings - zero).min()) for zero in ZEROS_PER_A)


def envelopes() -> float:
    """Largest absolute deviation of temporal times spatial envelope."""
    data = golden("optics")
    alpha = data["envelope_alpha_rad"]
    ours = optics.temporal_envelope(alpha, 4.0, 200.0) * optics.spatial_envelope(alpha, ROUND, 0.2, 200.0)
    return float(np.abs(ours - data["envelope"]).max())


def probes() -> float:
    """Largest deviation of the intensity over its maximum, in focus and with every aberration."""
    data, column = golden("optics"), Column(200.0, 10.0)
    worst = 0.0
    for name, aberrations in (("focus", Aberrations()), ("aberrated", replace(ALL, C10_nm=-150.0))):
        theirs = data[f"probe_{name}"]
        ours = optics.probe_intensity(128, 0.05, aberrations, column)
        worst = max(worst, float(np.abs(ours - theirs).max() / theirs.max()))
    return worst


def spread_peak() -> float:
    """Largest relative deviation of the peak of a probe of 80 kV and 30 mrad, spread in focus by 1 to 40 nm."""
    edge_rad2, worst = 0.030**2, 0.0
    sharp = float(optics.probe_intensity(256, 0.03, Aberrations(), Column(80.0, 30.0))[0, 0])
    for spread_nm in (1.0, 3.0, 8.0, 40.0):
        b = math.pi * spread_nm * edge_rad2 / (2 * WAVELENGTH_80_nm)
        expected = math.sqrt(math.pi) * math.erf(b) / b + math.expm1(-(b**2)) / b**2
        soft = float(optics.probe_intensity(256, 0.03, Aberrations(), Column(80.0, 30.0, 0.0, spread_nm))[0, 0])
        worst = max(worst, abs(soft / sharp / expected - 1))
    return worst


def scanned() -> float:
    """Relative deviation, in the square mean, of the image of an atom from that of a point."""
    data = golden("scanned")
    theirs = data["image"] / data["image"].sum()
    probes = probe_kernels(float(data["pixel_nm"]), LEANING, Column(300.0, 20.0), torch.device("cpu"))
    ready = blur_of([probes], theirs.shape)
    point = torch.zeros(1, *(length + 2 * ready.margin for length in theirs.shape), dtype=torch.float64)
    point[0, 32 + ready.margin, 32 + ready.margin] = 1.0
    ours = blurred(point, ready, torch.zeros(1, 2, 2, dtype=torch.float64))[0].numpy()
    return float(np.linalg.norm(ours / ours.sum() - theirs) / np.linalg.norm(theirs))


def atoms() -> float:
    """Largest relative deviation of a cross-section, over elements and annuli."""
    data = golden("haadf")
    ours = [[annular_nm2(int(z), 200.0, *annulus) for annulus in data["annulus_mrad"]] for z in data["atomic_number"]]
    return float(np.abs(np.array(ours) / data["cross_section_nm2"] - 1).max())


def lone_atoms() -> float:
    """Largest relative deviation of a cross-section to all orders, over two energies, elements and annuli."""
    data, worst = golden("haadf"), 0.0
    for energy_keV, table in zip(data["energy_keV"], data["all_orders_nm2"], strict=True):
        ours = [
            [annular_nm2(int(z), float(energy_keV), *annulus, True) for annulus in data["annulus_mrad"]]
            for z in data["lone"]
        ]
        worst = max(worst, float(np.abs(np.array(ours) / table - 1).max()))
    return worst


def whole() -> float:
    """Largest relative deviation of all that an atom scatters from 2 lambda Im f(0), O to Au at 80 and 200 kV."""
    worst = 0.0
    for z in (8, 29, 42, 79):
        for energy_keV in (80.0, 200.0):
            forward = elastic.beyond_first_order_nm(z, energy_keV, np.zeros(1))[0]
            expected = 2 * optics.wavelength_nm(energy_keV) * forward.imag
            worst = max(worst, abs(annular_nm2(z, energy_keV, 0.0, 1000.0, True) / expected - 1))
    return worst


CHECKS = (
    Check(
        name="scanned image of a gold atom, C10 to C30, of a point instead of the atom, relative",
        reference=f"{SCANNED}: Probe.scan",
        achieved=scanned,
        tolerance=0.25,
        mutation=Mutation("the probe not turned round", blur, "turned", lambda it: lambda probes: probes),
    ),
    Check(
        name="wavelength, 60-300 kV, relative",
        reference=f"{OPTICS}: energy2wavelength",
        achieved=wavelength,
        tolerance=1e-7,
        mutation=Mutation("rest energy doubled", optics, "REST_ENERGY_keV", lambda it: 2 * it),
    ),
    Check(
        name="interaction parameter, 60-300 kV, relative",
        reference=f"{OPTICS}: energy2sigma",
        achieved=interaction,
        tolerance=1e-7,
        mutation=Mutation(
            "wavelength in pm for nm", optics, "wavelength_nm", lambda it: lambda energy: 1e3 * it(energy)
        ),
    ),
    Check(
        name="complex transfer, C10 to C30 all non-zero, 30 mrad, absolute",
        reference=f"{OPTICS}: CTF",
        achieved=transfer,
        tolerance=1e-4,
        mutation=Mutation("the sign of chi", optics, "chi_rad", lambda it: lambda *given: -it(*given)),
    ),
    Check(
        name="zeros of phase contrast, C10 -60 nm, C30 1.2 mm",
        reference="closed form: chi = n pi",
        achieved=zeros_per_A,
        tolerance=1e-4,
        unit="1/A",
        mutation=Mutation("2 pi / lambda is pi / lambda", optics, "chi_rad", lambda it: lambda *given: it(*given) / 2),
    ),
    Check(
        name="temporal and spatial envelope, absolute",
        reference=f"{OPTICS}: CTF with focal_spread and angular_spread",
        achieved=envelopes,
        tolerance=1e-6,
        mutation=Mutation(
            "1/e focal spread for a standard deviation",
            optics,
            "temporal_envelope",
            lambda it: lambda angle, spread, energy: it(angle, math.sqrt(2) * spread, energy),
        ),
    ),
    Check(
        name="probe intensity, in focus and aberrated, of its maximum",
        reference=f"{OPTICS}: Probe",
        achieved=probes,
        tolerance=1e-4,
        mutation=Mutation("x and y swapped", optics, "chi_rad", lambda it: lambda x, y, *given: it(y, x, *given)),
    ),
    Check(
        name="peak of a probe with a spread of focus, 1 to 40 nm at 80 kV and 30 mrad, relative",
        reference="closed form: sinc^2 over a Gaussian, sqrt(pi) erf(b) / b - (1 - exp(-b^2)) / b^2",
        achieved=spread_peak,
        tolerance=0.005,
        mutation=Mutation(
            "1/e focal spread for a standard deviation",
            optics,
            "foci",
            lambda it: lambda column: (math.sqrt(2) * it(column)[0], it(column)[1]),
        ),
    ),
    Check(
        name="cross-sections of atoms into annuli, 200 kV, relative",
        reference=f"{HAADF}: Lobato's scattering factors",
        achieved=atoms,
        tolerance=1e-4,
        mutation=Mutation("no relativistic mass", elastic, "REST_ENERGY_keV", lambda it: 1e9 * it),
    ),
    Check(
        name="cross-sections to all orders, 80 and 200 kV, C to Au, relative",
        reference=f"{HAADF}: plane waves through single atoms, one slice",
        achieved=lone_atoms,
        tolerance=0.01,
        mutation=Mutation("first Born approximation", elastic, "beyond_first_order_nm", lambda it: lambda *given: 0.0),
    ),
    Check(
        name="what an atom scatters altogether, O to Au, to 1000 mrad, relative",
        reference="closed form: the optical theorem, 2 lambda Im f(0)",
        achieved=whole,
        tolerance=0.01,
        mutation=Mutation("potentials doubled beyond the first order", elastic, "POTENTIAL_V_nm2", lambda it: 2 * it),
    ),
)
