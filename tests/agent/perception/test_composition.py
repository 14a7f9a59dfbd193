"""Spectra of a place: what they say of the feature under the beam, and of none."""

from dataclasses import replace

import numpy as np
import pytest

from agent.perception.analyst import Analyst
from digital_twin.spectra import CU_L3, O_K, SpectrumModel, drude, edge_nm2_per_eV, energy_axis_eV
from hardware_bridge.messages import Acquire, Axis, Command, Go, Optics, Settings
from hardware_bridge.words import validated

AXIS = energy_axis_eV(-20.0, 1.0, 1200)
ATOMS_PER_NM3 = 84.9


def spectrum(bench, rng, copper_nm, at, *, electrons=3e7, start_s=10.0):
    edges = np.array([edge_nm2_per_eV(edge, AXIS, 200.0, 20.0) for edge in (O_K, CU_L3)])
    model = SpectrumModel(AXIS, 1.5, drude(AXIS, 21.0, 12.0)[None, :], edges)
    shares = model.probabilities(np.array([0.9]), np.array([4500.0, ATOMS_PER_NM3 * copper_nm]))
    command = Command(
        id="s",
        go=Go(stage_x_nm=at[0], stage_y_nm=at[1]),
        set=Settings(optics=Optics(beam_current_pA=40.0, C10_nm=0.0)),
        acquire=Acquire(mode="EELS", fov_nm=8.0, pixels_x=2, pixels_y=2, dwell_s=0.01),
    )
    image = bench.observe(np.zeros((0, 3)), rng, at=at, start_s=start_s)
    axes = (
        Axis(name="y", size=2, offset=0.0, scale=4.0, unit="nm"),
        Axis(name="x", size=2, offset=0.0, scale=4.0, unit="nm"),
        Axis(name="energy_loss", size=1200, offset=-20.0, scale=1.0, unit="eV"),
    )
    data = rng.poisson(np.broadcast_to(electrons / 4 * shares, (2, 2, 1200))).astype(np.uint32)
    return replace(
        image,
        command=command,
        kind="spectrum",
        data=data,
        axes=axes,
        row_seen=np.ones(2, dtype=bool),
        row_start_s=np.full(2, start_s),
    )


def seen_first(bench, rng, radius=12.0):
    analyst = Analyst(bench.capabilities)
    spheres = np.array([[40.0, 20.0, radius], [-80.0, 0.0, 10.0]])
    analyst(bench.observe(spheres, rng, at=(40.0, 20.0), incident=300.0))
    return analyst


@pytest.mark.parametrize(("copper_nm", "is_copper"), [(23.0, True), (0.0, False)])
def test_a_spectrum_tells_what_a_feature_is(bench, copper_nm, is_copper) -> None:
    rng = np.random.default_rng(0)
    analyst = seen_first(bench, rng)
    percept = validated(analyst(spectrum(bench, rng, copper_nm, (40.0, 20.0))))
    probability = percept.estimates["copper_probability"].value
    # One spectrum without copper may have been taken beside the feature.
    assert (probability > 0.9) if is_copper else (probability < 0.7)
    (judged,) = percept.particles
    assert (judged.x_nm, judged.y_nm) == pytest.approx((40.0, 20.0), abs=3.0)
    assert judged.real == probability
    assert percept.estimates["copper_per_nm2"].value == pytest.approx(
        ATOMS_PER_NM3 * copper_nm, abs=4 * percept.estimates["copper_per_nm2"].sd
    )
    assert percept.estimates["thickness_t_over_lambda"].value == pytest.approx(0.9, abs=0.01)
    # Later images remember it.
    after = analyst(bench.observe(np.array([[40.0, 20.0, 12.0]]), rng, at=(40.0, 20.0), incident=300.0, start_s=20.0))
    assert after.particles[0].track == judged.track
    assert (after.particles[0].real > 0.9) == is_copper
    second = analyst(spectrum(bench, rng, copper_nm, (40.0, 20.0), start_s=22.0))
    assert (second.particles[0].real > 0.9) if is_copper else (second.particles[0].real < 0.1)


def test_beside_all_features_nothing_is_judged(bench) -> None:
    rng = np.random.default_rng(1)
    percept = seen_first(bench, rng)(spectrum(bench, rng, 0.0, (150.0, -150.0)))
    assert percept.particles == ()
    assert percept.estimates["copper_probability"].value < 0.5


def test_few_electrons_leave_doubt(bench) -> None:
    rng = np.random.default_rng(2)
    analyst = seen_first(bench, rng)
    before = analyst._tracker.real(1)
    percept = analyst(spectrum(bench, rng, 23.0, (40.0, 20.0), electrons=2e4))
    after = percept.estimates.get("copper_probability")
    assert after is None or abs(after.value - before) < 0.2


def test_an_empty_spectrum_says_so(bench) -> None:
    rng = np.random.default_rng(3)
    percept = validated(seen_first(bench, rng)(spectrum(bench, rng, 0.0, (40.0, 20.0), electrons=10.0)))
    assert percept.quality["usable"] == 0.0
    assert "thickness_t_over_lambda" not in percept.estimates
