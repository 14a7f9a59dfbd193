"""Every imperfection stands in the table as the code has it, is seen where it is on, and can be switched off."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from digital_twin import cathode, conditions, film, front, growth, vacancies
from digital_twin.apparatus import PLAIN, Apparatus
from digital_twin.camera import PERFECT
from digital_twin.conditions import PROMPT_S, STILL
from digital_twin.contamination import Contamination
from digital_twin.detectors import Column
from digital_twin.holder import TwinHolder
from digital_twin.instrument import Twin
from digital_twin.liquid_cell import LiquidCell
from digital_twin.materials import COPPER, WATER
from digital_twin.misalignment import Misalignment
from digital_twin.optics import Aberrations
from digital_twin.readout import IDEAL
from digital_twin.specimen import Grid, Still, draw_spheres
from digital_twin.world import apparatus_of
from digital_twin.xrays import XrayDetector
from experiments.validation.__main__ import RESULT
from experiments.validation.imperfections import (
    DIFFERENT,
    IMPERFECTIONS,
    Imperfection,
    changed,
    different,
    ideal,
    instruments,
    text,
)
from hardware_bridge.messages import Acquire, Command, Go, Holder, Mode, Optics, Settings
from hardware_bridge.microscope import execute

PARTS = Counter((each.part, name) for each in IMPERFECTIONS for name in {*each.names, *each.off})

DESIGN = {
    Column: "beam_energy_keV convergence_mrad collection_mrad haadf_inner_mrad haadf_outer_mrad energy_offset_eV "
    "energy_step_eV energy_channels xrays objective_mrad lit_diameter_nm pattern_mrad pattern_pixels above all_orders",
    XrayDetector: "solid_angle_sr elevation_deg thickness_nm energy_offset_eV energy_step_eV energy_channels",
}
"""What of a column is no imperfection."""

ON = {
    "conditions": {
        "mains_nm": 2.0,
        "C12_wander_nm": 20.0,
        "C21_wander_nm": 500.0,
        "C23_wander_nm": 500.0,
        "C30_wander_um": 500.0,
        "zero_loss_wander_eV": 3.0,
        "current_decay_per_h": 0.5,
        "heat_nm_per_K": 0.5,
    },
    "camera": {"coincidence_s": 1e-4, "hot_share": 0.01, "hot_electrons_per_s": 1e9},
    "readout": {
        "gain_counts_per_electron": 2.5,
        "offset_counts": 100.0,
        "dark_counts_per_s": 1e4,
        "read_noise_counts": 3.0,
    },
}
"""What is off by default, as it is where it is on."""


BACKLASH = next(each for each in IMPERFECTIONS if (each.part, *each.names) == ("conditions", "backlash_nm"))
SEEN = [each for each in IMPERFECTIONS if each.of_apparatus and each is not BACKLASH]


class Balls(Still):
    """Copper balls in 100 nm of water, everywhere but in a strip along the left edge of a scan of the middle."""

    extent_nm = 400.0
    materials = (COPPER, WATER)
    device = torch.device("cpu")

    def height_nm(self, x_nm: Tensor, y_nm: Tensor, worlds: Sequence[int] | None = None) -> Tensor:
        return torch.zeros_like(x_nm)

    def project(self, grids: Sequence[Grid]) -> Tensor:
        places = [(17.0 * n, 13.0 * m) for n in range(-10, 11) for m in range(-10, 11) if n not in (-1, -2)]
        centres = torch.tensor(places, dtype=torch.float64)
        radii = torch.full((len(centres),), 5.0, dtype=torch.float64)
        copper = draw_spheres(grids, torch.zeros(len(centres), dtype=torch.long), centres, radii)
        return torch.stack([copper, 100.0 - copper], dim=1)


class Session:
    """A twin with the balls that is told what to do."""

    def __init__(self, apparatus: Apparatus) -> None:
        self.twin, self.commands = Twin(Balls(), 3, apparatus=apparatus), 0

    def __call__(
        self, mode: Mode | None, pixels: int = 32, dwell_s: float = 2e-5, fov_nm: float = 64.0, go: Go | None = None
    ) -> np.ndarray:
        self.commands += 1
        acquire = None
        if mode is not None:
            acquire = Acquire(mode=mode, fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell_s, max_frames=1)
        optics = Optics(beam_current_pA=2000.0, C10_nm=-80.0)
        setting = Settings(optics=optics, holder=Holder(temperature_K=320.0))
        command = Command(id=f"t{self.commands}", go=go or Go(), set=setting, acquire=acquire)
        data = execute(self.twin, command, 5.0).data
        return np.zeros(0) if data is None else data


def session(apparatus: Apparatus) -> list[np.ndarray]:
    """What is recorded after a heating step, a move to and fro, and half an hour."""
    tell = Session(apparatus)
    tell(None, go=Go(stage_x_nm=90.0, stage_y_nm=90.0))
    tell.twin._pass(1800.0)
    moved = tell("HAADF", go=Go(stage_x_nm=10.0, stage_y_nm=10.0, beam_shift_x_nm=25.0))
    spectra = [tell(mode, 2, 0.05) for mode in ("EELS", "EDS")]
    claimed = np.array([tell.twin.state().position_sd_nm])
    return [moved, tell("HRTEM", 64, 1.0, 16.0), *spectra, tell("HAADF"), claimed]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def everything_on() -> Apparatus:
    apparatus = replace(PLAIN, hidden=replace(Misalignment.drawn(1), residual=Aberrations(C12_nm=30.0)))
    for part, values in ON.items():
        apparatus = changed(apparatus, part, values)
    return apparatus


def test_everything_that_could_be_imperfect_stands_in_one_line() -> None:
    expected = [(part, name) for part in ("conditions", "camera", "readout") for name in _names(getattr(PLAIN, part))]
    expected += [("hidden", each.name) for each in fields(Misalignment)]
    assert [each for each in expected if PARTS[each] != 1] == []
    for part, kind in (("column", Column), ("column.xrays", XrayDetector)):
        left = {each.name for each in fields(kind)} - set(DESIGN[kind].split())
        assert left == {name for at, name in PARTS if at == part}


def _names(word: object) -> tuple[str, ...]:
    return word.__struct_fields__  # type: ignore[attr-defined, no-any-return]


def test_the_table_is_what_the_code_has() -> None:
    assert text().strip() in RESULT.read_text(encoding="utf-8"), "python -m experiments.validation imperfections"


def test_values_of_the_table_are_read_from_the_code(monkeypatch) -> None:
    assert "| `decay_nm` 25, `decay_s` 150 |" in text()
    assert "`LAG_S` 20" in text()
    monkeypatch.setattr(conditions, "LAG_S", 21.0)
    assert "`LAG_S` 21" in text()


def test_with_everything_off_the_parts_are_those_that_are_called_ideal() -> None:
    off = ideal(everything_on())
    assert off == ideal()
    assert (off.conditions, off.camera, off.readout) == (STILL, PERFECT, IDEAL)
    assert off.hidden == Misalignment(backlash_nm=(0.0, 0.0))


@pytest.fixture(scope="module")
def all_on() -> list[np.ndarray]:
    return session(everything_on())


@pytest.mark.parametrize("which", SEEN, ids=lambda each: each.says.replace(" ", "_"))
def test_each_is_seen_in_what_is_recorded(which: Imperfection, all_on: list[np.ndarray]) -> None:
    assert not same(session(changed(everything_on(), which.part, which.off)), all_on)


def test_worlds_hand_their_backlash_on() -> None:
    facts = LiquidCell.facts
    assert apparatus_of(facts).hidden.backlash_nm == (12.0, 12.0)
    off = replace(facts, conditions=msgspec.structs.replace(facts.conditions, **BACKLASH.off))
    assert apparatus_of(off).hidden.backlash_nm == (0.0, 0.0)


def test_with_everything_off_nothing_moves_ages_or_remembers() -> None:
    late, early = Session(ideal()), Session(ideal())
    for way in (Go(stage_x_nm=90.0, stage_y_nm=90.0), Go(stage_x_nm=0.0, stage_y_nm=0.0)):
        late(None, go=way)
    late.twin._pass(5e3)
    assert np.array_equal(late("HAADF"), early("HAADF"))
    times = {each: 7.0 for each in _names(STILL) if each.endswith("_s")}
    assert same(session(changed(ideal(), "conditions", times)), session(ideal()))


def test_with_everything_off_electrons_are_counted_one_by_one_and_in_their_channels() -> None:
    seen = Session(ideal())
    flat = seen("HRTEM", 64, 1e-3).astype(float)[:, :8]
    assert flat.var() / flat.mean() == pytest.approx(1.0, abs=0.2)
    centred = flat - flat.mean()
    assert abs((centred[1:] * centred[:-1]).mean() / flat.var()) < 0.2
    spectrum = seen("EELS", 2, 0.05).sum(axis=(0, 1))
    assert spectrum[:20].sum() == 0
    assert spectrum[20] > 100 * spectrum[21]
    counts = seen("EDS", 2, 5.0).sum(axis=(0, 1))
    assert counts[804] > 20 * max(counts[800:803].max(), counts[806:809].max())


def test_what_stands_beside_the_apparatus_is_switched_off() -> None:
    off = {each.part: each.off for each in IMPERFECTIONS if not each.of_apparatus}
    grown = Contamination(**off["Contamination"]).grown_nm(torch.tensor(1e9), 1.0, 298.0)
    assert float(grown) == 0.0
    times = iter([0.0, 0.0, 1.0])
    sensors = TwinHolder(Holder(temperature_K=500.0, bias_V=0.5, flow_nl_per_s=2.0), lambda: next(times), seed=1)
    sensors.noise, sensors.lag_s = off["TwinHolder"]["noise"], PROMPT_S
    assert sensors.read() == Holder(temperature_K=500.0, bias_V=0.5, flow_nl_per_s=2.0)


def test_what_follows_the_holder_can_follow_at_once() -> None:
    window = film.Window([1], 298.0, torch.device("cpu"))
    grown, plate, cell = growth.GrowthWorld([1]), front.Front([1]), cathode.Cathode([1])
    sheet = vacancies.Vacancies([1], 80.0, 298.0)
    for each in (window, grown, plate, cell, sheet):
        assert each.lag_s == conditions.LAG_S
        each.lag_s = PROMPT_S
    window.set_holder(Holder(temperature_K=500.0))
    window.follow(1.0)
    assert window.temperature_K == 500.0
    grown.set_holder(2.5, 298.0)
    grown.advance_to(growth.TICK_S)
    assert float(grown.driver[0]) == 0.5
    plate.set_point_V, cell.set_point, sheet.set_point_K = 0.2, 3.0, 900.0
    for world in (plate, cell, sheet):
        world.advance_to(1.0)
    assert (float(plate.bias_V[0]), cell.drive, sheet.temperature_K) == (0.2, 3.0, 900.0)


def test_worlds_that_differ_say_why() -> None:
    assert set(instruments()) == set(DIFFERENT)
    assert "`jitter_nm` 0.005" in different(instruments()["defects"])
    assert "decay_nm" not in different(instruments()["valence"])
