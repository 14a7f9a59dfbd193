"""What is usual for energy-loss spectra, as HyperSpy and eXSpy do it, with all its windows to be searched.

Each way is a name and a function from spectra (N, E) to what it reads, (N,) by quantity. Cross-sections are those that
the agent's fit uses too.

- zero loss: the highest channel, a parabola through three, the centre of mass about it, a Gaussian by least squares;
- thickness: ln(total / zero loss), of which is taken what lies below a threshold, or the Gaussian's area;
- edges by windows: a power law through two halves of a window before the edge, what is above it in a window behind it,
  over the cross-section and the low loss of the same width (Egerton, chapter 4.4.1);
- edges by least squares: the same power law with its height free, and all edges smeared by the low loss, in one window,
  each channel weighted alike or by its counts; or power law and edges as eXSpy's model fit, least squares again;
- valence: the share by least squares, the ratio of the white lines L3 / L2, or the middle of L3 above a power law.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.optimize import least_squares

from agent.perception.smeared import Smeared
from digital_twin.spectra import edge_nm2_per_eV
from experiments.seeing_spectra.scenes import Array, Subject

Way = tuple[str, Callable[[Array], Mapping[str, Array]]]

FIT_eV = (1.0, 1.5, 2.0, 3.0)
THRESHOLDS_eV = (0.8, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0)
BEFORE_eV, BEHIND_eV = (20.0, 40.0, 60.0, 100.0), (20.0, 50.0, 100.0, 200.0)
GAP_eV = 5.0
LINE_eV = (2.0, 3.0, 4.0, 6.0)


def ways(subject: Subject) -> Iterator[Way]:
    """All ways that are tried."""
    usual = Usual(subject)
    for method, width in itertools.product(("mass", "gauss"), FIT_eV):
        yield f"zero loss by {method} within {width:g} eV", partial(usual.zero_loss, method=method, width_eV=width)
    for method in ("highest", "parabola"):
        yield f"zero loss by {method}", partial(usual.zero_loss, method=method, width_eV=0.0)
    for threshold in THRESHOLDS_eV:
        yield f"thickness with threshold {threshold:g} eV", partial(usual.thickness, threshold_eV=threshold)
    for before, behind in itertools.product(BEFORE_eV, BEHIND_eV):
        told = f"{before:g} eV before, {behind:g} eV behind"
        yield f"windows, {told}", partial(usual.windows, before_eV=before, behind_eV=behind)
        for name, weighted in (("plain", False), ("weighted", True)):
            way = partial(usual.linear, before_eV=before, behind_eV=behind, weighted=weighted)
            yield f"{name} least squares, {told}", way
    for before in BEFORE_eV[1:]:
        yield f"model fit, from {before:g} eV before", partial(usual.model, before_eV=before)
    for before, width in itertools.product(BEFORE_eV, LINE_eV):
        told = f"{before:g} eV before, lines within {width:g} eV"
        yield f"L3/L2, {told}", partial(usual.lines, before_eV=before, width_eV=width, what="ratio")
        yield f"middle of L3, {told}", partial(usual.lines, before_eV=before, width_eV=width, what="middle")


class Usual:
    """The usual ways on the axis of a subject."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.axis_eV = subject, subject.axis_eV
        self.step_eV = float(self.axis_eV[1] - self.axis_eV[0])
        able = subject.able
        self.energy = (able.beam_energy_keV, able.collection_semi_angle_mrad)
        self.cross = [edge_nm2_per_eV(edge, self.axis_eV, *self.energy) for edge in subject.edges]
        first_eV = min(edge.onset_eV for edge in subject.edges)
        self._smeared = Smeared(self.axis_eV, subject.edges, *self.energy, first_eV - GAP_eV)

    def zero_loss(self, counts: Array, method: str, width_eV: float) -> dict[str, Array]:
        """Where the zero loss lies, and for a Gaussian what its area says of thickness."""
        top = counts[:, np.abs(self.axis_eV) < 15.0].argmax(axis=1) + int((self.axis_eV <= -15.0).sum())
        if method == "highest":
            return {"zero_loss_eV": self.axis_eV[top]}
        if method == "parabola":
            left, middle, right = (counts[np.arange(len(top)), top + k] for k in (-1, 0, 1))
            bend = np.where(left - 2 * middle + right < 0, left - 2 * middle + right, -1.0)
            return {"zero_loss_eV": self.axis_eV[top] + self.step_eV * 0.5 * (left - right) / bend}
        found, area = np.zeros(len(top)), np.zeros(len(top))
        for n, (each, at) in enumerate(zip(counts, top, strict=True)):
            near = np.abs(self.axis_eV - self.axis_eV[at]) <= max(width_eV, 1.01 * self.step_eV)
            energy, seen = self.axis_eV[near], each[near]
            found[n] = float((energy * seen).sum() / max(seen.sum(), 1.0))
            if method == "gauss" and energy.size >= 3:
                begin = [seen.max(), found[n], 0.6]
                solved = least_squares(_gauss, begin, args=(energy, seen), x_scale=[seen.max(), 1, 1])
                height, found[n], sigma = solved.x
                area[n] = height * abs(sigma) * np.sqrt(2 * np.pi) / self.step_eV
        thick = np.log(counts.sum(axis=1) / np.maximum(area, 1.0))
        return {"zero_loss_eV": found} | ({"t_over_lambda": thick} if method == "gauss" else {})

    def thickness(self, counts: Array, threshold_eV: float) -> dict[str, Array]:
        """Ln of all over what lies below so much above the highest channel."""
        zero_eV = self.zero_loss(counts, "highest", 0.0)["zero_loss_eV"]
        below = (counts * (self.axis_eV <= (zero_eV + threshold_eV)[:, None] + 1e-9)).sum(axis=1)
        return {"t_over_lambda": np.log(counts.sum(axis=1) / np.maximum(below, 1.0))}

    def _power_law(self, counts: Array, onset_eV: float, before_eV: float) -> Array:
        """The power law through two halves of a window before an onset, (N, E), 0 below the window."""
        low, high = onset_eV - GAP_eV - before_eV, onset_eV - GAP_eV
        middle = 0.5 * (low + high)
        first = (self.axis_eV >= low) & (self.axis_eV < middle)
        second = (self.axis_eV >= middle) & (self.axis_eV < high)
        one, two = (np.maximum(counts[:, part].mean(axis=1), 0.5 / part.sum()) for part in (first, second))
        at = [np.exp(np.log(self.axis_eV[part]).mean()) for part in (first, second)]
        power = np.log(one / two) / np.log(at[1] / at[0])
        energy = np.maximum(self.axis_eV, low)
        return np.asarray(two[:, None] * (energy / at[1]) ** -power[:, None] * (self.axis_eV >= low))

    def windows(self, counts: Array, before_eV: float, behind_eV: float) -> dict[str, Array]:
        """Each edge by itself."""
        found = {}
        zero_eV = self.axis_eV[counts.argmax(axis=1)]
        for edge, cross in zip(self.subject.edges, self.cross, strict=True):
            above = counts - self._power_law(counts, edge.onset_eV, before_eV)
            behind = (self.axis_eV >= edge.onset_eV) & (self.axis_eV < edge.onset_eV + behind_eV)
            low = (counts * (self.axis_eV < (zero_eV + behind_eV)[:, None])).sum(axis=1)
            found[edge.name] = above[:, behind].sum(axis=1) / (low * cross[behind].sum() * self.step_eV)
        return found | self._share(found)

    def linear(self, counts: Array, before_eV: float, behind_eV: float, weighted: bool) -> dict[str, Array]:
        """All edges whose windows overlap together, on the power law before the first of them."""
        found = {edge.name: np.zeros(len(counts)) for edge in self.subject.edges}
        groups: list[list[int]] = []
        for n, edge in enumerate(self.subject.edges):
            if groups and edge.onset_eV - before_eV < self.subject.edges[groups[-1][-1]].onset_eV + behind_eV:
                groups[-1].append(n)
            else:
                groups.append([n])
        for group in groups:
            first, last = (self.subject.edges[group[k]].onset_eV for k in (0, -1))
            window = (self.axis_eV > first - before_eV) & (self.axis_eV < last + behind_eV)
            below = self._power_law(counts, first, before_eV)
            for n, each in enumerate(counts):
                columns = np.stack([below[n], *self._smeared(each)[group]])[:, window]
                weight = 1.0 / np.sqrt(uniform_filter1d(each, 15)[window] + 1.0 / 15) if weighted else 1.0
                scale = np.abs(columns * weight).max(axis=1, keepdims=True) + 1e-300
                solved = np.linalg.lstsq((columns * weight / scale).T, each[window] * weight, rcond=None)[0]
                for k, value in zip(group, (solved / scale[:, 0])[1:], strict=True):
                    found[self.subject.edges[k].name][n] = value
        return found | self._share(found)

    def model(self, counts: Array, before_eV: float) -> dict[str, Array]:
        """Power law and all edges at once, not linear, weighted by counts."""
        names = [edge.name for edge in self.subject.edges]
        found = np.zeros((len(names), len(counts)))
        window = self.axis_eV > self.subject.edges[0].onset_eV - before_eV
        ln = np.log(self.axis_eV[window] / self.axis_eV[window].mean())
        for n, each in enumerate(counts):
            shapes, seen = self._smeared(each)[:, window], each[window]
            scale = seen.mean() / shapes.max(axis=1)
            begin = np.array([np.log(seen.mean() + 0.1), 3.0, *np.zeros(len(names))])
            solved = least_squares(_model, begin, args=(ln, scale[:, None] * shapes, seen), max_nfev=60)
            found[:, n] = solved.x[2:] * scale
        values = dict(zip(names, found, strict=True))
        return values | self._share(values)

    def lines(self, counts: Array, before_eV: float, width_eV: float, what: str) -> dict[str, Array]:
        """An indicator of valence from the white lines of the first of the two, to be calibrated."""
        one, other = ({edge.name: edge for edge in self.subject.edges}[name] for name in self.subject.share)
        if not one.lines:
            return {}
        zero_eV = self.axis_eV[counts.argmax(axis=1)]
        above = counts - self._power_law(counts, min(one.onset_eV, other.onset_eV) - 3.0, before_eV)
        energy = self.axis_eV - zero_eV[:, None]
        middles = [0.5 * (one.lines[k].position_eV + other.lines[k].position_eV) for k in (0, -2)]
        l3, l2 = (np.abs(energy - at) < width_eV for at in middles)
        strong = np.maximum((above * l3).sum(axis=1), 1.0)
        if what == "ratio":
            value = (above * l2).sum(axis=1) / strong
        else:
            value = (above * l3 * (energy - middles[0])).sum(axis=1) / strong
        return {"share, calibrated": np.clip(value, -10.0, 10.0)}

    def _share(self, found: Mapping[str, Array]) -> dict[str, Array]:
        one, other = (found[name] for name in self.subject.share)
        whole = one + other
        share = np.clip(one / np.where(np.abs(whole) > 1e-9, whole, 1.0), 0.0, 1.0)
        return {"share": np.where(whole > 0.0, share, 0.5)}


def _model(at: Array, ln: Array, shapes: Array, seen: Array) -> Array:
    """Residuals of a power law and edges over the errors of counts."""
    return np.asarray((np.exp(at[0] - at[1] * ln) + at[2:] @ shapes - seen) / np.sqrt(np.maximum(seen, 1.0)))


def _gauss(at: Array, energy: Array, seen: Array) -> Array:
    return np.asarray(at[0] * np.exp(-0.5 * ((energy - at[1]) / at[2]) ** 2) - seen)
