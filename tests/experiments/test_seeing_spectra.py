"""The study of spectra: truths are those of the specimen, usual ways are right without noise, a page comes of a run."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from experiments.seeing_spectra import losses, measured, spots, study, table, xrays
from experiments.seeing_spectra.crystals import CRYSTALS, patterns
from experiments.seeing_spectra.reading import reader
from experiments.seeing_spectra.scenes import SUBJECTS, scene

EELS, EDS = SUBJECTS["interface EELS"], SUBJECTS["interface EDS"]


def test_truths_are_the_same_by_either_spectrum() -> None:
    one, other = scene(EELS, 5).truth, scene(EDS, 5).truth
    assert one["Cu_L3"] == pytest.approx(other["Cu"])
    assert np.nanmax(np.abs(one["share"] - other["share"])) < 1e-12
    assert np.isnan(one["share"]).any()


def test_usual_ways_are_right_without_noise() -> None:
    clean = scene(EELS, 5)
    usual, counts = losses.Usual(EELS), 1e9 * clean.expected
    assert np.abs(usual.zero_loss(counts, "gauss", 1.5)["zero_loss_eV"] - clean.truth["zero_loss_eV"]).max() < 0.02
    assert np.abs(usual.thickness(counts, 3.0)["t_over_lambda"] - clean.truth["t_over_lambda"]).max() < 0.05
    much = clean.truth["Cu_L3"] > 3000.0
    for found in (usual.model(counts[much], 60.0), usual.linear(counts[much], 60.0, 100.0, True)):
        assert found["Cu_L3"] == pytest.approx(clean.truth["Cu_L3"][much], rel=0.15)
    clean = scene(EDS, 5)
    rays = xrays.Usual(EDS).windows(1e9 * clean.expected[much], 1.2, 2.0)
    assert rays["Cu"] / 1e9 == pytest.approx(clean.truth["Cu"][much], rel=0.15)


def test_a_page_comes_of_a_run(tmp_path) -> None:
    way = next(iter(xrays.ways(EDS)))[0]
    chosen = [study.Chosen(EDS.name, dose, name, way, 0.0) for dose in EDS.electrons for name in EDS.asked]
    (tmp_path / "tuned.json").write_bytes(msgspec.json.encode(chosen))
    study.play(tmp_path, [EDS.name], [1000, 1001], lambda line: None)
    study.play(tmp_path, [EDS.name], [1000, 1001], lambda line: pytest.fail("it was there already"))
    some = study.scores(tmp_path)
    assert len(some) == 2 * 3 * len(EDS.asked)
    text = table.write(tmp_path, "What came of it.")
    assert text.count("| share |") >= 3
    assert (tmp_path / "errors.png").stat().st_size > 10_000
    middle, low, high = table.ratio([s for s in some if s.quantity == "Zn"])
    assert low <= middle <= high


def test_patterns_show_what_was_drawn_to_both_sides() -> None:
    brucite = CRYSTALS["brucite CBED"]
    drawn = patterns(brucite, 3)
    counts = 1e7 * drawn.expected
    ours = {name: value for name, (value, _) in reader(brucite)(counts, 1e7)[0].items()}
    usual = spots.Usual(brucite).lattice(counts, 2.0, 0.01, 2.5)
    for told in (ours, usual):
        for name, least in (("deflection_mrad", 0.03), ("strain_xx", 0.003), ("strain_xy", 0.003), ("turn_rad", 0.003)):
            error = np.abs(study.off(brucite, name, told[name], drawn.truth[name]))
            assert np.median(error) < least, name


def test_turns_that_change_nothing_are_no_error() -> None:
    brucite = CRYSTALS["brucite CBED"]
    error = study.off(brucite, "turn_rad", np.array([0.1 + 2 * brucite.period_rad, 0.05]), np.array([0.1, 0.1]))
    assert error == pytest.approx([0.0, -0.05])


def test_the_measured_map_shows_palladium_where_it_is_brightest() -> None:
    folder = Path(__file__).resolve().parents[3] / "shared/data"
    if not (folder / measured.FILE).exists():
        pytest.skip(f"{measured.FILE} is not in ../shared/data")
    _, eds, _, see = measured.read(folder)
    value, sd = measured.maps(eds, see)["Pd"]
    row, column = np.unravel_index(int((value / sd).argmax()), value.shape)
    # The bright particle at the lower edge of the image.
    assert row >= 14
    assert 3 <= column <= 5
