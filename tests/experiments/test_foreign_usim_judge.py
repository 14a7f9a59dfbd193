"""What is counted as found, missed, misplaced and misread, on a specimen of three flakes."""

from __future__ import annotations

import pytest

from agent.assemble import CHOICES, card_of, perception
from agent.config import ConfigErrors, load
from agent.perception.surveyor import Surveyor, SurveyorSettings
from agent.record import Decision, Record
from digital_twin.column import Column
from digital_twin.column import capabilities as capabilities_of
from experiments.foreign import ROOT
from experiments.foreign_usim.judge import Flake, judge
from experiments.foreign_usim.page import page
from experiments.small_column import STATE
from hardware_bridge.messages import Acquire, Command, Mode
from hardware_bridge.report import Estimate, Particle, Percept

CONFIG = ROOT / "experiments/foreign_usim/config.toml"
SETTINGS = SurveyorSettings(elements=("Ni", "Ge", "Si", "Fe"))
ALONE = Flake(kind="flake", x_nm=-50.0, y_nm=0.0, width_nm=20.0, height_nm=20.0, edges_eV=(68.0, 855.0))
LOWER = Flake(kind="flake", x_nm=50.0, y_nm=0.0, width_nm=20.0, height_nm=20.0, edges_eV=(29.0, 1217.0))
UPPER = Flake(kind="flake", x_nm=60.0, y_nm=0.0, width_nm=20.0, height_nm=20.0, edges_eV=(1839.0, 99.0))
OUTSIDE = Flake(kind="flake", x_nm=500.0, y_nm=0.0, width_nm=20.0, height_nm=20.0, edges_eV=(29.0, 1217.0))
FLAKES = (ALONE, LOWER, UPPER, OUTSIDE)


def particle(track: int, x_nm: float) -> Particle:
    return Particle(
        track=track, x_nm=x_nm, y_nm=1.0, radius_nm=9.0, x_sd_nm=1.0, y_sd_nm=1.0, radius_sd_nm=1.0, snr=50.0
    )


def record(turn: int, mode: Mode, x_nm: float = 0.0, steps: tuple[str, ...] = (), *particles: Particle) -> Record:
    pixels, fov_nm = (2, 4.0) if mode == "EELS" else (200, 200.0)
    acquire = Acquire(mode=mode, fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=1e-3)
    percept = Percept(
        command_id=f"c{turn}",
        mode=mode,
        start_s=float(turn),
        end_s=turn + 1.0,
        x_nm=x_nm,
        estimates={f"step_{element}": Estimate(value=1.0, sd=0.01) for element in steps},
        particles=particles,
    )
    decision = Decision(
        proposals=(),
        verdict="approved",
        by="envelope",
        reason="",
        waited_s=0.0,
        command=Command(id=f"c{turn}", acquire=acquire),
    )
    return Record(turn=turn, start_s=float(turn), end_s=turn + 1.0, decision=decision, state=STATE, percept=percept)


RECORDS = (
    record(0, "HAADF", 0.0, (), particle(0, -48.0), particle(1, 45.0), particle(2, 0.0)),
    record(1, "EELS", -48.0, ("Ni",)),
    record(2, "EELS", 45.0, ("Ge", "Fe")),
    record(3, "EELS", 55.0, ("Ge",)),
    record(4, "EELS", 0.0),
)


def test_a_run_is_judged_by_what_there_is() -> None:
    judged = judge(RECORDS, FLAKES, 200.0, SETTINGS)
    assert judged.seen(0.0) == (2, 3)
    assert judged.seen(30.0) == (0, 0)
    assert judged.joined(0.0) == 1
    assert judged.false() == 1
    assert judged.errors_nm(0.0) == [pytest.approx((2.0, 1.0))]
    assert judged.named() == (2, 3)
    # Rightly named, missed, and named where it is not.
    assert judged.table(SETTINGS.elements) == {"Ni": (1, 0, 0), "Ge": (2, 0, 0), "Si": (0, 1, 0), "Fe": (0, 0, 1)}
    assert [r.claimed == r.true for r in judged.readings] == [True, False, False, True]


def test_the_page_says_it() -> None:
    text = page(judge(RECORDS, FLAKES, 200.0, SETTINGS), SETTINGS.elements)
    assert "| all | 3 | 2 | 0.67 |" in text
    assert "| Si | 0 | 1 | 0 |" in text
    assert "2 of 4 spectra were read entirely right" in text


def test_its_configuration_has_an_extent_no_targets_and_the_surveyor() -> None:
    config = load(CONFIG, more=CHOICES)
    card = card_of(config)
    assert (card.extent_nm, card.targets) == (440.0, ())
    made = perception(capabilities_of(Column(), "real"), card, config)
    assert isinstance(made.analyst, Surveyor)
    made.reporter.add(Percept(command_id="a", mode="EELS", start_s=0.0, end_s=1.0))
    assert made.report().targets == {}
    with pytest.raises(ConfigErrors, match=r"perception\.settings\.elements"):
        load(CONFIG, ('perception.settings.elements=["Ni", "Unobtainium"]',), CHOICES)
