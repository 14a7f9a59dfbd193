"""Scheduled references: any policy, which now and then looks at the detector without a beam before it goes on."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from hardware_bridge.cost import predict
from hardware_bridge.messages import Acquire, Command
from policies.interface import Policy, Proposal, Setup, Situation, Turn

Kind = tuple[str, float]


class Referenced:
    """A policy whose proposals come after a dark reference of their mode and dwell time, where the last is too old.

    The references are its own: the policy inside does not learn of them. ``every_s`` is on the instrument's clock.
    """

    def __init__(self, policy: Policy, every_s: float) -> None:
        self._policy, self._every_s = policy, every_s
        self._taken_s: dict[Kind, float] = {}

    def begin(self, setup: Setup, seed: int) -> None:
        """Start a run.

        Raises:
            ValueError: the instrument takes no dark references.
        """
        if not setup.capabilities.dark_references:
            raise ValueError("references.dark_every_s: this instrument takes no dark references")
        self._setup, self._seed = setup, seed
        self._policy.begin(setup, seed)

    def suggest(self, situation: Situation, n: int) -> Sequence[Proposal]:
        """Return what the policy proposes, after the reference that its first choice needs."""
        proposals = self._policy.suggest(situation, n)
        acquire = proposals[0].command.acquire if proposals else None
        if acquire is None:
            return proposals
        age_s = situation.state.clock_s - self._taken_s.get(_kind(acquire), -float("inf"))
        if age_s <= self._every_s:
            return proposals
        return [self._dark(acquire, age_s, situation), *proposals[: n - 1]]

    def ingest(self, turn: Turn) -> None:
        """Note a reference; let the policy learn from all else."""
        acquire = turn.command.acquire if turn.command is not None else None
        if acquire is None or not acquire.blanked:
            self._policy.ingest(turn)
        elif turn.percept is not None:
            self._taken_s[_kind(acquire)] = turn.percept.end_s

    def _dark(self, acquire: Acquire, age_s: float, situation: Situation) -> Proposal:
        command = Command(
            id=f"dark-s{self._seed}-t{situation.turn:04d}", acquire=replace(acquire, blanked=True, max_frames=1)
        )
        last = f"the last is {age_s / 60:.0f} min old" if age_s < float("inf") else "there is none yet"
        return Proposal(
            command=command,
            information=0.0,
            information_sd=0.0,
            electrons=0.0,
            time_s=predict(command, situation.state, self._setup.capabilities).time_s,
            reason=f"A dark reference for {acquire.mode} at {1e6 * acquire.dwell_s:g} us: {last}",
            proposer="references",
        )


def _kind(acquire: Acquire) -> Kind:
    return acquire.mode, acquire.dwell_s
