"""A checkpoint comes back as it was; one that does not fit is refused, and nothing in it is run."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from policies.chooser.checkpoint import WEIGHTS, Checkpoint, ModelCard, load, save
from policies.chooser.network import Attending
from policies.chooser.spec import CANDIDATE, SITUATION, VERSION


def checkpoint(world: str = "bench", **changed: object) -> Checkpoint:
    card = ModelCard(
        version=VERSION,
        world=world,
        card_version=1,
        candidate=CANDIDATE,
        situation=SITUATION,
        seen_candidate=CANDIDATE,
        seen_situation=SITUATION,
        physics={"rate": (0.5, 2.0)},
        seeds=(20_000, 20_099),
        apart=(20_000, 20_007),
        budgets=(0.125, 1.0),
        spends=(0.25, 1.0, 4.0),
        priced=3,
        electron_weight=1.0,
        steps=1000,
        minutes=1.0,
        scores={"practice_apart": (0.3, 0.2, 0.4)},
        limits=("of a test",),
    )
    torch.manual_seed(3)
    return Checkpoint(msgspec.structs.replace(card, **changed), Attending())


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = checkpoint()
    save(saved, tmp_path / "one")
    for path in (tmp_path / "one", tmp_path / "one.json", tmp_path / "one.npz"):
        found = load(path)
        assert found.card == saved.card
        assert all(np.array_equal(each, found.network.arrays()[name]) for name, each in saved.network.arrays().items())


def test_another_version_is_refused_with_both_named(tmp_path: Path) -> None:
    save(checkpoint(version=VERSION + 6), tmp_path / "one")
    with pytest.raises(ValueError, match=rf"version {VERSION + 6}, and this program knows version {VERSION}"):
        load(tmp_path / "one")


def test_a_version_is_told_even_if_its_card_has_other_words(tmp_path: Path) -> None:
    save(checkpoint(), tmp_path / "one")
    (tmp_path / "one.json").write_text('{"version": 99, "news": true}')
    with pytest.raises(ValueError, match=f"version 99, and this program knows version {VERSION}"):
        load(tmp_path / "one")


def test_other_spaces_are_refused_with_both_named(tmp_path: Path) -> None:
    other = {**CANDIDATE, "age": (0.0, 7.0)}
    save(checkpoint(candidate=other), tmp_path / "one")
    with pytest.raises(
        ValueError, match=rf"(?s)version {VERSION} with other numbers of candidates .*age 0\.\.7.*than version"
    ):
        load(tmp_path / "one")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    save(checkpoint(), tmp_path / "one")
    with (tmp_path / "one.npz").open("wb") as file:
        np.savez(file, **{"asked.weight": np.array([print], dtype=object)})
    with pytest.raises(ValueError, match="pickle"):
        load(tmp_path / "one")


@pytest.mark.parametrize("ending", ["npz", "json"])
def test_a_torn_or_missing_file_is_named(tmp_path: Path, ending: str) -> None:
    save(checkpoint(), tmp_path / "one")
    path = tmp_path / f"one.{ending}"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="one: cannot be read"):
        load(tmp_path / "one")
    path.unlink()
    with pytest.raises(ValueError, match=f"there is no file .*one.{ending}"):
        load(tmp_path / "one")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    bad = checkpoint()
    with torch.no_grad():
        bad.network.trust.fill_(torch.nan)
    save(bad, tmp_path / "one")
    with pytest.raises(ValueError, match="not finite"):
        load(tmp_path / "one")


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.json")), ids=lambda path: path.stem)
def test_shipped_choosers_are_whole_and_small(path: Path) -> None:
    shipped = load(path)
    assert shipped.card.world == path.stem
    assert shipped.card.scores
    assert sum(each.stat().st_size for each in WEIGHTS.iterdir()) < 5_000_000
