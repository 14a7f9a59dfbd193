"""Make the reference arrays again with abTEM: python tests/digital_twin/golden/make_golden.py (needs abtem).

abTEM counts in Angstrom, mrad and eV. Written: ``optics.npz`` (wavelengths, interaction parameters, transfer
functions, envelopes, probes) and ``haadf.npz`` (elastic cross-sections of atoms into annular detectors, from the
scattering factors of Lobato and Van Dyck 2014).
"""

from pathlib import Path

import numpy as np
from abtem import CTF, Probe
from abtem.core.energy import energy2mass, energy2sigma, energy2wavelength
from abtem.parametrizations import LobatoParametrization

HERE = Path(__file__).parent
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
SYMBOLS = ("H", "N", "O", "Si", "Cu", "Zr")
NUMBERS = np.array([1, 7, 8, 14, 29, 40])


def transfer_functions() -> dict[str, np.ndarray]:
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


def probes() -> dict[str, np.ndarray]:
    """Probe intensities with a 10 mrad aperture on 128 pixels of 0.5 A, axis at [0, 0], sum 1; order (y, x)."""
    result = {}
    for name, aberrations in {"focus": {}, "aberrated": {**ABERRATIONS, "C10": -1500.0}}.items():
        probe = Probe(energy=200e3, semiangle_cutoff=10.0, soft=False, gpts=128, sampling=0.5, **aberrations)
        intensity = np.abs(np.asarray(probe.build((0.0, 0.0), lazy=False).array)) ** 2
        # abTEM's first axis is x.
        result[f"probe_{name}"] = (intensity / intensity.sum()).T.astype(np.float64)
    return result


def elastic_nm2(symbol: str, energy_eV: float, low_rad: float, high_rad: float) -> float:
    """Cross-section of an atom between two angles: relativistic first Born approximation on Lobato's factors."""
    theta = np.linspace(low_rad, high_rad, 4001)
    k = theta / energy2wavelength(energy_eV)
    factor = LobatoParametrization().get_function("scattering_factor", symbol)
    relativistic = energy2mass(energy_eV) / energy2mass(0.0)
    # The argument of abTEM's factor is k^2 in 1/A^2 and its value in A.
    strength = (relativistic * factor(k**2)) ** 2
    return float(np.trapezoid(strength * 2 * np.pi * np.sin(theta), theta)) * 1e-2


def cross_sections() -> dict[str, np.ndarray]:
    """Cross-sections in nm^2, (elements, annuli), at 200 kV."""
    annuli = np.array([[40.0, 180.0], [60.0, 150.0], [40.0, 100.0], [80.0, 200.0]])
    table = [[elastic_nm2(s, 200e3, *(1e-3 * a)) for a in annuli] for s in SYMBOLS]
    return {"atomic_number": NUMBERS, "annulus_mrad": annuli, "cross_section_nm2": np.array(table)}


def main() -> None:
    """Write both files."""
    np.savez_compressed(
        HERE / "optics.npz",
        energy_eV=ENERGIES_eV,
        wavelength_A=np.array([energy2wavelength(e) for e in ENERGIES_eV]),
        interaction_rad_per_V_A=np.array([energy2sigma(e) for e in ENERGIES_eV]),
        **transfer_functions(),
        **probes(),
    )
    np.savez_compressed(HERE / "haadf.npz", **cross_sections())


if __name__ == "__main__":
    main()
