"""Steps that are timed are steps that learners would take: near focus, allowed, in all modes."""

import re

import numpy as np
import pytest
import torch

from agent import twins
from envs.coding import MODES, Coding
from envs.prior import load_card
from experiments.benchmarks import twin_env

SEEDS = [10_000, 10_001]


def test_moves_are_near_focus_and_allowed():
    card = load_card("growth")
    seats = twins.guarded("growth", card, SEEDS)
    coding = Coding.of(card, seats[0].describe())
    moves = twin_env.Moves("growth", SEEDS, coding.half_nm, coding.C10_span_nm)
    off_nm, seen = [], set()
    for turn in range(6):
        drawn, modes = moves.draw(2)
        seen |= set(modes.tolist())
        x_nm, y_nm = (torch.from_numpy(coding.half_nm * drawn[:, k, None]) for k in (0, 1))
        height_nm = np.asarray(moves._specimens.height_nm(x_nm, y_nm))[:, 0]
        off_nm += (drawn[:, 2] * coding.C10_span_nm + height_nm).tolist()
        for seat, move, mode in zip(seats, drawn, modes.tolist(), strict=True):
            seat.submit(coding.command(f"step-{turn}", move, mode))
        assert all(seat.gather(1.0).data is not None for seat in seats)
    assert seen == set(range(len(MODES)))
    # Two depths of focus are 89 nm.
    assert 30.0 < np.sqrt(np.mean(np.square(off_nm))) < 200.0


def test_a_call_is_a_step_of_each_world():
    work = twin_env.stepped("growth", 2, (0,))
    work()
    work()


def test_what_is_asked_is_asked_of_two_processes():
    asked = [line for line in twin_env.lines("cpu") if line.bar is not None]
    assert [line.per_call for line in asked] == [64]
    assert not twin_env.lines("cuda")


def test_shares_are_of_the_whole():
    told = twin_env.shares(batch=4, turns=4)
    parts = [int(number) for number in re.findall(r"(\d+)%", told)]
    assert len(parts) == len(twin_env.PARTS) + len(twin_env.BY_ITSELF)
    assert sum(parts) == pytest.approx(100, abs=4)


def test_every_part_is_found():
    assert all(part_s > 0 for part_s in twin_env.parts_s("growth", batch=4, turns=4).values())
