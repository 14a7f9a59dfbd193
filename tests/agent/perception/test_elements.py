"""Elements: edges are found whatever the background and the gain, and none where there is none."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from agent.perception.elements import EDGES_eV, Element, edge_steps

AXIS_eV = -20.0 + 2.0 * np.arange(1024)
CANDIDATES: tuple[Element, ...] = ("C", "O", "Ti", "Fe", "Ni", "Cu", "Ge", "Al", "Si")


def spectrum(
    steps: dict[Element, float], blur_eV: float = 5.0, scale: float = 1e5, seed: int = 0
) -> NDArray[np.float64]:
    """A power law with edges on it that fall as it does, counted."""
    energy = np.maximum(AXIS_eV, 50.0)
    raised = 1.0 + sum((step * ndtr((energy - EDGES_eV[e]) / blur_eV) for e, step in steps.items()), np.zeros(1024))
    return np.random.default_rng(seed).poisson(scale * (energy / 200.0) ** -3.0 * raised).astype(np.float64)


def named(counts: NDArray[np.float64], elements: Sequence[Element] = CANDIDATES) -> set[str]:
    steps = edge_steps(counts, AXIS_eV, elements)
    return {name for name, step in steps.items() if step.value > max(0.05, 5.0 * step.sd)}


@pytest.mark.parametrize("blur_eV", [5.0, 15.0, 50.0])
@pytest.mark.parametrize("there", [{"Ni": 1.0}, {"Ge": 0.8, "Ni": 0.5}, {"Si": 0.6, "Ti": 0.4}, {}])
def test_edges_are_named_however_sharp(there: dict[Element, float], blur_eV: float) -> None:
    for seed in range(3):
        assert named(spectrum(there, blur_eV, seed=seed)) == set(there)


def test_the_step_is_what_the_edge_adds() -> None:
    found = [edge_steps(spectrum({"Fe": 0.7}, seed=seed), AXIS_eV, CANDIDATES)["Fe"] for seed in range(30)]
    off = np.array([(f.value - 0.7) / f.sd for f in found])
    assert abs(off.mean()) < 0.6
    assert 0.5 < off.std() < 1.6
    # Of gain and offset of the scale it knows nothing.
    scaled = edge_steps(0.01 * spectrum({"Fe": 0.7}), AXIS_eV, CANDIDATES)["Fe"]
    assert scaled.value == pytest.approx(found[0].value, rel=1e-3)


def test_edges_nearer_than_they_are_sharp_are_not_both_named() -> None:
    """Nickel and copper, 76 eV apart, with edges that rise over 100: the one that fits; with sharp ones, both."""
    assert named(spectrum({"Ni": 1.0}, 50.0)) == {"Ni"}
    assert named(spectrum({"Cu": 1.0}, 50.0)) == {"Cu"}
    assert named(spectrum({"Ni": 1.0, "Cu": 1.0}, 5.0)) == {"Ni", "Cu"}


def test_what_the_axis_does_not_hold_is_left_out() -> None:
    counts = spectrum({})
    assert "Au" not in edge_steps(counts, AXIS_eV, ("Au", "Ni"))
    assert edge_steps(np.zeros(1024), AXIS_eV, CANDIDATES) == {}
    assert edge_steps(counts[:40], AXIS_eV[:40], CANDIDATES) == {}
