"""The table, and the tables of a configuration that a run accepts."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from agent.assemble import CHOICES
from agent.calibrate.twin.found import Found, factor, known, unknown
from agent.calibrate.twin.report import TABLES, spoken, table, toml, write
from agent.config import load
from agent.twins import COLUMN
from digital_twin.conditions import Conditions
from digital_twin.readout import Readout

CONFIG = Path(__file__).parents[4] / "experiments" / "calibrate_instrument" / "config.toml"
FOUND = Found(
    source="runs/first",
    parameters=(
        known("gain_counts_per_electron", "counts/electron", 7.3126, 0.0123, "photon transfer"),
        unknown("offset_counts", "counts", "no dark reference"),
        unknown("read_noise_counts", "counts", "no dark reference"),
        factor("wander_s", "s", 4.7, 0.4, "100 images"),
        known("beam_current_pA", "pA", 51.2, 0.3, "the instrument's own measure"),
    ),
)


def test_the_table_tells_numbers_to_the_digits_of_their_errors_and_reasons_once():
    text = table(FOUND)
    assert "7.313 +- 0.012" in text
    assert "110 times or over 1.49" in text
    assert text.count("no dark reference") == 1
    assert "not told by these data: offset_counts, read_noise_counts: no dark reference" in text


def test_an_exact_number_is_spoken():
    assert spoken(known("a", "counts", 0.0, 0.0)).startswith("0.000000")


def test_what_is_written_is_a_part_of_a_configuration_that_a_run_accepts(tmp_path):
    whole = tmp_path / "config.toml"
    whole.write_text(CONFIG.read_text() + "\n" + toml(FOUND))
    instrument = load(whole, (), CHOICES).instrument
    assert instrument.readout == {"gain_counts_per_electron": 7.3126}
    assert instrument.conditions == {"wander_s": pytest.approx(109.947)}
    assert "# beam_current_pA: 51.20 +- 0.30 pA" in toml(FOUND)


def test_every_key_is_one_of_the_twin():
    assert set(TABLES["instrument.readout"]) == set(Readout.__struct_fields__)
    assert set(TABLES["instrument.column"]) <= set(COLUMN)
    assert set(TABLES["instrument.conditions"]) <= set(Conditions.__struct_fields__)


def test_all_numbers_are_in_the_json_beside_it(tmp_path):
    write(FOUND, tmp_path / "twin.toml")
    assert tomllib.loads((tmp_path / "twin.toml").read_text())["instrument"]["conditions"]
    assert msgspec.json.decode((tmp_path / "twin.json").read_bytes(), type=Found) == FOUND
