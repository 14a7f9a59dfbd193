"""L2,3 absorption of 3d ions in an octahedral field by edrixs, which is GPL: exact diagonalisation of multiplets.

80 % of the Hartree-Fock values of the Slater integrals, as is usual; crystal fields of the size that optical spectra of
the oxides show. Takes a minute.
"""

from __future__ import annotations

import contextlib
import io

import edrixs
import numpy as np

from experiments.validation.stored import Arrays

IONS = {
    "Mn2": ("Mn", 5, 1.0),
    "Mn3": ("Mn", 4, 1.8),
    "Mn4": ("Mn", 3, 2.2),
    "Fe2": ("Fe", 6, 1.1),
    "Fe3": ("Fe", 5, 1.5),
}
"""Element, 3d electrons and 10 Dq in eV."""

SLATER_SHARE = 0.8
TEMPERATURE_K = 300.0
WIDTH_eV = 0.6
ENERGY_eV = np.arange(-16.0, 22.0, 0.1)
"""From where the 2p levels would be without their spin-orbit splitting."""


def absorption(element: str, electrons: int, field_eV: float) -> np.ndarray:
    """Isotropic absorption at ENERGY_eV, in one unit for all ions."""
    atom = edrixs.get_atom_data(element, v_name="3d", v_noccu=electrons, edge="L23")
    ground = {name: SLATER_SHARE * value for name, value in atom["slater_i"]}
    excited = {name: SLATER_SHARE * value for name, value in atom["slater_n"]}
    integrals = (
        [edrixs.get_F0("d", ground["F2_11"], ground["F4_11"]), ground["F2_11"], ground["F4_11"]],
        [
            edrixs.get_F0("d", excited["F2_11"], excited["F4_11"]),
            *(excited["F2_11"], excited["F4_11"]),
            edrixs.get_F0("dp", excited["G1_12"], excited["G3_12"]),
            *(excited["F2_12"], excited["G1_12"], excited["G3_12"]),
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        levels, excited_levels, transitions = edrixs.ed_1v1c_py(
            ("d", "p"),
            shell_level=(0.0, 0.0),
            v_soc=(atom["v_soc_i"][0], atom["v_soc_n"][0]),
            c_soc=atom["c_soc"],
            v_noccu=electrons,
            slater=integrals,
            v_cfmat=edrixs.cf_cubic_d(field_eV),
        )
        populated = int(np.sum(levels - levels.min() < 0.15))
        spectrum = edrixs.xas_1v1c_py(
            levels,
            excited_levels,
            transitions,
            ENERGY_eV,
            gamma_c=WIDTH_eV / 2,
            thin=0.0,
            phi=0.0,
            pol_type=[("isotropic", 0.0)],
            gs_list=list(range(populated)),
            temperature=TEMPERATURE_K,
        )
    return np.asarray(spectrum[:, 0])


def arrays() -> Arrays:
    """One spectrum an ion, and their energies."""
    return {"energy_eV": ENERGY_eV, **{name: absorption(*ion) for name, ion in IONS.items()}}
