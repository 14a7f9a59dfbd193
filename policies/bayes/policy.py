"""The Bayesian policy: what is believed, what could be done about it, and what of that pays most."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from hardware_bridge.messages import Command
from policies.bayes.belief import Belief
from policies.bayes.chooser import GreedyChooser
from policies.bayes.fields import Refit
from policies.bayes.fit import refit
from policies.bayes.lateness import Lateness
from policies.bayes.looks import foreseen_of
from policies.bayes.now import Now
from policies.bayes.refits import Refits
from policies.bayes.refocus import Refocus
from policies.bayes.settings import BayesSettings
from policies.bayes.spectrum import Spectrum
from policies.bayes.survey import Survey
from policies.bayes.tracking import Tracking
from policies.bayes.worth import ExpectedWorth, Worth
from policies.commands import command_id
from policies.interface import Foreseen, Proposal, Proposer, Setup, Situation, Turn


class BayesPolicy:
    """Proposers with predicted information over one belief, and a greedy chooser.

    The belief is a function of setup and turns alone, so replaying the turns gives the same next suggestion.
    Hyperparameters are fitted by a thread of its own: started at a fixed turn, swapped in whole at another.
    """

    name = "bayes"
    sees_truth = False

    def __init__(self, settings: BayesSettings) -> None:
        self.settings = settings
        self.proposers: tuple[Proposer[Now], ...] = (Survey(), Tracking(), Refocus(), Spectrum())
        self._fits: Refits[Refit] = Refits()
        self._lateness = Lateness()

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run."""
        self.setup = setup
        self.seed = seed
        self.belief = Belief(setup, self.settings)
        self.worth: Worth = ExpectedWorth()
        self.chooser = GreedyChooser(setup.capabilities, self.settings.electron_weight)
        self._fits = Refits()
        self._lateness = Lateness()

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return up to n proposals, best first and distinct after it; all are safe and affordable now."""
        self.worth.look()
        now = Now(self.belief, situation, self.worth)
        offered = [proposal for proposer in self.proposers for proposal in proposer.propose(now)]
        ranked = self.chooser.rank(offered, situation)
        due = self.belief.due(situation.state.clock_s)
        ranked = sorted(ranked, key=lambda proposal: proposal.proposer != due)[:n]
        # Any of them may be chosen.
        self._lateness.decided(situation.state.clock_s + max((proposal.time_s for proposal in ranked), default=0.0))
        return [self._named(proposal, situation.turn, rank) for rank, proposal in enumerate(ranked)]

    def foresee(self, command: Command, situation: Situation) -> Foreseen | None:
        """What an image would tell, of the square of cells that its field covers best, less the harm that it does."""
        return foreseen_of(Now(self.belief, situation, self.worth), command)

    def ingest(self, turn: Turn) -> None:
        """Learn from one turn, and start or join a fit where this turn is the one for it.

        Warns in the log where the decision came so late that what was forecast for it has changed.
        """
        self.belief.ingest(turn)
        if turn.percept is not None and self.belief.fields:
            self._lateness.measured(turn.percept.end_s, min(f.kernel.time_s for f in self.belief.fields.values()))
        every, turns = self.settings.fit.every, self.settings.fit.turns
        if not every:
            return
        since = (turn.index + 1) % every
        if since == turns % every:
            for name, fitted in self._fits.take().items():
                self.belief.fields[name].adopt(fitted)
        if since == 0:
            most = self.settings.fit.most_measurements
            fields = self.belief.fields.items()
            self._fits.start({name: partial(refit, field, tuple(field.measurements), most) for name, field in fields})

    def _named(self, proposal: Proposal, turn: int, rank: int) -> Proposal:
        command = replace(proposal.command, id=command_id(self.name, self.seed, turn, rank))
        return replace(proposal, command=command)
