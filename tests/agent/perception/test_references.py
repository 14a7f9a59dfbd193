"""What a detector says without a beam is taken off, and the noise that is left is told honestly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed

from agent.perception.analyst import Analyst
from agent.perception.references import References
from digital_twin.apparatus import Apparatus
from digital_twin.conditions import STILL
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from digital_twin.readout import Readout
from hardware_bridge.cost import ELECTRONS_PER_PA_S
from hardware_bridge.messages import Acquire, Axis, Command, Optics, Settings
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Observation

OFFSET = Readout(offset_counts=50.0, read_noise_counts=3.0)
SPECTRUM = Acquire(mode="EELS", fov_nm=32.0, pixels_x=8, pixels_y=8, dwell_s=1e-3)
IMAGE = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=128, pixels_y=128, dwell_s=1e-5)
CURRENT = Settings(optics=Optics(beam_current_pA=60.0))


def taken(twin: Twin, name: str, acquire: Acquire) -> Observation:
    return execute(twin, Command(id=name, set=CURRENT, acquire=acquire), 5.0)


def test_thickness_is_right_with_a_dark_reference_and_wrong_without() -> None:
    ideal, twin = (Twin(LiquidCell(3), seed=3, apparatus=Apparatus(readout=readout)) for readout in (Readout(), OFFSET))
    known, read, unread = (Analyst(twin.describe()) for _ in range(3))
    truth = known(taken(ideal, "truth", SPECTRUM)).estimates["thickness_t_over_lambda"]
    dark = read(taken(twin, "dark", changed(SPECTRUM, blanked=True)))
    assert dark.mode == "EELS"
    assert dark.quality["usable"] == 0.0
    assert dark.quality["dark_level_counts"] == pytest.approx(50.0, abs=0.05)
    assert dark.quality["dark_noise_counts"] == pytest.approx(3.0, rel=0.05)
    seen = taken(twin, "seen", SPECTRUM)
    corrected = read(seen).estimates["thickness_t_over_lambda"]
    assert corrected.value == pytest.approx(truth.value, abs=4 * truth.sd + 0.005)
    wrong = unread(seen).estimates.get("thickness_t_over_lambda")
    assert wrong is None or abs(wrong.value - truth.value) > 0.05


def test_what_is_left_is_as_noisy_as_counts_of_its_mean() -> None:
    """Shifted Poisson: mean and variance of the corrected counts beside the particles agree."""
    twin = Twin(LiquidCell(3), seed=3, apparatus=Apparatus(readout=OFFSET, conditions=STILL))
    references = References(1.0, twin.describe())
    references.learn(taken(twin, "dark", changed(IMAGE, blanked=True)))
    seen = [references.corrected(taken(twin, f"i{number}", changed(IMAGE, max_frames=1))) for number in range(2)]
    one, other = (np.asarray(observation.data, dtype=np.float64) for observation in seen)
    # The specimen's own contrast is in both: half the variance of the difference is noise.
    variance = 0.5 * (one - other).var()
    assert variance == pytest.approx(0.5 * (one.mean() + other.mean()), rel=0.05)


def test_only_the_same_detector_at_the_same_dwell_time_is_corrected() -> None:
    twin = Twin(LiquidCell(3), seed=3, apparatus=Apparatus(readout=OFFSET))
    references = References(1.0, twin.describe())
    seen = taken(twin, "seen", IMAGE)
    assert references.corrected(seen) is seen
    references.learn(taken(twin, "dark", changed(IMAGE, blanked=True)))
    assert references.corrected(seen) is not seen
    assert seen.command.acquire is not None
    slower = replace(seen, command=changed(seen.command, acquire=changed(seen.command.acquire, dwell_s=2e-5)))
    assert references.corrected(slower) is slower


def test_a_reference_of_which_nothing_arrived_teaches_nothing() -> None:
    twin = Twin(LiquidCell(3), seed=3, apparatus=Apparatus(readout=OFFSET))
    dark = taken(twin, "dark", changed(IMAGE, blanked=True))
    references = References(1.0, twin.describe())
    assert references.learn(replace(dark, row_seen=np.zeros_like(dark.row_seen))) == {}
    seen = taken(twin, "seen", IMAGE)
    assert references.corrected(seen) is seen


def camera(bench, seen, name, random, blanked=False, dwell_s=1e-3):
    """A frame of a camera of 64 x 64 pixels: offset 2000, gain spread 10 %, one dead pixel, and electrons seen."""
    gain = 1.0 + 0.1 * np.random.default_rng(1).standard_normal((64, 64))
    gain[5, 6] = 0.0
    electrons = random.poisson(np.broadcast_to(0.0 if blanked else seen, (64, 64)))
    plain = bench.observe(np.zeros((0, 3)), random, pixels=64, fov_nm=64.0)
    acquire = Acquire(mode="HRTEM", fov_nm=64.0, pixels_x=64, pixels_y=64, dwell_s=dwell_s, blanked=blanked)
    data = np.rint(2000.0 + gain * electrons + 2.0 * random.standard_normal((64, 64)))
    return replace(plain, command=changed(plain.command, id=name, acquire=acquire), data=data), gain


def test_a_camera_is_flat_after_its_gain_reference(bench) -> None:
    random = np.random.default_rng(7)
    references = References(1.0, bench.capabilities)
    references.learn(camera(bench, 0.0, "dark", random, blanked=True)[0])
    for number in range(4):
        flat, gain = camera(bench, 1e4, f"gain-reference-{number}", random)
        figures = references.learn(flat)
        assert figures is not None
        assert figures["gain_averaged"] == number + 1
    assert figures["gain_spread"] == pytest.approx(gain[gain > 0.0].std() / gain[gain > 0.0].mean(), rel=0.02)
    assert figures["gain_dead_share"] == 1 / 4096
    wave = 1e4 * (1.0 + 0.5 * np.sin(np.arange(64) / 3.0)) * np.ones((64, 1))
    seen, _ = camera(bench, wave, "seen", random)
    alive = gain > 0.0
    scale = gain[alive].mean()
    corrected = np.asarray(references.corrected(seen).data)
    # Shot noise of the image, and of four references.
    apart = ((corrected / scale - wave) / np.sqrt(wave))[alive]
    assert apart.std() == pytest.approx(np.sqrt(1.0 + 0.25 * (wave / 1e4)[alive]).mean(), rel=0.05)
    uncorrected = ((np.asarray(seen.data) - 2000.0) / scale - wave)[alive]
    assert uncorrected.std() > 5.0 * (corrected / scale - wave)[alive].std()


def test_a_new_set_of_gain_references_replaces_the_old_one(bench) -> None:
    random = np.random.default_rng(7)
    references = References(1.0, bench.capabilities)
    names = ["gain-reference-0", "gain-reference-1", "seen", "gain-reference-2"]
    figures = [references.learn(camera(bench, 1e4, name, random)[0]) for name in names]
    assert figures[2] is None
    assert [each["gain_averaged"] for each in figures if each] == [1.0, 2.0, 1.0]


def test_other_cameras_and_spoilt_references_are_left_alone(bench) -> None:
    random = np.random.default_rng(7)
    references = References(1.0, bench.capabilities)
    flat, _ = camera(bench, 1e4, "gain-reference-0", random)
    seen, _ = camera(bench, 1e4, "seen", random)
    assert references.learn(replace(flat, aborted=True)) == {}
    assert references.corrected(seen) is seen
    references.learn(flat)
    assert references.corrected(seen) is not seen
    half = changed(seen.command.acquire, pixels_y=32)
    assert references.corrected(replace(seen, command=changed(seen.command, acquire=half))).data is seen.data


def test_counts_per_electron_of_a_detector_that_takes_the_whole_beam(bench) -> None:
    """A spectrometer of 3 counts an electron over an empty place, read as if it gave 2."""
    random = np.random.default_rng(7)
    plain = bench.observe(np.zeros((0, 3)), random, pixels=64, fov_nm=64.0)
    acquire = changed(plain.command.acquire, mode="EELS", pixels_x=4, pixels_y=4)
    per_pixel = plain.state.optics.beam_current_pA * acquire.dwell_s * ELECTRONS_PER_PA_S
    energy = np.arange(-20.0, 20.0)
    shape = np.exp(-0.5 * energy**2) / np.exp(-0.5 * energy**2).sum()
    data = 3.0 * random.poisson(per_pixel * shape, (4, 4, energy.size))
    flat = replace(
        plain, command=changed(plain.command, id="gain-reference-0", acquire=acquire), kind="spectrum", data=data,
        electrons=per_pixel * 16, row_seen=np.ones(4, dtype=bool), row_start_s=np.zeros(4),
        axes=(*plain.axes[:2], Axis(name="energy_loss", size=40, offset=-20.0, scale=1.0, unit="eV")),
    )  # fmt: skip
    references = References(2.0, bench.capabilities)
    figures = references.learn(flat)
    assert figures is not None
    assert figures["counts_per_electron"] == pytest.approx(3.0, rel=0.02)
    seen = replace(flat, command=changed(flat.command, id="seen"))
    assert np.asarray(references.corrected(seen).data).sum() / 2.0 == pytest.approx(per_pixel * 16, rel=0.02)


def test_a_gain_reference_shows_no_specimen() -> None:
    twin = Twin(LiquidCell(3), seed=3)
    percept = Analyst(twin.describe())(taken(twin, "gain-reference-s0-t0000", SPECTRUM))
    assert percept.quality["usable"] == 0.0
    assert "counts_per_electron" in percept.quality
    assert "thickness_t_over_lambda" not in percept.estimates
