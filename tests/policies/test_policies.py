"""What every policy must do: repeat itself, stay safe, differ in its alternatives, spend evenly."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.lessons import outlook_of
from hardware_bridge.dose import DoseLedger
from hardware_bridge.messages import Box, Go, InstrumentState, Range
from hardware_bridge.report import prior_report
from hardware_bridge.safety import check
from hardware_bridge.words import validated
from policies import catalogue
from policies.bayes.settings import BayesSettings, FitSettings
from policies.chooser.checkpoint import Checkpoint, ModelCard, save
from policies.chooser.network import Attending
from policies.chooser.policy import LearnedSettings
from policies.chooser.spec import CANDIDATE, SITUATION, VERSION
from policies.clairvoyant import Clairvoyant
from policies.heeding import Heeding
from policies.interface import Policy, Setup, Situation, Turn
from policies.references import Referenced, Schedule
from policies.restless import Restless
from policies.within import Within

# Fits are joined within a few turns here, so that short runs see one.
BAYES = BayesSettings(fit=FitSettings(every=6, turns=3))
ALL = (*catalogue.NAMES, "clairvoyant")


def make(name: str, setup: Setup) -> Policy:
    if name == "clairvoyant":
        truth = {t.name: tuple(1.1 * m for m in t.prior_mean) for t in setup.card.targets}
        return Clairvoyant(BAYES, truth, lambda: prior_report(setup.card))
    foreseen = outlook_of("growth") if name in catalogue.FORESEEING else None
    settings = {"bayes": BAYES, "learned": LearnedSettings(checkpoint=trained(setup.card.world, setup.card.version))}
    return catalogue.make(name, settings.get(name), foreseen)


@cache
def trained(world: str, version: int) -> str:
    """A checkpoint for a world that has everything of which training can have seen something."""
    torch.manual_seed(1)
    network = Attending()
    torch.nn.init.normal_(network.score.weight)
    card = ModelCard(
        version=VERSION,
        world=world,
        card_version=version,
        candidate=CANDIDATE,
        situation=SITUATION,
        seen_candidate=CANDIDATE,
        seen_situation=SITUATION,
        physics={},
        seeds=(0, 1),
        apart=(),
        budgets=(0.125, 1.0),
        spends=(0.25, 1.0, 4.0),
        priced=3,
        electron_weight=1.0,
        steps=1,
        minutes=1.0,
        scores={},
        limits=(),
    )
    path = Path(tempfile.mkdtemp()) / "chooser"
    save(Checkpoint(card, network), path)
    return str(path)


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_run(name: str, make_bench: Callable[..., Any]) -> None:
    runs = []
    for _ in range(2):
        bench = make_bench()
        policy = make(name, bench.setup)
        policy.begin(bench.setup, 7)
        bench.run(policy, 12)
        runs.append(bench.shown)
    assert runs[0] == runs[1]
    assert len(runs[0]) == 12


@pytest.mark.parametrize(("name", "proposer"), [("bayes", "survey"), ("greedy", "HAADF")])
def test_what_it_proposed_it_foresees_alike(name: str, proposer: str, make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    inner = make(name, bench.setup)
    everywhere = Box(x=Range(low=-2e3, high=2e3), y=Range(low=-2e3, high=2e3))
    policy = Referenced(Within(Heeding(Restless(inner)), [everywhere]), Schedule())
    policy.begin(bench.setup, 3)
    bench.run(policy, 5)
    situation = bench.situation(len(bench.turns))
    found = [proposal for proposal in policy.suggest(situation, 8) if proposal.proposer == proposer]
    assert found
    for proposal in found:
        told = policy.foresee(proposal.command, situation)
        assert told == pytest.approx((proposal.information, proposal.information_sd), rel=0.05, abs=1e-6)
    best = found[0].command
    assert best.acquire is not None
    less = policy.foresee(
        replace(best, set=replace(best.set, optics=replace(best.set.optics, beam_current_pA=0.2))), situation
    )
    more = policy.foresee(best, situation)
    assert less is not None
    assert more is not None
    assert less[0] < more[0]
    assert policy.foresee(replace(best, acquire=replace(best.acquire, mode="CBED")), situation) is None


def test_a_plan_foresees_nothing(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    policy = Heeding(make("raster", bench.setup))
    policy.begin(bench.setup, 3)
    situation = bench.situation(0)
    assert policy.foresee(policy.suggest(situation, 1)[0].command, situation) is None


@pytest.mark.parametrize("name", ALL)
def test_replayed_turns_give_the_same_next_suggestion(name: str, make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    policy = make(name, bench.setup)
    policy.begin(bench.setup, 3)
    bench.run(policy, 11)
    situation = bench.situation(len(bench.turns))
    resumed = make(name, bench.setup)
    resumed.begin(bench.setup, 3)
    for turn in bench.turns:
        resumed.ingest(turn)
    assert list(resumed.suggest(situation, 4)) == list(policy.suggest(situation, 4))


@pytest.mark.parametrize("name", ALL)
def test_asking_twice_changes_nothing(name: str, make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    policy = make(name, bench.setup)
    policy.begin(bench.setup, 3)
    bench.run(policy, 4)
    situation = bench.situation(4)
    first = list(policy.suggest(situation, 4))
    assert list(policy.suggest(situation, 4)) == first
    assert list(policy.suggest(situation, 1)) == first[:1]


def test_another_seed_draws_other_places(make_bench: Callable[..., Any]) -> None:
    commands = []
    for seed in (1, 2):
        bench = make_bench()
        policy = make("random", bench.setup)
        policy.begin(bench.setup, seed)
        commands.append(policy.suggest(bench.situation(5), 1)[0].command.go)
    assert commands[0] != commands[1]


# The prospector ends when it has seen everything, whatever is left.
@pytest.mark.parametrize("name", [name for name in catalogue.NAMES if name != "prospector"])
def test_electrons_and_time_run_out_together(name: str, make_bench: Callable[..., Any]) -> None:
    bench = make_bench(duration_s=60.0)
    policy = make(name, bench.setup)
    policy.begin(bench.setup, 0)
    bench.run(policy, 1000)
    left = bench.situation(len(bench.turns))
    assert left.time_left_s < 0.06 * 60.0
    assert left.electrons_left >= 0.0
    # Who weighs what electrons tell may find that not all are needed.
    assert left.electrons_left < (0.3 if name in catalogue.ADAPTIVE else 0.05) * bench.setup.max_electrons


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_proposed_where_nothing_is_left(name: str, make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    policy = make(name, bench.setup)
    policy.begin(bench.setup, 0)
    situation = bench.situation(0)
    assert not policy.suggest(Situation(0, situation.state, electrons_left=0.0, time_left_s=100.0), 4)
    assert not policy.suggest(Situation(0, situation.state, electrons_left=1e9, time_left_s=0.01), 4)


@pytest.mark.parametrize("name", ALL)
def test_refusals_are_survived(name: str, make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    policy = make(name, bench.setup)
    policy.begin(bench.setup, 0)
    for index, verdict in enumerate(("refused", "timed_out", "rejected", "failed")):
        command = policy.suggest(bench.situation(index), 1)[0].command
        ran = command if verdict in ("rejected", "failed") else None
        policy.ingest(Turn(index=index, command=ran, percept=None, verdict=verdict, reason="test"))
    assert policy.suggest(bench.situation(4), 1)


@pytest.mark.parametrize("name", ALL)
def test_alternatives_are_distinct_and_valid(name: str, make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    policy = make(name, bench.setup)
    policy.begin(bench.setup, 5)
    bench.run(policy, 10)
    for proposals in bench.shown:
        assert len({p.command.id for p in proposals}) == len(proposals)
        for proposal in proposals:
            assert validated(proposal) == proposal
            assert proposal.reason
        places = [(p.proposer, p.command.go, p.command.set.optics.C10_nm) for p in proposals]
        assert len(set(places)) == len(places)
    assert len({p.command.id for shown in bench.shown for p in shown}) == sum(len(shown) for shown in bench.shown)
    if name not in ("staring",):
        assert max(len(shown) for shown in bench.shown) > 1


@st.composite
def situations(draw: st.DrawFn, setup: Setup, state: InstrumentState) -> tuple[Setup, Situation]:
    number = st.floats
    ranges = dict(setup.limits.ranges)
    ranges["C10_nm"] = Range(low=draw(number(-800.0, 0.0)), high=draw(number(0.0, 800.0)))
    low_pA = draw(number(0.01, 5.0))
    ranges["beam_current_pA"] = Range(low=low_pA, high=low_pA * draw(number(1.0, 1e3)))
    if draw(st.booleans()):
        del ranges["beam_shift_x_nm"]
    keep_out = Range(low=draw(number(-900.0, 0.0)), high=draw(number(0.0, 900.0)))
    limits = replace(
        setup.limits,
        ranges=ranges,
        max_step_nm=draw(number(50.0, 4000.0)),
        keep_out=(Box(x=keep_out, y=Range(low=100.0, high=300.0)),) if draw(st.booleans()) else (),
        max_fluence_e_per_A2=draw(number(0.01, 1e3)),
        max_dose_rate_e_per_A2_s=draw(number(0.01, 1e3)),
        max_detector_e_per_s={"HAADF": draw(number(1e4, 1e10)), "EELS": draw(number(1e4, 1e10))},
    )
    charged = draw(number(0.0, setup.limits.max_electrons))
    edge = st.floats(-1024.0, 1024.0)
    go = replace(state.go, stage_x_nm=draw(edge), stage_y_nm=draw(edge), beam_shift_x_nm=draw(number(-50.0, 50.0)))
    locks = replace(state.interlocks, vacuum_ok=draw(st.integers(0, 9)) > 0)
    now = replace(
        state,
        go=go,
        clock_s=draw(number(setup.start_s, setup.end_s)),
        electrons_charged=charged,
        interlocks=locks,
        position_sd_nm=draw(number(0.0, 40.0)),
    )
    situation = Situation(
        turn=draw(st.integers(0, 60)),
        state=now,
        electrons_left=setup.max_electrons - charged,
        time_left_s=setup.end_s - now.clock_s,
    )
    return replace_setup(setup, limits), situation


def replace_setup(setup: Setup, limits: Any) -> Setup:
    return Setup(setup.capabilities, limits, setup.card, setup.start_s, setup.end_s, setup.max_electrons)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_unsafe_or_unaffordable_is_proposed(
    name: str, data: st.DataObject, make_bench: Callable[..., Any]
) -> None:
    bench = make_bench()
    setup, situation = data.draw(situations(bench.setup, bench.state))
    policy = make(name, setup)
    policy.begin(setup, 0)
    ledger = DoseLedger(setup.limits, electrons=situation.state.electrons_charged)
    for proposal in policy.suggest(situation, 4):
        charge = check(proposal.command, setup.limits, situation.state, setup.capabilities, ledger)
        assert charge.electrons == pytest.approx(proposal.electrons)
        assert charge.electrons <= situation.electrons_left
        assert proposal.time_s <= situation.time_left_s


def test_commands_say_all_they_depend_on(make_bench: Callable[..., Any]) -> None:
    bench = make_bench()
    for name in ALL:
        policy = make(name, bench.setup)
        policy.begin(bench.setup, 0)
        command = policy.suggest(bench.situation(0), 1)[0].command
        assert command.go.stage_x_nm is not None
        assert command.go.beam_shift_x_nm is not None
        assert command.set.optics.beam_current_pA is not None
        assert command.set.optics.C10_nm is not None
        assert command.go == Go(
            stage_x_nm=command.go.stage_x_nm,
            stage_y_nm=command.go.stage_y_nm,
            beam_shift_x_nm=command.go.beam_shift_x_nm,
            beam_shift_y_nm=command.go.beam_shift_y_nm,
        )
