"""The study of headroom: its plans, what it plays, and what it says of it, on a few looks."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from agent import assemble
from agent.lessons import prior_of
from agent.perception.reader import Eyesight
from envs.prior import encoded, load_card
from experiments.headroom import study
from experiments.headroom.__main__ import HERE
from experiments.headroom.plans import TOLD, Clairvoyant, Mixed, Random, Raster, Settings, Staring
from experiments.headroom.play import Played, compares, eyesight, play, true_values
from experiments.headroom.study import Result, Trial, read, tried
from experiments.headroom.table import card_verdicts, scores_of, table, unplayed, verdict
from hardware_bridge.report import Card

WORLD = "interface"


def test_a_raster_spreads_its_looks_over_the_extent() -> None:
    plan = Raster(Settings(looks=64, tiles=8), 0)
    places = {(look.x, look.y) for look in (plan.looks(n, 0.0, 1e6)[0] for n in range(64))}
    assert len(places) == 64
    few = Raster(Settings(looks=16, tiles=8), 0)
    rows = [few.looks(n, 0.0, 1e6)[0].y for n in range(16)]
    assert (min(rows), max(rows)) == (-0.875, 0.875)


def test_modes_have_their_turns_at_a_tile() -> None:
    plan = Raster(Settings(looks=8, modes=("HAADF", "EELS"), tiles=2), 0)
    looks = [plan.looks(n, 0.0, 1e6)[0] for n in range(4)]
    assert [look.mode for look in looks] == ["HAADF", "EELS", "HAADF", "EELS"]
    # A spectrum is taken of one of the four cells of which the image is.
    assert (looks[0].x + 0.125, looks[0].y + 0.125) == (looks[1].x, looks[1].y)
    assert (looks[0].x, looks[0].y) != (looks[2].x, looks[2].y)


def test_random_is_the_same_for_the_same_seed_and_staring_for_all() -> None:
    one, same, other = (Random(Settings(), seed).looks(0, 0.0, 1e6)[0] for seed in (1, 1, 2))
    assert one == same != other
    assert Staring(Settings(), 1).looks(0, 0.0, 1e6)[0] == Staring(Settings(), 2).looks(9, 9.0, 1e3)[0]


def test_the_clairvoyant_looks_where_something_can_be_learned() -> None:
    prior = prior_of(WORLD)
    # Early on the front is near the electrode, at the top: below nothing is there, and all know it.
    for seed in range(5):
        plan = Clairvoyant(Settings(), seed, prior, eyesight(WORLD), prior.mean[: prior.size].copy())
        assert plan.looks(0, 20.0, 1e7)[0].y < 0.3


def test_a_mixed_plan_stays_at_new_places_between_what_another_plan_wants() -> None:
    settings = Settings(looks=16, tiles=4, stay=2)
    plan, raster = (
        Mixed(Raster(replace(settings, looks=8), 0), settings, 0, "CBED", 1e5),
        Raster(replace(settings, looks=8), 0),
    )
    looks = [plan.looks(n, 0.0, 1e6)[0] for n in range(16)]
    assert [look.mode for look in looks] == ["HAADF", "HAADF", "CBED", "CBED"] * 4
    assert [look for look in looks if look.mode == "HAADF"] == [raster.looks(n, 0.0, 1e6)[0] for n in range(8)]
    stays = [look for look in looks if look.mode == "CBED"]
    assert stays[::2] == stays[1::2]
    assert len(set(stays)) == 4
    assert not any(look.wide for look in stays)
    poor = Mixed(Raster(replace(settings, looks=8), 0), settings, 0, "CBED", 1e5)
    assert [poor.looks(n, 0.0, 9e4)[0] for n in range(16)] == [raster.looks(n, 0.0, 9e4)[0] for n in range(16)]


def test_who_knows_the_truth_stays_where_comparing_tells_most_each_time_elsewhere() -> None:
    world = "beam_sensitive"
    prior = prior_of(world)
    truth = prior.mean[: prior.size].copy()
    order = truth[: len(prior.times_s) * 64].reshape(-1, 64)
    order[:, [21, 42]] += [[1.0, 0.5]]
    settings = Settings(looks=16, tiles=4, stay=1)
    plan = Mixed(Clairvoyant(settings, 0, prior, eyesight(world), truth), settings, 0, compares(world) or "", 0.0)
    looks = [plan.looks(n, 20.0, 1e6)[0] for n in (1, 3)]
    assert [(int((look.y + 1) * 4), int((look.x + 1) * 4)) for look in looks] == [divmod(21, 8), divmod(42, 8)]


def test_every_baseline_has_more_trials_than_the_clairvoyant_which_has_those_of_the_raster() -> None:
    best = Settings(looks=8, tiles=5)
    assert all(tried(policy, best) == study.WAYS for policy in ("staring", "raster", "random"))
    own = tried("clairvoyant", best)
    assert [settings.looks for settings in own] == list(study.LOOKS)
    assert {settings.tiles for settings in own} == {5}
    assert len(own) < len(study.WAYS)


def test_stays_are_tried_where_looks_can_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (compares(WORLD), compares("beam_sensitive")) == (None, "CBED")
    monkeypatch.setattr(
        study, "play", lambda world, policy, settings, seeds, share: [Played(policy, 0, share, 0.1, {}, 1, 1.0)]
    )
    counts = {}
    for world in (WORLD, "beam_sensitive"):
        study.tune(world, tmp_path)
        trials = [t for t in read(tmp_path / "tuned.jsonl", Trial) if t.world == world]
        counts[world] = [
            sum(t.settings.stay > 0 for t in trials if t.policy == p) for p in ("staring", "raster", "random")
        ]
    assert counts == {WORLD: [0, 0, 0], "beam_sensitive": [2, 2, 2]}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_who_knows_the_truth_scores_more_than_who_stares() -> None:
    scores = {}
    for policy in ("staring", "clairvoyant"):
        played = play(WORLD, policy, Settings(looks=12), range(500, 504), 1.0)
        assert all(0 < p.looks <= 12 and p.electrons <= 4e8 * 1.001 for p in played)
        scores[policy] = np.mean([p.score for p in played])
    assert scores["clairvoyant"] > scores["staring"] + 0.05
    assert set(true_values(WORLD, (500, 501, 502, 503))) >= {"covered_fraction", "front_velocity"}


def test_who_is_told_all_fields_knows_them(tmp_path: Path) -> None:
    one, other = play(WORLD, TOLD, Settings(), range(500, 502), 1.0)
    assert min(one.scores["covered_fraction"], other.scores["covered_fraction"]) > 0.8
    assert (one.looks, one.electrons) == (0, 0.0)


def played(path: Path, world: str, scores: dict[str, float]) -> None:
    """Episodes of ten seeds, in which one of a hundredth more follows one of a hundredth less."""
    for policy, mean in {**scores, TOLD: 0.7}.items():
        for seed in range(10):
            for share in study.SHARES:
                one = Played(policy, seed, share, mean + 0.01 * (seed % 2), {}, 10, 1e6)
                study._append(path / "episodes.jsonl", Result(world, one))


def test_the_table_says_where_there_is_no_headroom(tmp_path: Path) -> None:
    weak = {"staring": 0.1, "random": 0.1, "raster": 0.2}
    played(tmp_path, "interface", weak | {"clairvoyant": 0.5})
    played(tmp_path, "growth", weak | {"clairvoyant": 0.25})
    played(tmp_path, "valence", {"raster": 0.2})
    text = table(["interface", "growth", "valence"], tmp_path)
    lines = {line.split(":")[0]: line for line in text.splitlines() if line.startswith("- ")}
    assert lines["- interface"].startswith("- interface: headroom with this reader: at 0.125 D")
    assert lines["- interface"].count("is +0.300 [+0.300, +0.300] above the best baseline (raster, +0.205)") == 2
    assert lines["- growth"].startswith("- growth: no headroom with this reader")
    assert lines["- valence"] == "- valence: not played yet."
    assert "| interface | raster | 10 | +0.205" in text
    assert "| growth | hindsight | 10 | +0.255" in text
    assert (tmp_path / "RESULT.md").read_text() == text
    assert (tmp_path / "scores.png").stat().st_size > 1000


def test_hindsight_alone_shows_no_headroom(tmp_path: Path) -> None:
    played(tmp_path, "growth", {"staring": 0.2, "random": 0.2, "raster": 0.2, "clairvoyant": 0.22})
    for seed in range(1, 10, 2):
        for share in study.SHARES:
            lucky = Played("random", seed, share, 0.6, {}, 10, 1e6)
            study._append(tmp_path / "episodes.jsonl", Result("growth", lucky))
    for seed in range(0, 10, 2):
        for share in study.SHARES:
            unlucky = Played("random", seed, share, -0.4, {}, 10, 1e6)
            study._append(tmp_path / "episodes.jsonl", Result("growth", unlucky))
    assert verdict(scores_of("growth", tmp_path)).startswith("no headroom shown with this reader")


def test_cards_say_what_the_table_says() -> None:
    for world in assemble.worlds():
        said, card = verdict(scores_of(world, HERE)), load_card(world)
        # A world that changed has a new card, which says nothing until it is played again.
        if said and card.headroom:
            assert card.headroom == said, world
            assert f"- {world}: {said}" in (HERE / "RESULT.md").read_text(encoding="utf-8").splitlines()


def test_verdicts_are_written_on_cards(tmp_path: Path) -> None:
    played(tmp_path, "growth", {"staring": 0.1, "random": 0.1, "raster": 0.2, "clairvoyant": 0.5})
    for world in ("growth", "valence"):
        (tmp_path / f"{world}.json").write_bytes(encoded(load_card(world)))
    card_verdicts(["growth", "valence"], tmp_path, tmp_path)
    growth, valence = (
        msgspec.json.decode((tmp_path / f"{world}.json").read_bytes(), type=Card) for world in ("growth", "valence")
    )
    assert growth == replace(load_card("growth"), headroom=verdict(scores_of("growth", tmp_path)))
    assert valence == load_card("valence")


def test_where_nothing_can_be_seen_there_is_no_headroom(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unplayed("interface") == "not played yet."
    monkeypatch.setattr(Eyesight, "sees", lambda self, mode, field: False)
    assert unplayed("interface").startswith("no headroom with this reader: no mode explains more than 0.1")


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tuned.jsonl"
    study._append(path, Trial("growth", "raster", Settings(), 0.5))
    path.write_bytes(path.read_bytes() + b'{"world": "gro')
    assert [trial.score for trial in read(path, Trial)] == [0.5]
