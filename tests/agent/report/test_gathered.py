"""What is gathered equals what the record holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from agent.eventlog import Header
from agent.reading import open_run
from agent.record import Record, taken
from agent.report import gathered
from envs.score import score
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Estimate, Particle, Report, prior_report

Look = Callable[..., tuple[Record, Observation]]
WriteRun = Callable[..., Path]
FIELD_A2 = 2560.0**2


def particle(track: int, radius_nm: float = 8.0, real: float = 0.9) -> Particle:
    return Particle(
        track=track, x_nm=0.0, y_nm=0.0, radius_nm=radius_nm, x_sd_nm=0.1, y_sd_nm=0.1, radius_sd_nm=0.5, snr=9.0,
        real=real,
    )  # fmt: skip


def test_times_count_from_the_start_of_the_run(write_run: WriteRun, header: Header, look: Look) -> None:
    run = open_run(write_run([look(3)], replace(header, start_s=10.0, end_s=610.0)))
    assert [k.time_s for k in gathered.looks(run)] == [3.5]


def test_fluence_of_a_look_is_its_electrons_over_its_field(write_run: WriteRun, look: Look) -> None:
    (seen,) = gathered.looks(open_run(write_run([look(0)])))
    assert seen.fluence_e_per_A2 == pytest.approx(9.5e4 / FIELD_A2)


def test_the_dose_map_holds_what_was_charged(write_run: WriteRun, header: Header, look: Look) -> None:
    fluence = gathered.dose_map(open_run(write_run([look(0), look(1)])), header)
    # Both looks are at the same place to within a nanometre: what they were charged, over the field.
    assert fluence.max() == pytest.approx(2e5 / FIELD_A2)
    rows, columns = np.nonzero(fluence)
    cell_nm, low_nm = header.config.limits.dose_cell_nm, header.config.limits.dose_map.x.low
    for index in (rows, columns):
        assert low_nm + cell_nm * index.min() <= -128.0 < low_nm + cell_nm * (index.min() + 1)
        assert low_nm + cell_nm * index.max() <= 129.1 <= low_nm + cell_nm * (index.max() + 1)


def test_turns_that_were_charged_nothing_give_no_dose(write_run: WriteRun, header: Header, look: Look) -> None:
    record, seen = look(0)
    run = open_run(write_run([(replace(record, electrons_charged=0.0), seen)]))
    assert not gathered.dose_map(run, header).any()


def test_key_looks_follow_the_richest_place_and_add_others(write_run: WriteRun, look: Look) -> None:
    rich = tuple(particle(track) for track in range(5))
    turns = [look(turn, x_nm=700.0 + turn, particles=rich[: turn + 1]) for turn in range(5)]
    turns += [look(5, x_nm=0.0, particles=rich[:2]), look(6, x_nm=-700.0), look(7, mode="EELS", x_nm=700.0)]
    followed, others = gathered.key_looks(open_run(write_run(turns)))
    assert [k.record.turn for k in followed] == [0, 2, 4]
    assert [k.record.turn for k in others] == [5, 6]


def test_debris_is_not_followed(write_run: WriteRun, look: Look) -> None:
    turns = [
        look(0, particles=(particle(0, 5.0), particle(1, real=0.6))),
        look(1, particles=(particle(0, 6.0), particle(1, real=0.1), particle(2))),
    ]
    run = open_run(write_run(turns))
    ((track, rows),) = gathered.tracks(run)
    assert track == 0
    assert rows.tolist() == [[1.5, 5.0, 0.5], [5.5, 6.0, 0.5]]
    assert gathered.track_counts(run) == (2, 1)


def test_estimates_come_with_time_and_sd(write_run: WriteRun, look: Look) -> None:
    turns = [look(0), look(1, estimates={"drift_x_nm": Estimate(value=2.0, sd=0.25)}), look(2, estimates={})]
    assert gathered.estimates(open_run(write_run(turns)), "drift_x_nm").tolist() == [[1.5, 0.3, 0.1], [5.5, 2.0, 0.25]]
    assert gathered.estimates(open_run(write_run([look(0)], name="other")), "blur_nm").shape == (0, 3)


def test_the_taken_proposal_is_told_from_the_others(look: Look) -> None:
    record, _ = look(0)
    first, second = record.decision.proposals
    assert taken(record) == first
    chosen = replace(record, decision=replace(record.decision, command=second.command))
    assert taken(chosen) == second
    refused = replace(record, decision=replace(record.decision, command=None, by="envelope"))
    assert taken(refused) is None
    assert gathered.proposer(refused) == "envelope"


def test_overhead_is_all_but_exposure_and_decision(look: Look) -> None:
    record, _ = look(0)
    timed = replace(record, wall_s={"suggest": 1.0, "review": 0.25, "execute": 2.0, "perceive": 0.5})
    assert gathered.overhead_s(timed) == 0.75
    asked = replace(timed, decision=replace(timed.decision, waited_s=0.125))
    assert gathered.overhead_s(asked) == 0.625


def test_honest_claims_are_expected_to_score_what_they_gained(card: Card, claims: Report) -> None:
    (count,) = card.targets
    calm = replace(card, targets=(replace(count, weight=0.5, crps_scale=sum(count.prior_sd) / np.sqrt(np.pi)),))
    claimed, rng = claims.targets["count"], np.random.default_rng(5)
    scores = [score(claims, {"count": rng.normal(claimed.mean, claimed.sd).tolist()}, calm)[0] for _ in range(4000)]
    assert gathered.gained(calm, claims) == pytest.approx(np.mean(scores), abs=4 * np.std(scores) / np.sqrt(4000))
    assert gathered.gained(card, prior_report(card)) == 0.0


def test_all_that_went_wrong_is_said_once(write_run: WriteRun, look: Look) -> None:
    gaps = replace(look(1)[0], gaps=3)
    refused = look(2)[0]
    refused = replace(
        refused, percept=None, decision=replace(refused.decision, command=None, verdict="timed_out", reason="nobody")
    )
    aborted = [replace(look(turn)[0], aborted=True, gaps=0) for turn in range(3, 14)]
    whole = replace(look(0)[0], gaps=0)
    run = open_run(write_run([(record, None) for record in (whole, gaps, refused, *aborted)]))
    assert gathered.wrong(run)[-3:] == [
        "turn 1: 3 parts of the data did not arrive",
        "turn 2: timed out: nobody",
        "turns 3, 4, 5, 6, 7, 8, 9, 10 and 3 more: the acquisition was aborted",
    ]


def test_a_dose_that_the_turns_hold_is_no_problem(write_run: WriteRun, look: Look) -> None:
    def charged(turn: int, electrons: float, so_far: float) -> Record:
        record = look(turn)[0]
        return replace(
            record,
            gaps=0,
            electrons_charged=electrons,
            state=replace(record.state, electrons_charged=so_far),
        )

    whole = [charged(0, 2e6, 5e6), charged(1, 3e6, 8e6), charged(2, 1e6, 9e6 + 0.1)]
    assert gathered.wrong(open_run(write_run([(record, None) for record in whole]))) == []


def test_dose_of_a_turn_that_was_not_written_is_told(write_run: WriteRun, look: Look) -> None:
    first, second = (replace(look(turn)[0], gaps=0, electrons_charged=2e6) for turn in range(2))
    first = replace(first, state=replace(first.state, electrons_charged=2e6))
    second = replace(second, state=replace(second.state, electrons_charged=7e6))
    (problem,) = gathered.wrong(open_run(write_run([(first, None), (second, None)])))
    assert problem.startswith("before turn 1: 3.0·10⁶ electrons were charged")
