"""Hundreds of worlds to practise choosing in, without an image: candidates, percepts and scores, but no microscope.

Worlds are trajectories of what is true. A look at one costs what it would cost, is read with errors drawn from how the
reader errs (``misreading``), and changes a small belief (``beliefs``) from which the report's score and the next
candidates follow, as greedy's proposers would offer them. Shapes: W worlds, K ways to look, C cells, F fields, N
candidates (K times the places looked at closely times the spends).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agent.training.beliefs import Beliefs, Readings, Small, losses
from agent.training.foresight import Costs, Foresight, Moment, Rules
from policies.chooser import spec


@dataclass(frozen=True)
class Errs:
    """How readings err, of K ways to look and F fields: coefficients (K, F, 6) and scatters (K, F); see ``Misreading``.

    ``unit`` (F,) is that of ``said``.
    """

    said: torch.Tensor
    said_sd: torch.Tensor
    bias: torch.Tensor
    spread: torch.Tensor
    cell: torch.Tensor
    world: torch.Tensor
    missed: torch.Tensor
    unit: torch.Tensor


@dataclass(frozen=True)
class Bank:
    """What is true of worlds: fields (n, T, C, F) at T times evenly over a run, (n, C, B) standardised, globals (n, G).

    The second are the values that a report is scored on, in the order of the belief's.
    """

    fields: torch.Tensor
    values: torch.Tensor
    globals: torch.Tensor


@dataclass(frozen=True)
class Game:
    """What is practised on: the prior made small, costs, errors, worlds, and rules."""

    small: Small
    costs: Costs
    errs: Errs
    bank: Bank
    rules: Rules


class Practice:
    """W runs at once: ``offers`` and ``standing`` tell what may be done and how things stand, ``step`` does it.

    All begin together; one in which nothing more can be done is ``over``. Runs that are drawn come in groups of
    ``alike``, in one world, with one budget and the same errors in common: they differ by what is chosen there.
    """

    def __init__(self, game: Game, worlds: int, seed: int, alike: int = 1) -> None:
        self.game, self.alike = game, alike
        self.small, self.costs, self.errs = game.small, game.costs, game.errs
        self.bank, self.rules = game.bank, game.rules
        self.worlds = worlds
        self._random = torch.Generator().manual_seed(seed)
        self._each = torch.arange(worlds)
        self._prior_loss = float(self.small.worth.sum() + self.small.worth_globals.sum())
        self.restart()

    @property
    def electron_weight(self) -> float:
        """What greedy's order weighs electrons by."""
        return self.rules.electron_weight

    def reseed(self, seed: int) -> None:
        """What is random from now on follows from a seed."""
        self._random.manual_seed(seed)

    def restart(self, worlds: torch.Tensor | None = None, share: float | None = None) -> None:
        """Begin anew: in worlds of the bank (W,) and with a share of the budget, or in ones that are drawn."""
        low, high = self.rules.shares
        drawn = self._alike(torch.rand(self.worlds, generator=self._random)) * (high - low) + low
        shares = 2.0**drawn if share is None else torch.full((self.worlds,), share)
        any_of = self._alike(torch.randint(len(self.bank.values), (self.worlds,), generator=self._random))
        self.world = any_of if worlds is None else worlds
        self.most = shares * self.rules.budget_electrons
        self.electrons = self.most.clone()
        zero, cells = torch.zeros(self.worlds), torch.zeros(self.worlds, self.small.cells)
        self.time_s, self.looks, self.missed = zero, zero.clone(), zero.clone()
        self.surprise, self.recent = zero + 1.0, zero + 1.0
        self.at_nm = torch.zeros(self.worlds, 2)
        self.seen_s, self.count, self.exposed = cells - torch.inf, cells.clone(), cells.clone()
        shape = (self.worlds, len(self.costs.mode), self.small.cells, self.small.fields)
        of_cells, of_world = shape, (shape[0], shape[1], shape[3])
        self._common = tuple(self._alike(torch.randn(size, generator=self._random)) for size in (of_world, of_cells))
        self.beliefs = Beliefs(self.small, self.worlds)
        self.over = torch.zeros(self.worlds, dtype=torch.bool)
        self.look_around()
        self.score = self._score()

    def _alike(self, drawn: torch.Tensor) -> torch.Tensor:
        """The same for all of a group: what the first of it drew."""
        return drawn[:: self.alike].repeat_interleave(self.alike, dim=0)[: self.worlds]

    def step(self, choice: torch.Tensor) -> torch.Tensor:
        """Take candidates (W,), and tell by how much each raised the score (W,). Runs that are over stand still."""
        offers, each = self.offers, self._each
        way, place, running = self.choices[0][each, choice], self.choices[1][each, choice], ~self.over
        took_s = offers.time_s[each, choice] * running
        charged = offers.electrons[each, choice] * running
        shown = torch.where(running[:, None], self.costs.shown[way, place], -1)
        at_s = self.time_s + took_s
        self.told = told = self._read(way, shown, charged / self.costs.charged, at_s)
        self._remember(self.beliefs.take(told), torch.isfinite(told.sd), running)
        self.time_s, self.electrons, self.looks = at_s, self.electrons - charged, self.looks + running
        self.at_nm = torch.where(running[:, None], self.costs.middle_nm[way, place], self.at_nm)
        fell = charged * self.costs.fluence_per_electron[way]
        for m in range(shown.shape[1]):
            rows = (shown[:, m] >= 0).nonzero()[:, 0]
            cell = shown[rows, m]
            self.seen_s[rows, cell] = at_s[rows]
            self.count[rows, cell] += 1
            self.exposed[rows, cell] += fell[rows]
        self.look_around()
        score = self._score()
        gained, self.score = score - self.score, score
        self.over = self.over | ~self.offers.there.any(dim=1)
        return gained

    def _remember(self, surprise: torch.Tensor, known: torch.Tensor, running: torch.Tensor) -> None:
        """How much readings (W, m) surprised, and whether any came."""
        some = known.any(dim=1)
        rms = ((surprise**2).sum(dim=1) / known.sum(dim=1).clamp_min(1)).sqrt()
        self.surprise = torch.where(some, rms, self.surprise)
        for name, now in (("recent", self.surprise), ("missed", (~some).float())):
            before = getattr(self, name)
            setattr(self, name, torch.where(running, spec.FADING * before + (1 - spec.FADING) * now, before))

    def _score(self) -> torch.Tensor:
        """The score of the reports now, (W,)."""
        small, values = self.small, self.values
        block = small.fields * small.times
        low, high = (each.repeat_interleave(small.times) for each in (small.low, small.high))
        mean, sd = small.mean[:, :block], small.sd[:, :block].clamp_min(1e-12)
        claimed = ((mean + sd * values.mean[:, :, :block]).clamp(low, high) - mean) / sd
        lost = losses(claimed, values.var[:, :, :block].sqrt(), self.bank.values[self.world])
        of_globals = losses(values.mean_globals, values.var_globals.sqrt(), self.bank.globals[self.world])
        total = (lost * small.worth[:, :block]).sum(dim=(1, 2)) + (of_globals * small.worth_globals).sum(dim=1)
        return 1.0 - total

    def _read(self, way: torch.Tensor, shown: torch.Tensor, electrons: torch.Tensor, at_s: torch.Tensor) -> Readings:
        """What comes of looks (W,) that show cells (W, M): readings of all fields of them, (W, M F)."""
        errs, fields, cells = self.errs, self.small.fields, shown.clamp_min(0)
        there = self._true(cells, at_s)
        a_cell = electrons / (shown >= 0).sum(dim=1).clamp_min(1)
        expected, sd = self._expected(cells, at_s)
        parts = (
            torch.ones(()),
            torch.log(a_cell.clamp_min(1.0) / 1e6)[:, None, None] / 5,
            torch.zeros(()),
            (self.exposed[self._each[:, None], cells] / self.costs.max_fluence).clamp_max(2.0)[:, :, None],
            ((there - expected) / sd).clamp(-4, 4) / 2,
            (at_s / self.rules.duration_s)[:, None, None],
        )
        how = torch.stack([part.expand(*there.shape) for part in parts], dim=-1)
        normal = torch.randn(2, *there.shape, generator=self._random)
        coefficients = (table[way][:, None] for table in (errs.said, errs.bias, errs.missed))
        log_said, bias, odds = ((how * table).sum(dim=-1) for table in coefficients)
        said = errs.unit * torch.exp(log_said + errs.said_sd[way][:, None] * normal[0])
        of_world, of_cell = errs.world[way][:, None], errs.cell[way][:, None]
        common, own = self._common
        error = of_world.sqrt() * common[self._each, way][:, None]
        error = error + (of_cell - of_world).clamp_min(0).sqrt() * own[self._each[:, None], way[:, None], cells]
        error = bias + errs.spread[way][:, None] * (error + (1 - of_cell).sqrt() * normal[1])
        missed = torch.rand(there.shape, generator=self._random) < torch.sigmoid(odds)
        gone = missed | (shown < 0)[:, :, None]
        field = torch.arange(fields).expand(*there.shape)
        return Readings(
            cell=cells[:, :, None].expand(*there.shape).flatten(1),
            field=field.flatten(1),
            value=(there + said * error).flatten(1),
            sd=torch.where(gone, torch.full_like(said, torch.inf), said).flatten(1),
            at_s=at_s,
        )

    def _true(self, cells: torch.Tensor, at_s: torch.Tensor) -> torch.Tensor:
        """What fields are in cells (W, M) at moments (W,): (W, M, F)."""
        steps = self.bank.fields.shape[1] - 1
        along = (at_s / self.rules.duration_s).clamp(0, 1) * steps
        before = along.long().clamp_max(steps - 1)
        share = (along - before)[:, None, None]
        world = self.world[:, None]
        first, then = (self.bank.fields[world, moment[:, None], cells] for moment in (before, before + 1))
        return (1 - share) * first + share * then

    def _expected(self, cells: torch.Tensor, at_s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sd of the prior in cells (W, M) at moments (W,), in the fields' units: (W, M, F)."""
        small, (after, share, _) = self.small, self.beliefs.line(at_s)
        shape = (small.cells, small.fields, small.times)
        tables = [each[:, : small.fields * small.times].reshape(shape) for each in (small.mean, small.sd)]
        mean, sd = (
            (1 - share)[:, None, None] * table[cells, :, (after - 1)[:, None]]
            + share[:, None, None] * table[cells, :, after[:, None]]
            for table in tables
        )
        return mean, torch.maximum(sd, 0.05 * tables[1].amax(dim=-1)[cells])

    def look_around(self) -> None:
        """Work out what is believed now, and what may be done."""
        self.values = self.beliefs.values()
        small, values = self.small, self.values
        block = small.fields * small.times
        sd = values.var[:, :, :block].sqrt()
        left = (sd * small.worth[:, :block]).sum(dim=(1, 2)) + (values.var_globals.sqrt() * small.worth_globals).sum(1)
        every = torch.full((self.worlds,), self.rules.duration_s)
        self.standing = spec.Standing(
            time_left_s=(self.rules.duration_s - self.time_s).clamp_min(0.0),
            duration_s=every,
            electrons_left=self.electrons.clamp_min(0.0),
            max_electrons=self.most,
            budget_electrons=torch.full((self.worlds,), self.rules.budget_electrons),
            looks=self.looks,
            loss_left=left / self._prior_loss,
            surprise=self.surprise,
            surprise_recent=self.recent,
            missed_recent=self.missed,
        )
        moment = Moment(self.time_s, self.electrons.clamp_min(0.0), self.at_nm, self.seen_s, self.count, self.exposed)
        self.offers, *self.choices = Foresight(self.beliefs, values, self.costs, self.rules, moment).offers()
