"""Layers on worlds: an image's structure on each of them, and nothing of the world changed by it."""

import numpy as np
import pytest
import torch

from digital_twin.contamination import Contaminated, Contamination
from digital_twin.layered import RELIEF, Layered, Upon
from digital_twin.materials import CARBON
from digital_twin.specimen import Grid, Specimen
from digital_twin.worlds import WORLDS


def field(extent_nm: float, pixels: int = 32, part: float = 0.5) -> Grid:
    """A square field in the middle, of a part of the extent."""
    step = part * extent_nm / pixels
    places = step * (np.arange(pixels) + 0.5 - pixels / 2)
    origin = np.stack([np.full(pixels, places[0]), places], axis=-1)
    return Grid(origin, np.array([step, 0.0]), np.array([0.0, step]), pixels)


@pytest.fixture
def image(tmp_path):
    """Write an image as wide as a world that is bright at the upper right (x > 0, y > 0) and at its end dark."""

    def write(extent_nm: float):
        shades = np.zeros((64, 64))
        shades[34:, 34:] = 1.0
        path = tmp_path / "shades.npz"
        np.savez(path, image=shades, pixel_nm=extent_nm / 64)
        return path

    return write


@pytest.mark.parametrize("name", sorted(WORLDS))
def test_any_world_starts_with_the_structure_of_an_image(name, image):
    kind = WORLDS[name]
    plain = kind(3)
    upon = Upon(kind(3), image(plain.extent_nm))
    specimen: Specimen = upon
    grid = field(plain.extent_nm)
    more = specimen.project([grid]) - plain.project([grid])
    assert (more[0, 1:] == 0).all()
    bright, dark = more[0, 0, 20:, 20:], more[0, 0, :12]
    assert torch.allclose(bright, bright.mean())
    assert (dark == 0).all()
    mean_nm = float(plain.project([field(plain.extent_nm, part=1.0)]).sum(dim=1).mean())
    assert float(bright.mean()) == pytest.approx(RELIEF * mean_nm, rel=1e-6)
    volts = specimen.potential_V_nm([grid]) - plain.potential_V_nm([grid])
    assert volts.numpy() == pytest.approx((plain.materials[0].inner_potential_V * more[:, 0]).numpy(), abs=1e-6)


def test_the_truth_is_that_of_the_world_and_time_passes_in_it(image):
    plain, upon = WORLDS["growth"](4), Upon(WORLDS["growth"](4), image(1024.0))
    for world in (plain, upon):
        world.set_holder(WORLDS["growth"].facts.holder)
        world.advance_to(30.0)
        world.expose(0, (-100.0, 100.0, -100.0, 100.0), 1e9)
        world.advance_to(60.0)
    for mine, its in ((upon.fields(), plain.fields()), (upon.globals(), plain.globals())):
        assert all(torch.equal(mine[name], values) for name, values in its.items())
    x = torch.zeros(1, 1, dtype=torch.float64)
    assert torch.equal(upon.height_nm(x, x), plain.height_nm(x, x))


def test_a_bare_layer_is_the_world(image):
    plain, bare = WORLDS["interface"](2), Layered(WORLDS["interface"](2))
    grid = field(plain.extent_nm)
    assert torch.equal(bare.project([grid]), plain.project([grid]))
    assert torch.equal(bare.potential_V_nm([grid]), plain.potential_V_nm([grid]))


def test_carbon_grows_on_an_image_too(image):
    both = Contaminated(Upon(WORLDS["defects"](1), image(WORLDS["defects"].facts.extent_nm)), Contamination(1e-4))
    assert both.materials[-1] is CARBON
    both.expose(0, (-4.0, 4.0, -4.0, 4.0), 1e7)
    both.advance_to(1.0)
    assert float(both.project([field(8.0, part=0.5)])[0, -1].mean()) > 0.0


def test_a_file_without_an_image_is_refused(tmp_path):
    np.save(tmp_path / "flat.npy", np.ones((4, 4)))
    with pytest.raises(ValueError, match=r"flat\.npy"):
        Upon(WORLDS["growth"](1), tmp_path / "flat.npy")
