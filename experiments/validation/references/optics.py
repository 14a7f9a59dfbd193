"""Electron optics by abTEM: wavelengths, interaction parameters, transfer functions, envelopes and probes.

abTEM counts in Angstrom, mrad and eV.
"""

from __future__ import annotations

import numpy as np
from abtem import CTF, Probe
from abtem.core.energy import energy2sigma, energy2wavelength

from experiments.validation.stored import Arrays

ENERGIES_eV = np.array([60e3, 80e3, 100e3, 200e3, 300e3])
# In Angstrom, as abTEM wants them: every aberration that the twin has, none of them zero.
ABERRATIONS = {
    "C10": -600.0,
    "C12": 150.0,
    "phi12": 0.4,
    "C21": 4000.0,
    "phi21": 1.1,
    "C23": 3000.0,
    "phi23": -0.5,
    "C30": 1.2e7,
}


def transfer_functions() -> Arrays:
    """Complex transfer at 200 kV on a polar grid out to 30 mrad, and both envelopes on a line."""
    alpha, phi = np.meshgrid(np.linspace(0.0, 0.030, 61), np.linspace(0.0, 2 * np.pi, 24, endpoint=False))
    full = CTF(energy=200e3, semiangle_cutoff=np.inf, soft=False, **ABERRATIONS)
    line = np.linspace(0.0, 0.015, 151)
    round_only = {"C10": -600.0, "C30": 1.2e7}
    plain = CTF(energy=200e3, semiangle_cutoff=np.inf, soft=False, **round_only)
    damped = CTF(energy=200e3, semiangle_cutoff=np.inf, soft=False, focal_spread=40.0, angular_spread=0.2, **round_only)
    none = np.zeros_like(line)
    ratio = damped._evaluate_from_angular_grid(line, none) / plain._evaluate_from_angular_grid(line, none)
    return {
        "transfer_alpha_rad": alpha,
        "transfer_phi_rad": phi,
        "transfer": full._evaluate_from_angular_grid(alpha, phi),
        "envelope_alpha_rad": line,
        "envelope": np.abs(ratio),
    }


def probes() -> Arrays:
    """Probe intensities with a 10 mrad aperture on 128 pixels of 0.5 A, axis at [0, 0], sum 1; order (y, x)."""
    result = {}
    for name, aberrations in {"focus": {}, "aberrated": {**ABERRATIONS, "C10": -1500.0}}.items():
        probe = Probe(energy=200e3, semiangle_cutoff=10.0, soft=False, gpts=128, sampling=0.5, **aberrations)
        intensity = np.abs(np.asarray(probe.build((0.0, 0.0), lazy=False).array)) ** 2
        # abTEM's first axis is x.
        result[f"probe_{name}"] = (intensity / intensity.sum()).T.astype(np.float64)
    return result


def arrays() -> Arrays:
    """All of it, each array with its unit or angle in its name."""
    return {
        "energy_eV": ENERGIES_eV,
        "wavelength_A": np.array([energy2wavelength(e) for e in ENERGIES_eV]),
        "interaction_rad_per_V_A": np.array([energy2sigma(e) for e in ENERGIES_eV]),
        **transfer_functions(),
        **probes(),
    }
