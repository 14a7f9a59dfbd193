"""What a detector says without a beam is taken off, and the noise that is left is told honestly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed

from agent.perception.analyst import Analyst
from agent.perception.references import References
from digital_twin.instrument import Apparatus, Twin
from digital_twin.liquid_cell import LiquidCell
from digital_twin.readout import Readout
from hardware_bridge.messages import Acquire, Command, Optics, Settings
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
    twin = Twin(LiquidCell(3), seed=3, apparatus=Apparatus(readout=OFFSET))
    references = References(1.0)
    references.learn(taken(twin, "dark", changed(IMAGE, blanked=True)))
    seen = [references.corrected(taken(twin, f"i{number}", changed(IMAGE, max_frames=1))) for number in range(2)]
    one, other = (np.asarray(observation.data, dtype=np.float64) for observation in seen)
    # The specimen's own contrast is in both: half the variance of the difference is noise.
    variance = 0.5 * (one - other).var()
    assert variance == pytest.approx(0.5 * (one.mean() + other.mean()), rel=0.05)


def test_only_the_same_detector_at_the_same_dwell_time_is_corrected() -> None:
    twin = Twin(LiquidCell(3), seed=3, apparatus=Apparatus(readout=OFFSET))
    references = References(1.0)
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
    references = References(1.0)
    assert references.learn(replace(dark, row_seen=np.zeros_like(dark.row_seen))) == {}
    seen = taken(twin, "seen", IMAGE)
    assert references.corrected(seen) is seen
