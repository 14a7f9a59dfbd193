"""What looks at hundreds of worlds would tell, and what they would cost: the candidates that greedy would offer there.

It does for training, roughly and many at a time, what ``agent.perception.outlook`` and ``policies.greedy`` do in a run.
How values elsewhere gain from a look is taken to first order; what the cells that it shows gain is not, and errors that
readings have in common are left aside. Shapes are those of ``practice``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from agent.training.beliefs import LEAST_VAR, Beliefs, Values
from policies.chooser import spec

SHARES = (-3.0, 0.0)
"""Budgets to practise with: log2 of the share of the card's, drawn evenly."""


@dataclass(frozen=True)
class Costs:
    """What K ways to look cost and show, all cells alike.

    ``shown`` (K, P, M) are the cells of each of P places, padded by -1; ``middle_nm`` (K, P, 2) where its field lies.
    ``still_s``, ``electrons_per_pA``, ``fluence_per_electron``, ``least_pA`` and ``most_pA`` are (K,), the last as
    walls allow that do not depend on what was exposed. ``usual`` (K, F, E) is the logarithm of the sd that looks
    usually have, in the field's unit, at ``log_electrons`` (E,) a cell.
    """

    shown: torch.Tensor
    middle_nm: torch.Tensor
    mode: torch.Tensor
    still_s: torch.Tensor
    electrons_per_pA: torch.Tensor
    fluence_per_electron: torch.Tensor
    least_pA: torch.Tensor
    most_pA: torch.Tensor
    usual: torch.Tensor
    log_electrons: torch.Tensor
    settle_s: float
    speed_nm_per_s: float
    charged: float
    max_fluence: float

    @property
    def cells(self) -> torch.Tensor:
        """How many cells each way shows (K,)."""
        return (self.shown >= 0).sum(dim=-1).amax(dim=-1)


@dataclass(frozen=True)
class Rules:
    """Of the game: how long a run is, what it may use, and what greedy tries."""

    duration_s: float
    budget_electrons: float
    spends: tuple[float, ...]
    priced: int
    electron_weight: float
    shares: tuple[float, float] = SHARES


@dataclass(frozen=True)
class Moment:
    """Where runs stand: time, electrons left (W,), place (W, 2); when cells were last seen, how often, how exposed."""

    time_s: torch.Tensor
    electrons: torch.Tensor
    at_nm: torch.Tensor
    seen_s: torch.Tensor
    count: torch.Tensor
    exposed: torch.Tensor


class Foresight:
    """What looks would tell now, as the reporter's belief and the usual errors of the reader say."""

    def __init__(self, beliefs: Beliefs, values: Values, costs: Costs, rules: Rules, moment: Moment) -> None:
        self._beliefs, self._values, self._costs, self._rules, self._moment = beliefs, values, costs, rules, moment
        small = beliefs.small
        self._fields, times = small.fields, small.times
        root_pi = math.pi**0.5
        sd = values.var.sqrt()
        self._slope = small.worth / root_pi / (2 * sd)
        self._sd = sd
        flat = values.spread.flatten(1, 2)
        # How much the expected loss falls by what is learned of the latent values, (W, S, S).
        self._falls = torch.bmm(flat.transpose(1, 2), self._slope.flatten(1)[:, :, None] * flat)
        loads = small.shared_globals @ beliefs.cov
        slope = small.worth_globals / root_pi / (2 * values.var_globals.sqrt())
        self._falls = self._falls + torch.bmm(loads.transpose(1, 2), slope[:, :, None] * loads)
        # At the middle of the next look: its time is that of the way, which differs little.
        still = costs.still_s.mean()
        after, share, bent = beliefs.line(moment.time_s + still)
        field = torch.arange(self._fields)
        last = field * times + after[:, None]
        self._picks = torch.stack([last - 1, last], dim=-1)
        weight = torch.stack([1 - share, share], dim=-1)[:, None]
        cells, worlds = small.cells, len(moment.time_s)
        picks = self._picks[:, None].expand(worlds, cells, -1, -1).flatten(2)
        self._weight = weight[:, None] * torch.gather(small.sd.expand(worlds, -1, -1), 2, picks).reshape(
            worlds, cells, -1, 2
        )
        self._bend = bent[:, None] ** 2 * small.bend_var[field, (after - 1)[:, None]]
        self._after = after
        # Of a reading of each field in each cell: latent part (W, C, F, S), own part (W, C, F, B).
        self.latent = self._along(beliefs.shared, picks)
        self.own = self._along(beliefs.own, picks)

    def _along(self, table: torch.Tensor, picks: torch.Tensor) -> torch.Tensor:
        """What readings have of a table (W, C, B, X): (W, C, F, X)."""
        rows = torch.gather(table, 2, picks[..., None].expand(*picks.shape, table.shape[-1]))
        rows = rows.reshape(*picks.shape[:2], -1, 2, table.shape[-1])
        return (self._weight[..., None] * rows).sum(dim=3)

    def offers(self) -> tuple[spec.Offers, torch.Tensor, torch.Tensor]:
        """All candidates, of each way the best places, with more and fewer electrons; and their ways and places."""
        rules, costs, moment = self._rules, self._costs, self._moment
        time_left, electrons_left = (rules.duration_s - moment.time_s).clamp_min(0.0), moment.electrons
        singles = self._singles()
        away_nm = (costs.middle_nm[None] - moment.at_nm[:, None, None]).norm(dim=-1)
        travel_s = torch.where(away_nm > 1e-6, costs.settle_s + away_nm / costs.speed_nm_per_s, torch.zeros(()))
        still = costs.still_s
        even = electrons_left[:, None] * still / torch.maximum(time_left[:, None], still)
        cells = costs.cells
        noise = self._noise(even / cells)
        told = self._roughly(singles, noise)
        ways, places = costs.shown.shape[:2]
        known = (costs.shown >= 0) & (costs.middle_nm[..., :1] < torch.inf)
        rough = (told[:, torch.arange(ways)[:, None, None], costs.shown.clamp_min(0)] * known).sum(dim=-1)
        rough = torch.where(known.any(dim=-1), rough / (still[:, None] + travel_s), torch.full((), -torch.inf))
        place = rough.topk(min(rules.priced, places), dim=-1).indices
        spends = torch.tensor(rules.spends)
        took_s = still[:, None] + torch.gather(travel_s, 2, place)
        electrons = (spends * (electrons_left / time_left.clamp_min(1e-9))[:, None, None, None]) * took_s[..., None]
        exposed = self._exposed(place)
        walls = 0.25 * (costs.max_fluence - exposed) / costs.fluence_per_electron[:, None]
        most = torch.minimum((costs.most_pA * costs.electrons_per_pA)[:, None], walls)
        most = torch.minimum(most, electrons_left[:, None, None])[..., None]
        least = (costs.least_pA * costs.electrons_per_pA)[:, None, None]
        electrons = torch.minimum(torch.maximum(electrons, least), most)
        there = (electrons >= least) & (took_s <= time_left[:, None, None])[..., None]
        return self._gathered(place, took_s, electrons, exposed, there)

    def _gathered(
        self,
        place: torch.Tensor,
        took_s: torch.Tensor,
        electrons: torch.Tensor,
        exposed: torch.Tensor,
        there: torch.Tensor,
    ) -> tuple[spec.Offers, torch.Tensor, torch.Tensor]:
        costs, moment = self._costs, self._moment
        worlds, ways, priced, spends = electrons.shape
        way = torch.arange(ways)[:, None]
        shown = costs.shown[way, place]
        cells = costs.cells
        noise = self._noise((electrons / cells[:, None, None]).permute(0, 2, 3, 1)).permute(0, 3, 1, 2, 4)
        information = torch.empty_like(electrons)
        for alike in sorted(set(cells.tolist())):
            # Ways that show fewer cells than others are not made to pay for those.
            some = cells == alike
            information[:, some] = self._information(shown[:, some, :, :alike], noise[:, some])
        known = shown >= 0
        inside, count = shown.clamp_min(0), known.sum(dim=-1).clamp_min(1)
        each = torch.arange(worlds)[:, None, None, None]
        age = (moment.time_s[:, None, None, None] - moment.seen_s[each, inside]) / self._rules.duration_s
        looks = moment.count[each, inside]
        sd = torch.gather(self._sd, 2, self._picks[:, None, :, 1].expand(worlds, self._beliefs.small.cells, -1)).mean(
            dim=-1
        )

        def mean(values: torch.Tensor) -> torch.Tensor:
            return (values * known).sum(dim=-1) / count

        def flat(values: torch.Tensor) -> torch.Tensor:
            return values[..., None].expand(worlds, ways, priced, spends).flatten(1)

        offers = spec.Offers(
            information=information.flatten(1),
            left=flat(mean(sd[each, inside])),
            electrons=electrons.flatten(1),
            time_s=flat(took_s),
            exposed=flat(exposed / costs.max_fluence),
            age=flat(mean(age.clamp_max(1.0))),
            looks=flat(mean(looks)),
            cells=flat(count.float()),
            mode=flat(costs.mode[:, None].expand(worlds, ways, priced)),
            there=there.flatten(1),
        )
        return offers, flat(way.expand(worlds, ways, priced)), flat(place)

    def _exposed(self, place: torch.Tensor) -> torch.Tensor:
        """The most that fell on a cell of each place (W, K, P): (W, K, P)."""
        costs = self._costs
        shown = costs.shown[torch.arange(len(costs.mode))[:, None], place]
        each = torch.arange(len(place))[:, None, None, None]
        return (self._moment.exposed[each, shown.clamp_min(0)] * (shown >= 0)).amax(dim=-1)

    def _noise(self, electrons: torch.Tensor) -> torch.Tensor:
        """Variance of readings of all fields with electrons a cell (..., K): (..., K, F); no end where none is told."""
        costs = self._costs
        known = costs.log_electrons
        along = (torch.log(electrons.clamp_min(1.0)) - known[0]) / (known[1] - known[0])
        along = along.clamp(0, len(known) - 1.001)
        before = along.long()
        share = (along - before)[..., None]
        way = torch.arange(len(costs.mode))
        first, then = (costs.usual[way, :, at] for at in (before, before + 1))
        return torch.exp(2 * ((1 - share) * first + share * then))

    def _singles(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of a reading alone: its variance but for noise, what the rest gains, (W, C, F), and its own (W, C, F, B)."""
        beliefs, values = self._beliefs, self._values
        spread = (self.latent.flatten(1, 2) @ beliefs.cov).reshape(self.latent.shape)
        own = torch.einsum("wcbs,wcfs->wcfb", values.spread, self.latent)
        rest = ((self.latent.flatten(1, 2) @ self._falls).reshape(self.latent.shape) * self.latent).sum(dim=-1)
        rest = rest - (own**2 * self._slope[:, :, None]).sum(dim=-1)
        own = own + self.own
        picks = self._picks[:, None].expand(*own.shape[:3], 2)
        in_own = (self._weight * torch.gather(self.own, 3, picks)).sum(dim=-1)
        return (spread * self.latent).sum(dim=-1) + in_own, rest.clamp_min(0.0), own

    def _roughly(self, singles: tuple[torch.Tensor, ...], noise: torch.Tensor) -> torch.Tensor:
        """What a look at each cell alone would tell, fields apart: (W, K, C)."""
        var, rest, own = singles
        total = torch.zeros(())
        small = self._beliefs.small
        for field in range(self._fields):
            whole = var[:, None, :, field] + noise[:, :, None, field] + self._bend[:, None, None, field]
            gone = own[:, None, :, field] ** 2 / whole[..., None]
            fall = (_fall(self._values.var[:, None], gone) * small.worth).sum(dim=-1) / math.pi**0.5
            total = total + fall + rest[:, None, :, field] / whole
        return total

    def _information(self, shown: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """What looks that show cells (W, K, P, M) with noise (W, K, P, spends, F) would tell: (W, K, P, spends)."""
        fields = self._fields
        each = torch.arange(len(shown))[:, None, None, None]
        inside, known = shown.clamp_min(0), shown >= 0
        members = shown.shape[-1] * fields
        latent = self.latent[each, inside].flatten(3, 4)
        of_cov = latent @ self._beliefs.cov[:, None, None]
        var = of_cov @ latent.transpose(-1, -2)
        own = self.own[each, inside]
        picks = self._picks[:, None, None, None, None].expand(*own.shape[:4], fields, fields, 2)
        at = torch.gather(own[..., None, :].expand(*own.shape[:5], fields, own.shape[-1]), 6, picks)
        weight = self._weight[each, inside][..., None, :, :]
        block = (weight * at).sum(dim=-1)
        for member in range(shown.shape[-1]):
            rows = slice(member * fields, (member + 1) * fields)
            var[..., rows, rows] += block[..., member, :, :]
        rest = latent @ self._falls[:, None, None] @ latent.transpose(-1, -2)
        # What is learned of the cells' own values: (W, K, P, M B, M F).
        spread = self._values.spread[each, inside].flatten(3, 4)
        cov = spread @ latent.transpose(-1, -2)
        slope = self._slope[each, inside].flatten(3, 4)
        rest = rest - (cov * slope[..., None]).transpose(-1, -2) @ cov
        size = own.shape[-1]
        for member in range(shown.shape[-1]):
            rows, values = slice(member * fields, (member + 1) * fields), slice(member * size, (member + 1) * size)
            cov[..., values, rows] += own[..., member, :, :].transpose(-1, -2)
        bend = (self._bend[:, None, None, None] + torch.zeros_like(noise)).clamp_min(LEAST_VAR)
        full = (noise + bend)[..., None, :] * torch.ones(shown.shape[-1], 1)
        gone = (~known)[:, :, :, None, :, None] * 1e12
        added = torch.diag_embed((full + gone).reshape(*full.shape[:4], members))
        lower = torch.linalg.cholesky(var[:, :, :, None] + added)
        half = torch.linalg.solve_triangular(lower, torch.eye(members).expand_as(lower), upper=False)
        others = ((half @ rest[:, :, :, None]) * half).sum(dim=(-1, -2)).clamp_min(0.0)
        white = cov[:, :, :, None] @ half.transpose(-1, -2)
        fell = _fall(self._values.var[each, inside].flatten(3, 4)[:, :, :, None], (white**2).sum(dim=-1))
        worth = self._beliefs.small.worth[inside] * known[..., None]
        own_fall: torch.Tensor = (fell * worth.flatten(3, 4)[:, :, :, None]).sum(dim=-1) / math.pi**0.5
        found: torch.Tensor = others + own_fall
        return found


def _fall(var: torch.Tensor, gone: torch.Tensor) -> torch.Tensor:
    """How much standard deviations fall when so much of their variance goes, exact also where that is next to none."""
    gone = torch.minimum(gone, var)
    return gone / (var.sqrt() + (var - gone).sqrt())
