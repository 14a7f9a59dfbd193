"""One whole episode in process, without a record: what `adaptem evaluate` and the experiments are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import median

from agent import assemble, deciding, twins
from agent.config import Config
from agent.lessons import weighed
from agent.loop import Loop
from agent.record import Record, taken
from agent.review import Autonomous, Walls
from hardware_bridge.guard import Guard
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from hardware_bridge.report import Card, Percept, Report
from hardware_bridge.words import Count, Name, NotNegative, Number, Word
from policies.interface import Policy, Setup


class Episode(Word, frozen=True, kw_only=True):
    """How one policy did on one world: ``score`` S in all and ``scores`` by target, and what it spent.

    ``share`` is the part of the electron budget that it was given, ``electrons`` what it was charged. ``told`` are, of
    each command of which a policy predicted what it would tell, that prediction and by how much the score of the
    report then rose.
    """

    policy: Name
    seed: Count
    share: NotNegative
    score: Number
    scores: dict[Name, Number]
    turns: Count
    refused: Count
    modes: dict[Name, Count]
    electrons: NotNegative
    duration_s: NotNegative
    suggest_median_s: NotNegative
    told: tuple[tuple[Number, Number], ...] = ()


class _Nowhere:
    """A recorder for episodes that leave only their score."""

    def write(self, record: Record, observation: Observation | None) -> Record:
        return record


class _Judge:
    """Knows how good the report is at any time, and by how much it rose with each command that was to tell something.

    Raises:
        ValueError: the world has no truth to score against.
    """

    def __init__(self, report: Callable[[], Report], card: Card, seed: int) -> None:
        self._report, self._card, self._seed = report, card, seed
        self._before = self.score()[0]
        self.told: list[tuple[float, float]] = []

    def score(self) -> tuple[float, dict[str, float]]:
        """The score of what is claimed now, in all and by target."""
        found = assemble.scored(self._report(), self._card, self._seed)
        if found is None:
            raise ValueError(f"goal.world = {self._card.world}: it has no truth to score against")
        return found

    def see(self, record: Record) -> None:
        """Take note of a turn, where its policy predicts what commands tell."""
        if not any(each.information > 0.0 for each in record.decision.proposals):
            return
        proposal, after = taken(record), self.score()[0]
        if proposal is not None and proposal.information > 0.0 and record.percept is not None:
            self.told.append((proposal.information, after - self._before))
        self._before = after


def _setup(config: Config, share: float, card: Card, microscope: Microscope) -> Setup:
    """What a policy is told before an episode with a share of the electron budget."""
    start_s = microscope.state().clock_s
    return Setup(
        capabilities=microscope.describe(),
        limits=config.limits,
        card=weighed(card, config.goal.weights),
        start_s=start_s,
        end_s=start_s + config.budget.duration_s,
        max_electrons=config.budget.electrons * share,
    )


def play(
    config: Config,
    seed: int,
    share: float,
    hear: Callable[[Percept], None] = lambda percept: None,
    other: Policy | None = None,
) -> Episode:
    """Run the config's policy on the world of one seed with a share of the electron budget, and score its report.

    The same instrument, limits, perception and reporter serve every policy. ``hear`` is told every percept. ``other``
    decides in the place of the config's policy.
    """
    card = assemble.card_of(config)
    microscope = Guard(twins.driver(config, seed), config.limits)
    setup = _setup(config, share, card, microscope)
    capabilities = setup.capabilities
    perception = assemble.perception(capabilities, card, config)
    policy = other or deciding.policy(config, deciding.Foresight(card, seed, perception.report))
    policy.begin(setup, seed)

    def perceive(observation: Observation) -> Percept:
        percept = perception.perceive(observation)
        hear(percept)
        return percept

    loop = Loop(
        microscope=microscope,
        policy=policy,
        perceive=perceive,
        review=Autonomous(Walls(config.limits, capabilities, config.review.envelope)),
        recorder=_Nowhere(),
        setup=setup,
    )
    judge, records = _Judge(perception.report, card, seed), []
    for record in loop.run(config.budget.turns):
        records.append(record)
        judge.see(record)
    score, scores = judge.score()
    end = microscope.state()
    return Episode(
        policy=config.policy.name,
        seed=seed,
        share=share,
        score=score,
        scores=scores,
        turns=len(records),
        refused=sum(record.percept is None for record in records),
        modes=Counter(record.percept.mode for record in records if record.percept and record.percept.mode),
        electrons=end.electrons_charged,
        duration_s=end.clock_s - setup.start_s,
        suggest_median_s=median(record.wall_s.get("suggest", 0.0) for record in records) if records else 0.0,
        told=tuple(judge.told),
    )
