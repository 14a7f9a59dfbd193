from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from digital_twin.growth import draw
from digital_twin.liquid_cell import LiquidCell
from envs import prior
from envs.prior import PRIOR_SEEDS, SCALE_SEEDS, encoded, ensemble, load_card, world_card

FACTS = LiquidCell.facts
CELLS, TIMES_S = FACTS.cells, FACTS.times_s
FIELDS = ("covered_fraction", "count", "mean_radius_nm")


def simulated(seeds: int, shared: float, length_nm: float, time_s: float, seed: int = 0) -> np.ndarray:
    """Unit Gaussian fields (seeds, times x cells): a part common to all cells, the rest falling off exponentially."""
    random = np.random.default_rng(seed)
    rows, columns = np.divmod(np.arange(CELLS * CELLS), CELLS)
    distance = 256.0 * np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    place = np.linalg.cholesky(np.exp(-distance / length_nm))
    times = np.array(TIMES_S)
    time = np.linalg.cholesky(np.exp(-np.abs(times[:, None] - times) / time_s))
    own = np.einsum("ts,nsc,dc->ntd", time, random.normal(size=(seeds, len(times), CELLS * CELLS)), place)
    common = np.einsum("ts,ns->nt", time, random.normal(size=(seeds, len(times))))
    return (math.sqrt(1 - shared) * own + math.sqrt(shared) * common[:, :, None]).reshape(seeds, -1)


def made(**field: float) -> dict[str, np.ndarray]:
    fields = {name: 3.0 + 2.0 * simulated(400, seed=n, **field) for n, name in enumerate(FIELDS)}
    globals_ = {name: np.random.default_rng(9).normal(1.0, 0.5, (400, 1)) for name in ("growth_rate", "beam_coupling")}
    return {**fields, **globals_}


def test_a_card_finds_the_moments_that_an_ensemble_was_made_with() -> None:
    card = world_card(
        FACTS, made(shared=0.5, length_nm=200.0, time_s=400.0), made(shared=0.5, length_nm=200.0, time_s=400.0)
    )
    for target in card.targets[:3]:
        assert np.array(target.prior_mean) == pytest.approx(3.0, abs=0.25)
        assert np.array(target.prior_sd) == pytest.approx(2.0, abs=0.15)
        # A calibrated Gaussian claim loses sd / sqrt(pi) on average.
        assert target.crps_scale == pytest.approx(len(target.prior_mean) * 2.0 / math.sqrt(math.pi), rel=0.05)
        assert card.kernel[f"{target.name}.shared_share"] == pytest.approx(0.5, abs=0.1)
        assert card.kernel[f"{target.name}.time_s"] == pytest.approx(400.0, rel=0.15)
        assert card.kernel[f"{target.name}.length_nm"] == pytest.approx(200.0, rel=0.25)


def test_denominators_come_from_the_other_ensemble() -> None:
    one = made(shared=0.3, length_nm=200.0, time_s=400.0)
    far = {name: values + 100.0 for name, values in one.items()}
    near, off = world_card(FACTS, one, one), world_card(FACTS, one, far)
    assert near.targets[0].prior_mean == off.targets[0].prior_mean
    assert off.targets[0].crps_scale > 10 * near.targets[0].crps_scale


def test_the_shipped_card_has_the_prior_of_its_own_seeds() -> None:
    card = load_card("growth")
    rates = [draw(seed) for seed in PRIOR_SEEDS]
    for name, values in (
        ("growth_rate", [d.growth_rate_nm2_per_s for d in rates]),
        ("beam_coupling", [d.beam_coupling for d in rates]),
    ):
        target = next(t for t in card.targets if t.name == name)
        assert target.prior_mean == pytest.approx((np.mean(values),))
        assert target.prior_sd == pytest.approx((np.std(values),))


def test_the_shipped_prior_holds_for_other_seeds_too(other_truths: dict[str, np.ndarray]) -> None:
    card = load_card("growth")
    for target in card.targets[:3]:
        field = other_truths[target.name].reshape(-1, len(TIMES_S), CELLS * CELLS).mean(axis=2)
        expected = np.array(target.prior_mean).reshape(len(TIMES_S), -1).mean(axis=1)
        assert (np.abs(field.mean(axis=0) - expected) < 4 * field.std(axis=0, ddof=1) / math.sqrt(len(field))).all()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_shipped_card_is_the_one_that_the_code_makes() -> None:
    # What was played in it afterwards does not come from the world.
    shipped = replace(load_card("growth"), headroom="")
    made = world_card(FACTS, ensemble("growth", PRIOR_SEEDS), ensemble("growth", SCALE_SEEDS))
    assert encoded(made) == encoded(shipped)


def test_ensembles_do_not_overlap_each_other_nor_seeds_of_training_and_results() -> None:
    assert set(PRIOR_SEEDS).isdisjoint(SCALE_SEEDS)
    assert min(*PRIOR_SEEDS, *SCALE_SEEDS) >= 100_000


def test_batches_do_not_change_an_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, lines = ensemble("growth", range(2)), list[str]()
    monkeypatch.setattr(prior, "BATCH", 1)
    parts = ensemble("growth", range(2), lines.append)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values)
    assert len(lines) == 2


def test_a_card_survives_its_file() -> None:
    card = load_card("growth")
    assert msgspec.json.decode(encoded(card), type=type(card)) == card


def test_an_unknown_world_is_told_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"atlantis.*growth"):
        load_card("atlantis")


def test_only_known_worlds_are_made() -> None:
    with pytest.raises(SystemExit, match="usage"):
        prior.main(["atlantis"])
