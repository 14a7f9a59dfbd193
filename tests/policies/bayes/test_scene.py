"""Patches lie where spectra are taken, and images that are none are told."""

import numpy as np
import pytest

from policies.bayes.scene import Scene, _patches


@pytest.mark.parametrize(("edge", "patch"), [(8, 1), (8, 3), (32, 4), (32, 5), (32, 8), (27, 5)])
def test_a_patch_has_its_place_in_its_middle(edge: int, patch: int) -> None:
    # Of a ramp the mean of a patch is the value in its middle.
    y, x = np.indices((edge, edge)).astype(np.float64)
    middle = (np.arange(8) + 0.5) * edge / 8 - 0.5
    inside = (middle > patch / 2) & (middle < edge - 1 - patch / 2)
    across, down = (_patches(ramp, (8, 8), patch).mean(axis=1).reshape(8, 8) for ramp in (x, y))
    assert np.abs(across[4, inside] - middle[inside]).max() <= 0.5
    assert np.abs(down[inside, 4] - middle[inside]).max() <= 0.5


def test_beyond_the_edge_an_image_goes_on_as_in_a_mirror() -> None:
    image = np.random.default_rng(3).normal(size=(8, 8))
    corner = _patches(image, (8, 8), 5)[0].reshape(5, 5)
    mirrored = [1, 0, 0, 1, 2]
    assert np.array_equal(corner, image[np.ix_(mirrored, mirrored)])


def test_looks_are_principal_components_of_patches() -> None:
    random = np.random.default_rng(1)
    image = random.normal(size=(40, 40))
    scene = Scene.of(image, (10, 10), 3, 9)
    patches = _patches(image, (10, 10), 3)
    centred = patches - patches.mean(axis=0)
    # Distances of patches are kept by all components, and the first spreads most.
    scale = np.linalg.svd(centred, compute_uv=False)[0] / 10.0
    apart = np.linalg.norm(scene.looks[3] - scene.looks[77])
    assert apart * scale == pytest.approx(np.linalg.norm(patches[3] - patches[77]))
    spreads = scene.looks.std(axis=0)
    assert spreads[0] == pytest.approx(1.0)
    assert (np.diff(spreads) <= 1e-12).all()


def test_places_run_over_rows() -> None:
    scene = Scene.of(np.random.default_rng(2).normal(size=(6, 12)), (3, 6), 2, 4)
    assert scene.places[0].tolist() == [0.0, 0.0]
    assert scene.places[1] == pytest.approx([1 / 6, 0.0])
    assert scene.places[-1] == pytest.approx([5 / 6, 2 / 6])


def test_a_flat_image_looks_the_same_everywhere() -> None:
    assert not Scene.of(np.full((16, 16), 7.0), (4, 4), 3, 5).looks.any()


@pytest.mark.parametrize(
    ("image", "grid", "patch", "told"),
    [
        (np.full((16, 16), np.nan), (4, 4), 3, "image: .* all must be finite"),
        (np.zeros((16, 16, 2)), (4, 4), 3, "image: .* all must be finite"),
        (np.zeros((16, 16)), (2, 2), 3, "grid: 2 x 2 places, at least 8"),
        (np.zeros((16, 16)), (4, 32), 3, "image: 16 x 16 pixels, at least 4 x 32 places"),
        (np.zeros((16, 16)), (4, 4), 17, "patch_px = 17: 1 to 16"),
        (np.zeros((16, 16)), (4, 4), 0, "patch_px = 0: 1 to 16"),
    ],
)
def test_what_is_no_image_of_the_grid_is_told(image: np.ndarray, grid: tuple[int, int], patch: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Scene.of(image, grid, patch, 4)
