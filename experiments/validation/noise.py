"""Noise of detectors and what cameras do to it, measured as one measures a detector."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from digital_twin import camera as camera_module
from digital_twin import noise as noise_module
from digital_twin.camera import PERFECT, Camera
from digital_twin.noise import hashed
from digital_twin.readout import Readout
from experiments.validation.check import Check, Mutation

DOSES = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0, 100.0, 1e3, 1e4)
PIXELS, FRAMES = 256, 8
CCD = Camera(full_well_electrons=0.0)
REAL = Readout(gain_counts_per_electron=8.5, offset_counts=100.0, dark_counts_per_s=2e3, read_noise_counts=6.0)
EXPOSURE_S = 0.05
EDGE_PX = 0.7
"""The edge is soft by this much (sd of a Gaussian), so that nothing of it lies beyond what pixels sample."""


def flat(electrons: float, frames: int = FRAMES) -> Tensor:
    """Evenly lit frames."""
    return torch.full((frames, PIXELS, PIXELS), electrons, dtype=torch.float64)


def counted(dose: float) -> Tensor:
    """Counts at a dose, as many pixels as it takes to know mean and variance to some 0.3 %."""
    images = FRAMES * (16 if dose < 0.1 else 1)
    return noise_module.poisson(flat(dose, images), range(images), int(1e3 * dose))


def worst_mean() -> float:
    """Largest relative deviation of the mean."""
    return max(abs(counted(dose).mean().item() / dose - 1) for dose in DOSES)


def worst_variance() -> float:
    """Largest deviation of variance / mean from 1."""
    return max(abs(each.var().item() / each.mean().item() - 1) for each in map(counted, DOSES))


def worst_none() -> float:
    """Largest relative deviation of the chance of no electron, below 3 electrons a pixel."""
    return max(abs((counted(dose) == 0).double().mean().item() / math.exp(-dose) - 1) for dose in DOSES if dose < 3)


def transfer_gain() -> float:
    """Relative deviation of the gain that photon transfer gives, variance of differences against mean."""
    random = np.random.default_rng(3)
    means, variances = [], []
    for n, dose in enumerate((50.0, 200.0, 1000.0, 4000.0)):
        charge = PERFECT.charge(flat(dose), EXPOSURE_S, range(FRAMES), n).numpy()
        counts = REAL.read(charge, EXPOSURE_S, np.uint16, random).astype(float)
        means.append(counts.mean())
        variances.append((counts[::2] - counts[1::2]).var() / 2)
    gain, _ = np.polyfit(means, variances, 1, w=1 / np.array(variances))
    return abs(float(gain) / REAL.gain_counts_per_electron - 1)


def edge_transfer() -> float:
    """Largest deviation of the MTF that a slanted edge shows, up to 0.8 of the Nyquist frequency."""
    slope, electrons = math.tan(math.radians(5.0)), 1e6
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(float) - PIXELS / 2
    distance = (x - slope * y) / math.hypot(1.0, slope)
    edge = 0.5 + 0.5 * torch.special.erf(torch.from_numpy(distance / (math.sqrt(2) * EDGE_PX)))
    charge = CCD.charge(electrons * edge.expand(4, -1, -1), EXPOSURE_S, range(4)).mean(dim=0).numpy() / electrons
    # Four samples a pixel of the mean edge, within 24 pixels of it and away from the ends of the camera.
    inner = (np.abs(distance) < 24) & (np.abs(y) < PIXELS / 2 - 8)
    place = np.floor(4 * distance[inner] + 96).astype(int)
    step = np.bincount(place, charge[inner], 192) / np.bincount(place, minlength=192)
    line = np.gradient(step, 0.25)
    frequency = np.arange(1, 33) * 4 / 192 * 0.6
    seen = np.abs(np.exp(-2j * math.pi * frequency[:, None] * np.arange(192) / 4) @ line / line.sum())
    # Means over a quarter of a pixel, and differences over half a one, soften the line.
    seen /= np.sinc(frequency / 4) * np.sinc(frequency / 2) * np.exp(-2 * (math.pi * EDGE_PX * frequency) ** 2)
    return float(np.abs(seen - 1 / (1 + 0.88 / 0.12 * (2 * frequency) ** 2)).max())


def rings(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    """Mean frequency and mean of a two-dimensional spectrum (N, N) in 24 rings up to the Nyquist frequency."""
    axis = torch.fft.fftfreq(len(spectrum), dtype=torch.float64)
    radius = torch.hypot(axis[:, None], axis)
    ring = (48 * radius).long().flatten()
    inside = (ring < 24) & (radius.flatten() > 0)
    count = torch.bincount(ring[inside], minlength=24)
    total, at = (torch.bincount(ring[inside], each.flatten()[inside], 24) for each in (spectrum, radius))
    return at / count, total / count


def power(dose: float) -> tuple[Tensor, Tensor]:
    """Frequencies and noise power of evenly lit frames of the CCD, in electrons squared a pixel."""
    frames = CCD.charge(flat(dose, 48), EXPOSURE_S, range(48))
    return rings(torch.fft.fft2(frames - frames.mean(dim=0)).abs().square().mean(dim=0) * 48 / 47 / PIXELS**2)


def noise_power() -> float:
    """Largest relative deviation of the noise power from dose NTF^2 / DQE0."""
    frequency, seen = power(100.0)
    expected = 100.0 / 0.7 / (1 + 0.78 / 0.22 * (2 * frequency) ** 2) ** 2
    return float((seen / expected - 1)[1:].abs().max())


def quantum_efficiency() -> float:
    """Largest relative deviation of DQE = dose MTF^2 / noise power, the MTF from gratings of six periods."""
    dose, worst = 100.0, 0.0
    frequencies, noise = power(dose)
    for period in (32, 16, 8, 4, 3, 2.5):
        frequency, place = 1 / period, torch.arange(PIXELS, dtype=torch.float64)
        wave = torch.cos(2 * math.pi * frequency * place)
        charge = CCD.charge(1e6 * (1 + 0.5 * wave).expand(4, PIXELS, PIXELS), EXPOSURE_S, range(4))
        # A grating ends at the camera's edge: its contrast is that of a wave fitted away from it.
        inner = slice(16, -16)
        waves = torch.stack([wave, torch.sin(2 * math.pi * frequency * place), torch.ones(PIXELS)], dim=1)[inner]
        seen = torch.linalg.lstsq(waves, charge.mean(dim=(0, 1))[inner, None]).solution[0].item() / 0.5e6
        # Its inverse root is next to straight over the square of the frequency.
        power_there = np.interp(frequency**2, frequencies**2, noise**-0.5) ** -2
        expected = 0.7 * ((1 + 0.78 / 0.22 * (2 * frequency) ** 2) / (1 + 0.88 / 0.12 * (2 * frequency) ** 2)) ** 2
        worst = max(worst, abs(dose * seen**2 / power_there / expected - 1))
    return worst


def growth_of_snr() -> float:
    """Deviation from 1/2 of the power with which signal / noise of an image grows with the dose."""
    doses = np.array([0.5, 2.0, 8.0, 32.0, 128.0])
    ratios = []
    for dose in doses:
        charge = CCD.charge(flat(dose), EXPOSURE_S, range(FRAMES))
        ratios.append(charge.mean().item() / charge.std().item())
    return abs(float(np.polyfit(np.log(doses), np.log(ratios), 1)[0]) - 0.5)


def darkness() -> float:
    """Largest relative deviation of level and noise of a frame without electrons from offset, dark and read noise."""
    charge = CCD.charge(flat(0.0, 1), EXPOSURE_S, [1]).numpy()
    counts = REAL.read(charge, EXPOSURE_S, np.uint16, np.random.default_rng(1)).astype(float)
    return max(abs(float(counts.mean()) / 200.0 - 1), abs(float(counts.std()) / math.sqrt(36 + 1 / 12) - 1))


def coincidence() -> float:
    """Largest relative deviation of what a counting camera keeps from exp(-rate tau), at up to a half of 1 / tau."""
    camera = msgspec.structs.replace(PERFECT, coincidence_s=1 / 400)
    return max(
        abs(
            camera.charge(flat(10 * per_s, 4), 10.0, range(4)).mean().item() / (10 * per_s) / math.exp(-per_s / 400) - 1
        )
        for per_s in (10.0, 50.0, 200.0)
    )


def neighbours() -> float:
    """Largest correlation between pixels one apart, and between frames one apart, in standard deviations of it."""
    frames = torch.stack([noise_module.poisson(flat(4.0, 1), [1], 5, n)[0] for n in range(FRAMES)]) - 4.0
    pairs = ((frames[:, :, 1:], frames[:, :, :-1]), (frames[:, 1:], frames[:, :-1]), (frames[1:], frames[:-1]))
    return max(abs((a * b).mean().item() / 4.0 * math.sqrt(a.numel())) for a, b in pairs)


def rounded_normal(_: object) -> Callable[[Tensor, Tensor, Tensor], None]:
    """Counts from a normal distribution."""

    def counts(means: Tensor, room: Tensor, out: Tensor) -> None:
        out.copy_((means - means.sqrt() * math.sqrt(2) * torch.erfinv(1.9999999 * room[0] - 0.99999995)).round())

    return counts


def in_pairs(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Two electrons wherever one is."""
    return lambda means, *key: 2 * draw(means / 2, *key)


def a_second(read: Callable[..., Any]) -> Callable[..., Any]:
    """Dark current of a second in every frame."""
    return lambda self, electrons, _, *rest: read(self, electrons, 1.0, *rest)


NORMAL = Mutation("a rounded normal distribution", noise_module, "_counts", rounded_normal)
PAIRS = Mutation("electrons counted in pairs", camera_module, "poisson", in_pairs)
FREQUENCY = Mutation(
    "the Nyquist frequency taken as 1 cycle a pixel",
    camera_module,
    "_lorentzian",
    lambda original: lambda frequency, loss: original(frequency / 2, loss),
)
EVEN_NOISE = Mutation(
    "noise that does not grow with the dose",
    camera_module,
    "poisson",
    lambda original: lambda means, *key: means + original(torch.ones_like(means), *key) - 1,
)
ALIKE = Mutation("all frames of a seed alike", noise_module, "hashed", lambda _: lambda seeds, *stream: hashed(seeds))
SAME = Mutation("noise blurred as the signal is", Camera, "ntf", lambda original: Camera.mtf)
LOSS = Mutation("coincidence counted twice", torch, "exp", lambda original: lambda x: original(2 * x))

LAW = "Poisson's distribution"
CHECKS = (
    Check(f"mean of counts, {DOSES[0]:g} to {DOSES[-1]:g} electrons", LAW, worst_mean, 0.02, NORMAL),
    Check("variance / mean of counts at the same doses", LAW, worst_variance, 0.02, NORMAL),
    Check("chance of no electron, below 3 electrons", LAW, worst_none, 0.02, NORMAL),
    Check("noise of neighbouring pixels and frames, correlation", "none; 5 sd", neighbours, 5.0, ALIKE, "sd"),
    Check("gain from photon transfer", "Janesick 2007: var = gain mean", transfer_gain, 0.005, PAIRS),
    Check("MTF from a slanted edge", "Lorentzian, 12 % at Nyquist", edge_transfer, 0.02, FREQUENCY),
    Check("noise power spectrum", "dose NTF^2 / DQE0", noise_power, 0.03, SAME, slow=True),
    Check(
        "DQE from gratings and noise power",
        "Meyer & Kirkland 2000: DQE0 MTF^2 / NTF^2",
        quantum_efficiency,
        0.03,
        PAIRS,
    ),
    Check("signal / noise grows as the root of the dose", "power 1/2", growth_of_snr, 0.01, EVEN_NOISE),
    Check(
        "frame without electrons: level and noise",
        "offset + dark current, read noise",
        darkness,
        0.01,
        Mutation("dark current of a second in every frame", Readout, "read", a_second),
    ),
    Check("coincidence loss", "Zambon 2024: exp(-rate tau)", coincidence, 0.005, LOSS),
)
