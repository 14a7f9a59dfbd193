"""The model of errors finds what readings were made with, and the shipped fits are of the worlds they say."""

from pathlib import Path

import numpy as np
import pytest

from agent.lessons import prior_of
from agent.training.misreading import CONDITIONS, FITS, conditions, expected, load_errors
from agent.training.percept_errors import Gathering, Readings, fitted, held
from hardware_bridge.report import Estimate, Percept

SAID, BIAS, MISSED = (-1.0, -0.5, 0.3, 0.0, 0.2, 0.0), (0.5, 0.2, 0.0, 0.4, -0.3, 0.1), (-2.0, -1.0, 1.0, 0.0, 0.0, 0.0)


def made(worlds: int, seed: int, world_share: float = 0.3, cell_share: float = 0.5) -> Readings:
    """Readings with known errors: 60 of each world, six of each of ten cells."""
    random, rows = np.random.default_rng(seed), []
    for one in range(worlds):
        of_world, of_cells = random.standard_normal(), random.standard_normal(10)
        for n in range(60):
            how = conditions(
                np.array(10 ** random.uniform(4, 8)),
                np.array(random.uniform(0, 1500)),
                np.array(random.uniform(0, 1)),
                np.array(random.standard_normal()),
                np.array(random.uniform()),
            )
            own = np.sqrt(1 - cell_share) * random.standard_normal()
            common = np.sqrt(world_share) * of_world + np.sqrt(cell_share - world_share) * of_cells[n % 10]
            gone = random.uniform() < 1 / (1 + np.exp(-how @ MISSED))
            sd = np.nan if gone else np.exp(how @ SAID + 0.2 * random.standard_normal())
            rows.append((one, n % 10, how, sd, how @ BIAS + 0.7 * (common + own)))
    return Readings(*(np.array(column) for column in zip(*rows, strict=True)))


def test_the_fit_finds_what_readings_were_made_with() -> None:
    model = fitted(made(120, 1))
    assert model.said == pytest.approx(SAID, abs=0.06)
    assert model.bias == pytest.approx(BIAS, abs=0.15)
    assert model.missed == pytest.approx(MISSED, abs=0.35)
    assert model.said_sd == pytest.approx(0.2, rel=0.1)
    assert model.spread == pytest.approx(0.7, rel=0.1)
    assert model.world == pytest.approx(0.3, abs=0.08)
    assert model.cell == pytest.approx(0.5, abs=0.08)


def test_what_the_model_expects_of_others_is_what_comes() -> None:
    how = held(fitted(made(120, 1)), made(60, 2))
    assert how is not None
    for expects, came in (how.missed, how.rms_error):
        assert expects == pytest.approx(came, rel=0.12)
    assert how.log_said[0] == pytest.approx(how.log_said[1], abs=0.05)
    assert how.bias_explained > 0.2


def test_few_readings_are_taken_for_none() -> None:
    some = made(1, 3)
    model = fitted(some[np.arange(len(some.sd)) < 20])
    assert model.readings == 0
    assert held(model, some) is None
    assert 1 / (1 + np.exp(-model.missed[0])) > 0.99


def test_looks_are_kept_cell_by_cell_and_fluence_adds_up() -> None:
    prior = prior_of("interface")
    gathering, fluence = Gathering(prior), np.zeros(prior.card.cells**2)
    width_nm = 2 * prior.card.extent_nm / prior.card.cells
    x_nm = -prior.card.extent_nm / 2 + width_nm / 2
    names = [target.name for target in prior.fields]
    truth = {name: np.full(prior.card.cells**2, 0.5) for name in names}
    percept = Percept(
        command_id="x",
        mode="HAADF",
        start_s=100.0,
        end_s=101.0,
        x_nm=x_nm,
        y_nm=x_nm,
        width_nm=width_nm,
        height_nm=width_nm,
        quality={"incident_electrons": 4e6},
        estimates={f"{names[0]}:0:1": Estimate(value=0.7, sd=0.1)},
    )
    gathering.add(1, percept, 0.0, fluence, truth)
    readings = gathering.readings()[("HAADF", names[0])]
    assert sorted(readings.cell.tolist()) == [0, 1, 8, 9]
    read = readings.cell == 1
    assert np.isnan(readings.sd[~read]).all()
    assert readings.error[read] == pytest.approx(2.0)
    assert readings.conditions[read, CONDITIONS.index("electrons")] == pytest.approx(0.0)
    area_A2 = (10 * prior.card.extent_nm / prior.card.cells) ** 2
    assert fluence[[0, 1, 8, 9]] == pytest.approx(1e6 / area_A2)
    assert fluence.sum() == pytest.approx(4e6 / area_A2)


def test_the_prior_is_expected_at_its_own_times() -> None:
    prior = prior_of("valence")
    mean, sd = expected(prior, 0, 5, prior.times_s[2])
    assert mean == pytest.approx(prior.mean[prior.place(0, 2, 5)])
    assert sd == pytest.approx(prior.sd[prior.place(0, 2, 5)])


@pytest.mark.parametrize("path", sorted(FITS.glob("*.json")), ids=lambda path: path.stem)
def test_shipped_fits_are_whole(path: Path) -> None:
    errors, prior = load_errors(path.stem), prior_of(path.stem)
    names = {target.name for target in prior.fields}
    assert errors.world == path.stem
    assert all(set(fields) == names for fields in errors.kinds.values())
    assert path.with_suffix(".md").is_file()


def test_a_world_without_a_fit_says_how_to_make_one() -> None:
    with pytest.raises(ValueError, match=r"python -m agent\.training\.percept_errors nowhere"):
        load_errors("nowhere")
