"""The spectroscope: good data are read, and whatever bad data come it says so, without an error or a sure number."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.perception.analyst import Analyst
from agent.perception.diffraction import Crystal
from agent.perception.eds import LineTable
from agent.perception.spectroscope import Spectroscope
from digital_twin.spectra import C_K, O_K, SpectrumModel, drude, edge_nm2_per_eV, energy_axis_eV
from hardware_bridge.messages import Acquire, Axis, Command, Go, Optics, Settings
from hardware_bridge.observation import Observation

CHANNELS, PIXELS = 900, 48
KINDS = {"EELS": "spectrum", "EDS": "spectrum", "4DSTEM": "pattern"}
LINES = LineTable(("O", "Cu"), np.array([525.0, 8040.0]), np.array([0, 1]), np.full(2, 1e-9), np.zeros((2, 2)), 130.0)
CRYSTAL = Crystal(np.array([[2.0, 0.0], [0.0, 2.6]]), np.array([(1, 0), (-1, 0), (0, 1), (0, -1)]), np.full(4, 1e-4))


def axes_of(mode: str, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    place = tuple(
        Axis(name=n, size=max(s, 1), offset=0.0, scale=2.0, unit="nm") for n, s in zip("yx", shape, strict=False)
    )
    if KINDS[mode] == "pattern":
        return (
            *place,
            *(
                Axis(name=n, size=s, offset=-30.0, scale=1.25, unit="mrad")
                for n, s in zip(("ky", "kx"), shape[2:], strict=False)
            ),
        )
    step = (1.0, -20.0) if mode == "EELS" else (10.0, 0.0)
    return (*place, *(Axis(name="energy", size=s, offset=step[1], scale=step[0], unit="eV") for s in shape[2:3]))


def observe(bench, mode: str, data: np.ndarray | None, rows: np.ndarray | None = None) -> Observation:
    shape = data.shape if data is not None else (2, 2, CHANNELS)
    height, width = (max(s, 1) for s in (*shape, 1, 1)[:2])
    acquire = Acquire(mode=mode, fov_nm=2.0 * width, pixels_x=width, pixels_y=height, dwell_s=1e-3)
    command = Command(id="c", go=Go(), set=Settings(optics=Optics(beam_current_pA=40.0)), acquire=acquire)
    return Observation(
        command=command,
        start_s=0.0,
        end_s=1.0,
        state=bench.state((0.0, 0.0), 0.0, 1.0),
        kind=KINDS[mode],
        data=data,
        axes=axes_of(mode, shape),
        row_seen=np.ones(height, dtype=bool) if rows is None else rows,
        row_start_s=np.zeros(height),
        electrons=1e6,
    )


def spectra(electrons: float, carbon: float = 2000.0, seed: int = 0) -> np.ndarray:
    axis = energy_axis_eV(-20.0, 1.0, CHANNELS)
    edges = np.array([edge_nm2_per_eV(edge, axis, 200.0, 20.0) for edge in (C_K, O_K)])
    model = SpectrumModel(axis, 1.5, drude(axis, 24.0, 12.0)[None], edges)
    shares = model.probabilities(np.array([0.5]), np.array([carbon, 1500.0]))
    return np.random.default_rng(seed).poisson(electrons * shares, (4, 2, CHANNELS)).astype(np.uint32)


def patterns(electrons: float) -> np.ndarray:
    at = 1.25 * (np.arange(PIXELS) - PIXELS // 2)
    image = 1e-5 * np.ones((PIXELS, PIXELS))
    for x, y, share in ((0.0, 0.0, 0.8), (5.0, 0.0, 0.05), (-5.0, 0.0, 0.05), (0.0, 6.5, 0.05), (0.0, -6.5, 0.05)):
        disc = np.hypot(at[None] - x, at[:, None] - y) < 2.0
        image += share * disc / disc.sum()
    return np.random.default_rng(1).poisson(electrons * image, (3, 3, PIXELS, PIXELS)).astype(np.uint16)


@pytest.fixture(scope="module")
def make():
    def made(bench) -> Spectroscope:
        return Spectroscope(bench.capabilities, (C_K, O_K), LINES, CRYSTAL)

    return made


def test_a_spectrum_is_read_with_figures(bench, make) -> None:
    see = make(bench)
    first = see(observe(bench, "EELS", spectra(1e7)))
    assert first.quality["usable"] == 1.0
    assert first.quality["snr"] > 20.0
    assert abs(first.quality["zero_loss_drift_eV"]) < 0.01
    assert first.quality["contamination_per_nm2"] == 0.0
    carbon = first.estimates["C_K_per_nm2"]
    assert carbon.value == pytest.approx(2000.0, abs=3.0 * carbon.sd)
    later = see(observe(bench, "EELS", spectra(1e7, 2600.0, 1)))
    assert later.quality["contamination_per_nm2"] == pytest.approx(600.0, abs=5.0 * carbon.sd)


def test_a_drift_within_is_seen(bench, make) -> None:
    moved = spectra(1e6)
    moved[:2], moved[2:] = np.roll(moved[:2], -1, axis=-1), np.roll(moved[2:], 2, axis=-1)
    assert make(bench)(observe(bench, "EELS", moved)).quality["zero_loss_drift_eV"] == pytest.approx(3.0, abs=0.02)


def test_what_is_partly_bad_is_not_read_either(bench, make) -> None:
    see, good = make(bench), spectra(1e7).astype(float)
    assert see(observe(bench, "EELS", good)).quality["usable"] == 1.0
    holes = np.where(np.random.default_rng(0).random(good.shape) < 0.1, np.nan, good)
    clipped = np.minimum(good, 65535).astype(np.uint16)
    for data, why in ((holes, "are no counts"), (clipped, "saturated")):
        percept = see(observe(bench, "EELS", data))
        assert percept.quality["usable"] == 0.0
        assert why in percept.events[0]
    few = good.copy()
    few[0, 0, 700] = np.nan
    percept = see(observe(bench, "EELS", few))
    assert percept.quality["usable"] == 1.0
    assert 0.0 < percept.quality["bad_share"] < 0.001


def test_patterns_are_read_with_figures(bench, make) -> None:
    bench.convergence_mrad = 2.0
    percept = Spectroscope(bench.capabilities, crystal=CRYSTAL)(observe(bench, "4DSTEM", patterns(3000.0)))
    assert percept.quality["usable"] == 1.0
    assert percept.estimates["deflection_x_mrad"].value == pytest.approx(0.0, abs=0.05)
    assert percept.quality["beam_spread_mrad"] < 0.1
    assert abs(percept.estimates["strain_xx"].value) < 4.0 * percept.estimates["strain_xx"].sd + 0.005
    moved = patterns(3000.0)
    moved[1] = np.roll(moved[1], 1, axis=-1)
    assert Spectroscope(bench.capabilities)(observe(bench, "4DSTEM", moved)).quality["beam_spread_mrad"] > 0.4


def test_the_analyst_hands_patterns_and_x_rays_over(bench) -> None:
    bench.convergence_mrad = 2.0
    analyst = Analyst(bench.capabilities)
    percept = analyst(observe(bench, "4DSTEM", patterns(3000.0)))
    assert percept.quality["usable"] == 1.0
    assert {"deflection_x_mrad", "drift_x_nm"} <= set(percept.estimates)
    rays = np.random.default_rng(0).poisson(3.0, (2, 2, CHANNELS)).astype(np.uint32)
    assert analyst(observe(bench, "EDS", rays)).quality["usable"] == 0.0


def bad(mode: str) -> list[np.ndarray | None]:
    """What a broken detector may send."""
    shape = (2, 2, CHANNELS) if KINDS[mode] == "spectrum" else (2, 2, PIXELS, PIXELS)
    return [
        None,
        np.zeros(shape, dtype=np.uint16),
        np.full(shape, 65535, dtype=np.uint16),
        np.full(shape, np.nan),
        np.full(shape, np.inf),
        np.full(shape, -3.0),
        np.ones(shape),
        np.zeros((0, *shape[1:])),
        np.ones(shape[:-1]),
        np.ones((*shape, 2)),
        np.ones((*shape[:-1], 3)),
        np.ones(shape, dtype=bool),
    ]


@pytest.mark.parametrize("mode", list(KINDS))
def test_bad_data_are_told_as_bad(bench, make, mode) -> None:
    see = make(bench)
    for data in bad(mode):
        percept = see(observe(bench, mode, data))
        assert percept.quality["usable"] == 0.0
        assert not percept.estimates
        assert percept.events[0].startswith("not usable: ")


@pytest.mark.parametrize("mode", list(KINDS))
def test_rows_that_did_not_arrive_are_left_out(bench, make, mode) -> None:
    data = np.ones((2, 2, CHANNELS) if KINDS[mode] == "spectrum" else (2, 2, PIXELS, PIXELS))
    assert make(bench)(observe(bench, mode, data, np.zeros(2, dtype=bool))).quality["usable"] == 0.0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(list(KINDS)),
    shape=st.tuples(*(st.integers(0, 3),) * 2, *(st.sampled_from([0, 1, 15, 16, 48, 64, 300]),) * 2),
    kind=st.sampled_from(["poisson", "spikes", "huge", "nan", "saturated", "normal"]),
    level=st.floats(0.0, 1e3),
    seed=st.integers(0, 2**16),
)
def test_nothing_raises_and_nothing_is_claimed_of_noise(bench, make, mode, shape, kind, level, seed) -> None:
    rng = np.random.default_rng(seed)
    size = shape if KINDS[mode] == "pattern" else shape[:3]
    data = rng.poisson(level, size).astype(float)
    if kind == "spikes" and data.size:
        data = np.zeros(size)
        data.ravel()[rng.integers(data.size, size=3)] = 1e7 * level
    data = data * 1e12 if kind == "huge" else data
    data = np.where(rng.random(size) < 0.5, np.nan, data) if kind == "nan" else data
    data = rng.normal(0.0, level + 1.0, size) if kind == "normal" else data
    data = np.minimum(data, 1).astype(np.uint8) * 255 if kind == "saturated" else data
    percept = make(bench)(observe(bench, mode, data))
    assert all(math.isfinite(figure) for figure in percept.quality.values())
    for name, told in percept.estimates.items():
        assert math.isfinite(told.value), name
        assert 0.0 < told.sd < math.inf, name
    if kind in ("nan", "normal"):
        assert percept.quality["usable"] == 0.0
