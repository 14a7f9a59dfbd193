"""What the lines about images look at, and that both of their sides make the same picture."""

import pytest
import torch

from experiments.benchmarks import twin_images


def test_the_field_holds_the_particles_it_promises():
    cells = twin_images.worlds(2, "cpu")
    assert (cells.world.radius_nm > 0).sum(dim=1).tolist() == [twin_images.PARTICLES] * 2
    matter = cells.project([twin_images.scan(512.0, 64)] * 2)
    assert (matter[:, 0].amax(dim=(1, 2)) > 20.0).all()


@pytest.mark.parametrize("make", [twin_images.fixed, twin_images.changed])
def test_both_sides_count_the_same_electrons(make, monkeypatch):
    monkeypatch.setattr(twin_images, "ELECTRONS", 2e4)
    ours = make(2, 192, "cpu")()
    theirs = twin_images.plain(2, 192, "cpu", make is twin_images.changed)()
    assert ours.shape == theirs.shape == (2, 192, 192)
    # A periodic field lacks what blurs into it from outside.
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), rel=0.03)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    pair = torch.stack([ours[inner].flatten(), theirs[inner].flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.95


def test_frames_follow_one_another_with_other_noise():
    work = twin_images.fixed(1, 64, "cpu")
    first, second = work(), work()
    assert not torch.equal(first, second)
    assert first.mean().item() == pytest.approx(second.mean().item(), rel=0.05)


def test_noise_alone_has_the_mean_that_its_line_names():
    for side in (twin_images.noise, twin_images.plain_noise):
        assert side(10.0, "cpu")().mean().item() == pytest.approx(10.0, rel=0.03)


def test_what_is_asked_belongs_to_lines_that_there_are():
    lines = twin_images.lines("cpu")
    asked = [line for line in lines if line.bar is not None]
    assert len(asked) == len(twin_images.FIXED_BARS) + len(twin_images.CHANGED_BARS)
