"""Fast Poisson noise against scipy's distribution, pixel against pixel, frame against frame."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from digital_twin import noise
from digital_twin.noise import hashed, poisson

DOSES = (0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 29.9, 30.1, 100.0, 1e3, 1e4)


def drawn(mean: float, pixels: int, seed: int, dtype=torch.float32) -> np.ndarray:
    """So many counts of one mean."""
    return poisson(torch.full((1, pixels), mean, dtype=dtype), [seed], 5)[0].double().numpy()


@pytest.mark.parametrize(("n", "mean"), list(enumerate(DOSES)))
def test_mean_variance_and_chance_of_none_are_right_at_every_dose(n, mean):
    pixels = 2_000_000 if mean < 0.1 else 500_000
    counts = drawn(mean, pixels, n)
    sd_mean, sd_variance = 1 / math.sqrt(mean * pixels), math.sqrt((2 + 1 / mean) / pixels)
    assert counts.mean() / mean == pytest.approx(1.0, abs=0.0005 + 4 * sd_mean)
    assert counts.var() / mean == pytest.approx(1.0, abs=0.002 + 4 * sd_variance)
    assert 4 * sd_mean < 0.04
    none = math.exp(-mean)
    assert (counts == 0).mean() == pytest.approx(none, abs=4 * math.sqrt(none / pixels) + 1e-9)


@pytest.mark.parametrize(("n", "mean"), list(enumerate((*DOSES[:-2], 0.7, 1.5, 3.0, 7.0, 20.0))))
def test_counts_are_distributed_as_poisson_says(n, mean):
    pixels = 200_000
    counts = drawn(mean, pixels, 100 + n).astype(int)
    expected = pixels * stats.poisson.pmf(np.arange(counts.max() + 60), mean)
    seen = np.bincount(counts, minlength=len(expected))
    likely = expected > 8
    rest = (seen[~likely].sum() - expected[~likely].sum()) ** 2 / max(expected[~likely].sum(), 1.0)
    squares = ((seen - expected) ** 2 / np.maximum(expected, 1e-300))[likely].sum() + rest
    assert stats.chi2.sf(squares, likely.sum()) > 1e-3


def test_each_pixel_has_its_own_mean():
    means = torch.logspace(-2, 7, 64).repeat(20_000, 1)
    counts = poisson(means[None], [3], 1)[0].double()
    ratio = counts.mean(dim=0) / means[0].double()
    sd = (1 / (means[0].double() * len(means))).sqrt()
    assert ((ratio - 1).abs() < 4.5 * sd + 0.0005).all()


def test_neighbours_frames_and_worlds_know_nothing_of_each_other():
    means = torch.full((200, 64, 64), 3.0)
    film = torch.stack([poisson(means[:1], [7], 5, frame)[0] for frame in range(200)]).double() - 3.0
    crowd = poisson(means, range(200), 5, 0).double() - 3.0
    for images in (film, crowd):
        frames = np.corrcoef(images.reshape(200, -1).numpy())[np.triu_indices(200, 1)] * 64
        assert np.abs(frames).max() < 5.5
        assert frames.var() == pytest.approx(1.0, abs=0.05)
        for step in ((0, 1), (1, 0), (1, 1), (0, 32), (2, 0)):
            other = torch.roll(images, step, dims=(1, 2))
            assert abs((images * other).mean().item() / 3.0) < 4.5 / math.sqrt(images.numel())
        spectrum = (torch.fft.fft2(images).abs() ** 2).mean(dim=0).flatten()[1:] / (3.0 * 64**2)
        assert spectrum.max() < 1 + 6 / math.sqrt(200)
        assert spectrum.min() > 1 - 6 / math.sqrt(200)


def test_the_uniform_numbers_fill_a_square_evenly():
    bits, out = torch.empty(2, 4, noise.BLOCK, dtype=torch.int32), torch.empty(4, noise.BLOCK)
    noise._uniform(hashed(range(4), 9), 0, bits, out)
    for first, second in ((out[0], out[1]), (out[2, :-1], out[2, 1:]), (out[3, :-256], out[3, 256:])):
        cells, _, _ = np.histogram2d(first.numpy(), second.numpy(), bins=16, range=[[0, 1], [0, 1]])
        expected = len(first) / 256
        assert stats.chi2.sf(((cells - expected) ** 2 / expected).sum(), 255) > 1e-3
    assert stats.kstest((out[0].double().numpy() * 1024) % 1, "uniform").pvalue > 1e-3


def test_numbers_of_different_keys_know_nothing_of_each_other():
    # Seen through their highest bits and through low ones; keys may also share one half.
    key, numbers = 0x112210F47DE98115, []
    for other in (0, 0x5851F42D4C957F2D, 0x4C957F2D, 0x5851F42D << 32):
        bits, out = torch.empty(2, 1, noise.BLOCK, dtype=torch.int32), torch.empty(1, noise.BLOCK, dtype=torch.float64)
        noise._uniform(np.array([key ^ other], dtype=np.uint64), 0, bits, out)
        numbers.append(out[0].numpy())
    for scale in (1.0, 2.0**20):
        cells, _, _ = np.histogram2d(*(each * scale % 1 for each in numbers[:2]), bins=16, range=[[0, 1], [0, 1]])
        assert stats.chi2.sf(((cells - noise.BLOCK / 256) ** 2 / (noise.BLOCK / 256)).sum(), 255) > 1e-3
    for other in numbers[1:]:
        assert (numbers[0] != other).mean() > 0.999


@pytest.mark.parametrize("shape", [(16, 24, 24), (16, 300, 300), (3, 70_000), (2, 5, 4, 3), (4, 1)])
def test_a_batch_is_its_images_one_by_one(shape):
    means = 8 * torch.rand(shape, generator=torch.Generator().manual_seed(1))
    seeds = [5 * n + 1 for n in range(shape[0])]
    together = poisson(means, seeds, 2, 9)
    assert together.shape == means.shape
    for n, seed in enumerate(seeds):
        assert torch.equal(poisson(means[n : n + 1], [seed], 2, 9)[0], together[n])
    assert torch.equal(together, poisson(means, seeds, 2, 9))


def test_another_seed_stream_or_frame_gives_other_noise():
    means = torch.full((1, 64, 64), 10.0)
    images = [poisson(means, [seed], *stream) for seed, stream in ((1, (2, 3)), (2, (2, 3)), (1, (3, 3)), (1, (2, 4)))]
    for n, image in enumerate(images):
        assert not any(torch.equal(image, other) for other in images[:n])


def test_blocks_of_a_large_image_differ():
    image = poisson(torch.full((1, 2 * noise.BLOCK), 10.0), [1])[0]
    first, second = image[: noise.BLOCK] - 10, image[noise.BLOCK :] - 10
    assert abs((first * second).mean().item() / 10) < 4.5 / math.sqrt(noise.BLOCK)


def test_precision_moves_next_to_nothing():
    means = 40 * torch.rand(1, 256, 256, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    fine, coarse = poisson(means, [4]), poisson(means.float(), [4])
    assert fine.dtype == torch.float64
    assert (fine != coarse).double().mean() < 1e-4
    assert (fine - coarse).abs().max() <= 1.0


def test_no_electrons_are_none_and_means_are_left_alone():
    means = torch.tensor([[0.0] * 50_000 + [3.0] * 50_000])
    counts = poisson(means, [1])
    assert (counts[0, :50_000] == 0).all()
    assert means[0, -1] == 3.0
    assert poisson(torch.zeros(2, 0), [1, 2]).shape == (2, 0)


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
def test_impossible_means_are_refused(wrong):
    with pytest.raises(ValueError, match=r"means: .* must be finite and not negative"):
        poisson(torch.tensor([[1.0, wrong]]), [1])


def test_every_image_needs_a_seed():
    with pytest.raises(ValueError, match="seeds: 1 of them for 2 images"):
        poisson(torch.ones(2, 4), [1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_what_the_processor_draws():
    means = 8 * torch.rand(4, 300, 300, generator=torch.Generator().manual_seed(1))
    here, there = poisson(means, range(4), 3), poisson(means.cuda(), range(4), 3).cpu()
    assert (here != there).double().mean() < 1e-4
