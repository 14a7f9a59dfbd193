"""The twin that a configuration asks for is put together from what it says and from the facts of its world."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.assemble import CHOICES, DEFAULT_CONFIG, card_of
from agent.config import Config, ConfigErrors, load
from agent.twins import COLUMN, specimen, twin
from digital_twin.apparatus import PLAIN
from digital_twin.camera import Camera
from digital_twin.conditions import Conditions
from digital_twin.contamination import Contaminated
from digital_twin.instrument import Twin
from digital_twin.layered import Upon
from digital_twin.liquid_cell import LiquidCell
from digital_twin.misalignment import Misalignment
from digital_twin.standard import Standard
from experiments.validation.imperfections import ideal


def configured(*overrides: str) -> Config:
    return load(DEFAULT_CONFIG, overrides, CHOICES)


def column_of(config: Config) -> Twin:
    made = vars(twin(config, 1))["_column"]
    assert isinstance(made, Twin)
    return made


def test_the_standard_specimen_and_hidden_errors_are_chosen_by_the_config() -> None:
    config = configured("instrument.world=standard", "instrument.misaligned=3")
    assert isinstance(specimen(config, 1), Standard)
    assert card_of(config).world == "standard"
    assert column_of(config)._hidden == Misalignment.drawn(3)
    assert column_of(configured())._hidden == Misalignment()


def test_conditions_are_laid_over_those_of_the_world() -> None:
    assert column_of(configured())._drift._conditions == LiquidCell.facts.conditions == Conditions()
    still = column_of(configured("instrument.conditions={wander_nm = 0, backlash_nm = 0}"))
    assert still._drift._conditions == Conditions(wander_nm=0.0, backlash_nm=0.0)
    assert still._hidden.backlash_nm == (0.0, 0.0)


def test_the_camera_is_laid_over_a_ccd() -> None:
    assert column_of(configured())._camera == Camera()
    counting = column_of(configured("instrument.camera={noise_loss = 0.0, blur_loss = 0.3}"))
    assert counting._camera == Camera(noise_loss=0.0, blur_loss=0.3)
    with pytest.raises(ConfigErrors) as caught:
        configured("instrument.camera={noise_loss = 0.95}", "instrument.seed=-1")
    assert sorted(error.partition(": ")[0] for error in caught.value.errors) == ["instrument.camera", "instrument.seed"]
    assert "noise_loss: 0.95; at most blur_loss, 0.88" in str(caught.value)


def test_impossible_conditions_and_worlds_are_told_by_their_path() -> None:
    with pytest.raises(ConfigErrors) as caught:
        configured("instrument.conditions={wander_nm = -1, wonder_nm = 2}", "instrument.world=mars")
    told = sorted(error.partition(": ")[0] for error in caught.value.errors)
    assert told == ["instrument.conditions.wander_nm", "instrument.conditions.wonder_nm", "instrument.world"]


def test_the_source_of_the_column_is_chosen_by_the_config() -> None:
    assert column_of(configured()).column.source_fwhm_nm == LiquidCell.facts.column.source_fwhm_nm
    assert column_of(configured("instrument.column={source_fwhm_nm = 0.7}")).column.source_fwhm_nm == 0.7
    achromat = column_of(configured("instrument.column={chromatic_mm = 0}")).column
    assert (achromat.chromatic_mm, achromat.source_fwhm_nm) == (0.0, LiquidCell.facts.column.source_fwhm_nm)
    with pytest.raises(
        ConfigErrors, match=r"instrument\.column\.source_fwhm: unknown field, known is source_fwhm_nm, chromatic"
    ):
        configured("instrument.column={source_fwhm = 0.7}")
    with pytest.raises(ConfigErrors, match=r"instrument\.column\.source_fwhm_nm"):
        configured("instrument.column={source_fwhm_nm = -0.7}")


def test_all_that_blurs_in_the_column_can_be_switched_off_by_the_config() -> None:
    made = column_of(configured(f"instrument.column={{{', '.join(f'{name} = 0' for name in COLUMN)}}}")).column
    apparatus = replace(PLAIN, column=LiquidCell.facts.column)
    assert made == ideal(apparatus).column != apparatus.column


def test_columns_that_cannot_be_are_told() -> None:
    with pytest.raises(ConfigErrors, match=r"instrument\.column: gun_fwhm_eV 0\.7: 0 to energy_fwhm_eV, 0"):
        configured("instrument.column={energy_fwhm_eV = 0}")
    with pytest.raises(ConfigErrors, match=r"instrument\.column: resolution_eV 100: 0, or what silicon allows"):
        configured("instrument.column={xray_resolution_eV = 100}")
    with pytest.raises(ConfigErrors, match=r"instrument\.column: gun_fwhm_eV 2"):
        configured("instrument.world=standard", "instrument.column={gun_fwhm_eV = 2}")


def test_a_world_may_start_with_an_image_and_get_dirty(tmp_path: Path) -> None:
    assert isinstance(specimen(configured(), 1), LiquidCell)
    np.savez(tmp_path / "shades.npz", image=np.eye(8), pixel_nm=100.0)
    both = specimen(
        configured(
            f'instrument.image="{tmp_path}/shades.npz"',
            "instrument.contamination_nm_per_e_per_A2=1e-5",
            "instrument.world=defects",
        ),
        1,
    )
    assert isinstance(both, Contaminated)
    assert isinstance(vars(both)["_worlds"], Upon)
    np.save(tmp_path / "plain.npy", np.eye(8))
    plain = (f'instrument.image="{tmp_path}/plain.npy"', "instrument.specimen_pixel_nm=50.0")
    assert vars(specimen(configured(*plain), 1))["_image"].extent_nm == 400.0
    for wrong, told in (
        (plain[:1], r"instrument\.image: .*plain\.npy: .*give instrument\.specimen_pixel_nm"),
        (plain[1:], r"instrument\.specimen_pixel_nm: only a file has pixels"),
        ((plain[0], "instrument.specimen_pixel_nm=0"), r"instrument\.specimen_pixel_nm"),
        ((f'instrument.image="{tmp_path}/none.npz"',), r"instrument\.image: .*none\.npz"),
        (("instrument.contamination_nm_per_e_per_A2=-1",), r"instrument\.contamination_nm_per_e_per_A2"),
        (("instrument.contamination_nm_per_e_per_A2=1", "instrument.world=standard"), "only worlds have one"),
    ):
        with pytest.raises(ConfigErrors, match=told):
            configured(*wrong)
