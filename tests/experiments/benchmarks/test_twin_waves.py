"""What the lines about waves make."""

import pytest
import torch

from experiments.benchmarks import twin_waves


@pytest.mark.parametrize("changing", [False, True])
def test_images_are_counted_about_the_dose(changing):
    image = twin_waves.hrtem("cpu", 2, changing)()
    assert image.shape == (2, 256, 256)
    assert image.mean().item() == pytest.approx(twin_waves.DOSE, rel=0.01)
    assert torch.equal(image, image.round())


def test_the_prototype_does_the_same_work():
    assert twin_waves.plain("cpu", 1)().mean().item() == pytest.approx(twin_waves.DOSE, rel=0.01)


def test_patterns_hold_the_electrons_of_a_probe():
    patterns = twin_waves.cbed("cpu", twin_waves.PROBE)()
    assert patterns.shape == (1, twin_waves.PATTERNS, 128, 128)
    assert patterns.sum(dim=(-2, -1)).mean().item() == pytest.approx(1e5, rel=0.01)


@pytest.mark.parametrize(
    "work", [twin_waves.linear, twin_waves.all_orders, twin_waves.atoms, twin_waves.lattice, twin_waves.speckle]
)
def test_other_lines_make_one_image(work):
    image = work("cpu")()
    assert image.shape == (1, 256, 256)
    assert torch.isfinite(image).all()
    assert image.std() > 0.0


def test_every_line_can_be_set_up():
    lines = twin_waves.lines("cpu")
    assert len({line.name for line in lines}) == len(lines)
    assert {line.bar for line in lines if "CBED" in line.name} == {500.0}
