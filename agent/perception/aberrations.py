"""Aberrations of the probe from a few images of one place at different settings, whatever the place shows.

The spectrum of image i is F_i = O H_i exp(-2 pi i k s_i) + noise: one specimen O for all, a transfer H_i of the hidden
aberrations plus those that were set, and a shift s_i by drift. The specimen is taken to be a Gaussian field whose
spectrum S(|k|) is smooth and the same in all directions, and is integrated out in closed form: with g = H / sd of the
noise, f = F / sd and a = sum |g|^2, minus the ln likelihood of a frequency is ln(1 + S a) - S |sum g* f|^2 / (1 + S a).
S is fitted along. Where S is large this is the misfit that no specimen at all explains (compare ``focus``); where
images are few it also uses that specimens have no direction. Frequencies that stick out (spots of a lattice) count as
what they are, not as the mean of their ring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.stats import qmc

from agent.perception.probe_transfer import COMPONENTS, Array, Complex, Transfers, geometric

KNOTS_per_nm = 0.5
"""Distance of the nodes between which ln S is interpolated: wider than the rings that defocus makes."""

MODEL_SHARE = 0.1
"""What tapering and drift within a frame leave unexplained, as a share of the amplitude."""

STICKS_OUT = 3.0
MOST_AT_TOP = 0.05
LEAST_SIGNAL = 0.3
COARSE_per_nm, SCREEN_per_nm = 2.2, 1.6
SCREENED, LIKELY, KEPT, FINE = 2048, 40, 7, 3
APART_nm = 4.0
STEPS, COARSE_STEPS, FAIR_STEPS = 14, 8, 4
HOPELESS = 60.0
MOST_SHIFT_NM = 2.0
FLOOR_NM = (0.4, 0.4, 0.4, 40.0, 40.0, 20.0, 20.0)
"""What tapering leaves in each component however many electrons there are; found by simulation."""


@dataclass(frozen=True)
class Shot:
    """One image (H, W) in electrons, and the components (7,) in nm that were set when it was taken."""

    counts: Array
    set_nm: Array


@dataclass(frozen=True)
class Mode:
    """One explanation of the images: hidden components (P,), their covariance, shifts of the images (N, 2) in nm.

    ``misfit`` is minus the ln of its probability, up to a constant; ``unexplained`` is the share of the images' power
    above their noise that no specimen explains: NaN for a single image, and near 1 where they show different things.
    """

    hidden_nm: Array
    covariance: Array
    shifts_nm: Array
    misfit: float
    unexplained: float = math.nan


class Evidence:
    """What a few shots say of the first P components, each known beforehand to be within about ``range_nm`` (P,).

    Raises:
        ValueError: no shot, or one of another shape, not finite, negative, blank or saturated.
    """

    def __init__(self, shots: Sequence[Shot], transfers: Transfers, range_nm: Array) -> None:
        check(shots, transfers.frequencies.shape)
        self.shots, self.transfers, self.range_nm = list(shots), transfers, np.asarray(range_nm, dtype=np.float64)
        self.count = len(self.range_nm)
        self.x, self.y = transfers.x_per_nm, transfers.y_per_nm
        k = np.hypot(self.x, self.y)
        self.hats = _hats(k)
        window = _taper(transfers.frequencies.shape)
        # Tapering makes neighbouring modes depend on each other.
        self.inflation = float((window**4).mean() / (window**2).mean() ** 2)
        spectra, noise = zip(*(_spectrum(each.counts, window, transfers.places) for each in shots), strict=True)
        power = [_smooth(np.abs(spectrum) ** 2, self.hats) for spectrum in spectra]
        var = np.stack([n + MODEL_SHARE**2 * np.maximum(p - n, 0.0) for n, p in zip(noise, power, strict=True)])
        self.sd = np.sqrt(var).astype(np.float32)
        self.f = (np.stack(spectra) / self.sd).astype(np.complex64)
        self.coarse, self.screen = int((k < COARSE_per_nm).sum()), int((k < SCREEN_per_nm).sum())

    def modes(self, starts: Sequence[Array] = (), search: bool = True) -> list[Mode]:
        """Explanations of the images, likeliest first, found from ``starts`` (P,) and, with ``search``, anywhere."""
        begun = [*starts, *(self._screened() if search or not starts else ())]
        rough: list[Mode] = []
        for start in begun:
            limit = min((each.misfit for each in rough), default=math.inf) + HOPELESS
            rough.append(self._climb(start, self.coarse, COARSE_STEPS, limit=limit))
        chosen = _likely(rough)[:FINE]
        return _likely([self._climb(each.hidden_nm, len(self.x), STEPS, each.shifts_nm) for each in chosen])

    def _screened(self) -> list[Array]:
        """Places (P,) where to start, from the powers of all images at low frequencies and geometrical optics."""
        cut = self.screen
        points = qmc.Sobol(3, seed=0).random(SCREENED) * 2 - 1
        tries = np.column_stack([points * self.range_nm[:3], np.zeros((SCREENED, self.count - 3))])
        power = np.abs(self.f[:, :cut]) ** 2
        lens = self.transfers.frequencies.column
        misfits = np.zeros(SCREENED)
        for first in range(0, SCREENED, 256):
            some = slice(first, first + 256)
            gains = np.stack(
                [
                    geometric(tries[some, :3] + shot.set_nm[:3], self.x[:cut], self.y[:cut], lens.semi_angle_mrad)
                    / self.sd[n, :cut]
                    for n, shot in enumerate(self.shots)
                ],
                axis=1,
            )
            misfits[some] = _power_misfit(gains**2, power, self.hats[:cut])
        found: list[Array] = []
        for n in np.argsort(misfits):
            if all(np.abs(tries[n] - other).max() > APART_nm for other in found):
                found.append(tries[n])
            if len(found) == LIKELY:
                break
        coherent = [self._misfit(self._begun(each), self.coarse)[0] for each in found]
        return [found[n] for n in np.argsort(coherent)[:KEPT]]

    def _begun(self, hidden_nm: Array) -> Array:
        return np.concatenate([hidden_nm, self._shifts(hidden_nm, self.coarse)[1:].ravel()])

    def _climb(
        self, hidden_nm: Array, cut: int, steps: int, shifts_nm: Array | None = None, limit: float = math.inf
    ) -> Mode:
        """The nearest explanation, by Levenberg and Marquardt's steps with Fisher's information.

        Given up after ``FAIR_STEPS`` if the misfit is above ``limit`` then.
        """
        shifts = self._shifts(hidden_nm, cut) if shifts_nm is None else shifts_nm
        at = np.concatenate([hidden_nm, shifts[1:].ravel()])
        damping, (misfit, spectrum) = 1e-2, self._misfit(at, cut)
        for done in range(steps):
            if done == FAIR_STEPS and misfit > limit:
                break
            gradient, information = self._slopes(at, cut, spectrum)
            gained = 0.0
            for _ in range(4):
                step = np.linalg.solve(information + damping * np.diag(np.diag(information)), -gradient)
                size = np.abs(step[: self.count] / self.range_nm).max()
                step *= min(1.0, 0.3 / max(size, 1e-12))
                new, new_spectrum = self._misfit(at + step, cut)
                if new < misfit:
                    gained, at, misfit, spectrum = misfit - new, at + step, new, new_spectrum
                    damping = max(damping / 5, 1e-4)
                    break
                damping *= 6
            if gained < 0.02:
                break
        _, information = self._slopes(at, cut, spectrum)
        moved = np.concatenate([np.zeros((1, 2)), at[self.count :].reshape(-1, 2)])
        covariance = np.linalg.inv(information)[: self.count, : self.count].astype(np.float64)
        return Mode(at[: self.count], covariance, moved, misfit, self._unexplained(at, cut))

    def information(self, mode: Mode, asked_nm: Array | None = None) -> Array:
        """Information (P, P) on the components if ``mode`` is true, with one more image at settings (7,), if asked."""
        at = np.concatenate([mode.hidden_nm, mode.shifts_nm[1:].ravel()])
        cut = len(self.x)
        spectrum, totals, sd = self._misfit(at, cut)[1], self._totals(at), self.sd
        if asked_nm is not None:
            totals.append(totals[0] - self.shots[0].set_nm + asked_nm)
            sd = np.concatenate([sd, sd[-1:]])
            at = np.concatenate([at, np.zeros(2)])
        whole = np.linalg.inv(self._known(*self._derivatives(at, totals, sd, cut), spectrum))
        return np.asarray(np.linalg.inv(whole[: self.count, : self.count]))

    def _gains(self, at: Array, cut: int) -> Complex:
        moved = self._turns(at, cut)
        totals = self._totals(at)
        whole = np.stack([self.transfers.of(each)[:cut] for each in totals])
        return np.asarray(whole * moved / self.sd[:, :cut])

    def _totals(self, at: Array) -> list[Array]:
        hidden = np.zeros(COMPONENTS)
        hidden[: self.count] = at[: self.count]
        return [hidden + shot.set_nm for shot in self.shots]

    def _turns(self, at: Array, cut: int) -> Complex:
        moved = np.concatenate([np.zeros((1, 2)), at[self.count :].reshape(-1, 2)])
        phase = moved[:, :1] * self.x[:cut] + moved[:, 1:] * self.y[:cut]
        return np.asarray(np.exp(-2j * math.pi * phase), dtype=np.complex64)

    def _misfit(self, at: Array, cut: int) -> tuple[float, Array]:
        """Minus the ln probability, and the specimen's spectrum (m,) that goes with it."""
        g, f = self._gains(at, cut), self.f[:, :cut]
        a = (np.abs(g) ** 2).sum(axis=0)
        b2 = np.abs((g.conj() * f).sum(axis=0)) ** 2
        spectrum = specimen_spectrum(a, b2, self.hats[:cut])
        grown = 1 + spectrum * a
        misfit = float((np.log(grown) - spectrum * b2 / grown).sum()) / self.inflation
        return misfit + 0.5 * float(self._prior(len(at)) @ at**2), spectrum

    def _derivatives(self, at: Array, totals: Sequence[Array], sd: Array, cut: int) -> tuple[Complex, Complex]:
        """What images are of a specimen of 1, g (N, cut), and its derivatives by components and shifts (Q, N, cut)."""
        turned = self._turns(at, cut) / sd[:, :cut]
        g = np.empty((len(totals), cut), dtype=np.complex64)
        d = np.zeros((len(at), len(totals), cut), dtype=np.complex64)
        for i, total in enumerate(totals):
            whole, slopes = self.transfers.with_slopes(total, self.count)
            g[i], d[: self.count, i] = whole[:cut] * turned[i], slopes[:, :cut] * turned[i]
            if i:
                first = self.count + 2 * (i - 1)
                d[first, i], d[first + 1, i] = (-2j * math.pi * k[:cut] * g[i] for k in (self.x, self.y))
        return g, d

    def _slopes(self, at: Array, cut: int, spectrum: Array) -> tuple[Array, Array]:
        """Gradient and Fisher's information of minus the ln probability by components and shifts."""
        g, d = self._derivatives(at, self._totals(at), self.sd, cut)
        f = self.f[:, :cut]
        b = (g.conj() * f).sum(axis=0)
        share = spectrum / (1 + spectrum * (np.abs(g) ** 2).sum(axis=0))
        c = np.einsum("im,qim->qm", g.conj(), d)
        mixed = np.einsum("qim,im->qm", d.conj(), f)
        gradient = 2 * ((share + share**2 * np.abs(b) ** 2) * c.real - share * (b.conj() * mixed).real).sum(axis=1)
        return gradient / self.inflation + self._prior(len(at)) * at, self._known(g, d, spectrum)

    def _known(self, g: Complex, d: Complex, spectrum: Array) -> Array:
        """Fisher's information tr(C^-1 dC C^-1 dC) of a Gaussian field with covariance C = 1 + S g g*."""
        a = (np.abs(g) ** 2).sum(axis=0)
        share = spectrum / (1 + spectrum * a)
        c = np.einsum("im,qim->qm", g.conj(), d)
        flat = (d * np.sqrt(2 * a * spectrum * share).astype(np.float32)).reshape(len(d), -1)
        turning, lost = c * (math.sqrt(2) * share), c * (np.sqrt(2 * a * spectrum * share * share))
        information = (flat @ flat.conj().T).real.astype(np.float64)
        information += (turning @ turning.T).real - (lost @ lost.conj().T).real
        return np.asarray(information / self.inflation + np.diag(self._prior(len(d))))

    def _prior(self, count: int) -> Array:
        return np.concatenate([self.range_nm**-2.0, np.full(count - self.count, MOST_SHIFT_NM**-2.0)])

    def _shifts(self, hidden_nm: Array, cut: int) -> Array:
        """How far each image is shifted against the first, (N, 2) nm, by correlation with all before it."""
        frequencies = self.transfers.frequencies
        moved = np.zeros((len(self.shots), 2))
        g = self._gains(np.concatenate([hidden_nm, moved[1:].ravel()]), cut)
        common = g[0].conj() * self.f[0, :cut]
        for i in range(1, len(self.shots)):
            half = np.zeros(frequencies.shape[0] * (frequencies.shape[1] // 2 + 1), dtype=np.complex64)
            half[self.transfers.places[:cut]] = common.conj() * (g[i].conj() * self.f[i, :cut])
            peaks = scipy.fft.irfft2(half.reshape(frequencies.shape[0], -1), s=frequencies.shape)
            moved[i] = _peak_nm(peaks, frequencies.pixel_nm)
            back = np.exp(2j * math.pi * (moved[i, 0] * self.x[:cut] + moved[i, 1] * self.y[:cut]))
            common = common + g[i].conj() * back * self.f[i, :cut]
        return moved

    def _unexplained(self, at: Array, cut: int) -> float:
        n = len(self.shots)
        if n < 2:
            return math.nan
        g, f = self._gains(at, cut), self.f[:, :cut]
        power = (np.abs(f) ** 2).sum(axis=0)
        explained = np.abs((g.conj() * f).sum(axis=0)) ** 2 / np.maximum((np.abs(g) ** 2).sum(axis=0), 1e-12)
        signal = max(float(power.sum()) - n * cut, LEAST_SIGNAL * n * cut)
        return max(float((power - explained).sum()) - (n - 1) * cut, 0.0) / signal


def check(shots: Sequence[Shot], shape: tuple[int, int]) -> None:
    """Refuse what tells nothing.

    Raises:
        ValueError: no shot, or one of another shape, not finite, negative, blank or saturated.
    """
    if not shots:
        raise ValueError("shots: none, at least one is needed")
    for n, shot in enumerate(shots):
        if shot.counts.shape != shape:
            raise ValueError(f"shots[{n}].counts: of shape {shot.counts.shape}, not {shape}")
        if not (np.isfinite(shot.counts).all() and shot.counts.min() >= 0.0):
            raise ValueError(f"shots[{n}].counts: not finite, or below 0")
        most = shot.counts.max()
        if (shot.counts == most).mean() > MOST_AT_TOP:
            share = (shot.counts == most).mean()
            raise ValueError(f"shots[{n}].counts: {most:g} at {share:.0%} of the pixels, blank or saturated")
        if shot.set_nm.shape != (COMPONENTS,) or not np.isfinite(shot.set_nm).all():
            raise ValueError(f"shots[{n}].set_nm: {shot.set_nm}, not {COMPONENTS} finite numbers")


def specimen_spectrum(a: Array, b2: Array, hats: Array) -> Array:
    """The specimen's spectrum (m,) from a = sum |g|^2 and |b|^2 (m,), by Fisher's scoring from its moments."""
    weight = np.ones_like(a)
    spectrum = np.zeros_like(a)
    for _ in range(4):
        told = (weight * (b2 - a)) @ hats
        spectrum = hats @ np.maximum(told / np.maximum((weight * a**2) @ hats, 1e-30), 1e-12)
        # What sticks out of its ring must not tell how bright the ring is.
        high = np.minimum(1.0, STICKS_OUT * (1 + spectrum * a) * a / np.maximum(b2, 1e-30))
        weight = high / (1 + spectrum * a) ** 2
    return np.maximum(spectrum, (b2 / np.maximum(a, 1e-30) / STICKS_OUT - 1) / np.maximum(a, 1e-30))


def _power_misfit(gains: Array, power: Array, hats: Array) -> Array:
    """Misfit (n,) of powers (N, m) to |g|^2 (n, N, m) of n tries, phases left aside."""
    weight = np.ones_like(gains)
    for _ in range(3):
        told = ((weight * gains * (power - 1)).sum(axis=1)) @ hats
        scale = np.maximum((weight * gains**2).sum(axis=1) @ hats, 1e-30)
        spectrum = (np.maximum(told / scale, 1e-12) @ hats.T)[:, None]
        grown = 1 + spectrum * gains
        weight = grown**-2
    return np.asarray((np.log(grown) + power / grown).sum(axis=(1, 2)))


def _hats(k_per_nm: Array) -> Array:
    """Triangular weights (m, R) of the nodes of a smooth spectrum."""
    knots = np.arange(0.0, k_per_nm.max() + KNOTS_per_nm, KNOTS_per_nm)
    return np.maximum(0.0, 1 - np.abs(k_per_nm[:, None] - knots) / KNOTS_per_nm)


def _smooth(power: Array, hats: Array) -> Array:
    return np.asarray(hats @ ((power @ hats) / np.maximum(hats.sum(axis=0), 1e-30)))


def _taper(shape: tuple[int, int]) -> Array:
    rows, columns = (np.sin(math.pi * (np.arange(n) + 0.5) / n) ** 2 for n in shape)
    return np.asarray(rows[:, None] * columns)


def _spectrum(counts: Array, window: Array, places: NDArray[np.intp]) -> tuple[Complex, float]:
    """Spectrum (m,) of an image relative to its mean, and the power of its counting noise."""
    mean = float((window * counts).sum() / window.sum())
    noise = float((window**2 * counts).sum()) / mean**2
    spectrum = scipy.fft.rfft2(window * (counts / mean - 1.0)).ravel()[places]
    return spectrum.astype(np.complex64), noise


def _peak_nm(peaks: NDArray[np.float32], pixel_nm: float) -> Array:
    """Where a correlation (H, W) is highest, as x and y in nm, within MOST_SHIFT_NM of none."""
    y, x = (np.fft.fftfreq(n, 1 / (n * pixel_nm)) for n in peaks.shape)
    near = np.hypot(x[None, :], y[:, None]) <= MOST_SHIFT_NM
    row, column = np.unravel_index(np.where(near, peaks, -np.inf).argmax(), peaks.shape)
    return np.array([x[column], y[row]])


def _likely(modes: Sequence[Mode]) -> list[Mode]:
    """The likeliest first, without those that are another's double or hopeless."""
    kept: list[Mode] = []
    for mode in sorted(modes, key=lambda each: each.misfit):
        apart = all(np.abs(mode.hidden_nm - other.hidden_nm)[:3].max() > 1.0 for other in kept)
        if apart and not (kept and mode.misfit > kept[0].misfit + HOPELESS):
            kept.append(mode)
    return kept


def settled(modes: Sequence[Mode]) -> Mode:
    """The likeliest explanation, with a covariance that holds what the others say too."""
    weights = np.exp([modes[0].misfit - each.misfit for each in modes])
    weights /= weights.sum()
    best = modes[0]
    apart = np.stack([each.hidden_nm - best.hidden_nm for each in modes])
    covariance = sum(w * (each.covariance + np.outer(d, d)) for w, each, d in zip(weights, modes, apart, strict=True))
    return replace(best, covariance=np.asarray(covariance) + np.diag(np.square(FLOOR_NM[: len(apart[0])])))
