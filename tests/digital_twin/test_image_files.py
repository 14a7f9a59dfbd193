"""Images of every kind that is read: the same numbers and pixel size come back, and files that are none are told."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from digital_twin.image_files import read_image, read_stack

OME = '<OME><Pixels PhysicalSizeX="2" PhysicalSizeXUnit="nm"/></OME>'
COUNTS = np.add.outer(100 * np.arange(20), np.arange(30)).astype(np.uint16)


def npz(path: Path, scale=2.0, units="nm", **more) -> Path:
    axes = [{"scale": scale, "units": units, "size": n} for n in COUNTS.shape]
    np.savez(path, haadf=COUNTS, eds=np.zeros((4, 4, 9), np.uint8), meta=json.dumps({"haadf_axes": axes}), **more)
    return path


def tiff(path: Path, description="", per_unit=None, unit=None, pages=1, dtype=np.uint16) -> Path:
    tags = ImageFileDirectory_v2()
    if description:
        tags[270] = description
    if per_unit is not None:
        tags[282] = tags[283] = per_unit
        tags[296] = unit
    images = [Image.fromarray((COUNTS + n).astype(dtype)) for n in range(pages)]
    images[0].save(path, tiffinfo=tags, save_all=pages > 1, append_images=images[1:])
    return path


def hyperspy(path: Path, scales=(2.0, 2.0), units="nm") -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/HAADF")
        group["data"] = COUNTS
        for n, scale in enumerate(scales):
            group.create_group(f"axis-{n}").attrs.update({"scale": scale, "units": units, "size": COUNTS.shape[n]})
        group["learning"] = np.zeros((5, 5))
    return path


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda p: npz(p / "a.npz"), id="npz"),
        pytest.param(lambda p: npz(p / "a.npz", 2000.0, "pm"), id="npz-pm"),
        pytest.param(lambda p: npz(p / "a.npz", 0.002, "\N{MICRO SIGN}m"), id="npz-um"),
        pytest.param(lambda p: hyperspy(p / "a.hspy"), id="hyperspy"),
        pytest.param(lambda p: tiff(p / "a.tif", "ImageJ=1.54f\nunit=nm\nmin=0\n", 0.5, 1), id="imagej"),
        pytest.param(lambda p: tiff(p / "a.tif", "ImageJ=1.54f\nunit=\\u00B5m\n", 500.0, 1), id="imagej-um"),
        pytest.param(lambda p: tiff(p / "a.tif", OME), id="ome"),
        pytest.param(lambda p: tiff(p / "a.TIFF", "", 5e6, 3), id="per-cm"),
        pytest.param(lambda p: tiff(p / "a.tif", "ImageJ=1.54f\nunit=nm\n", 0.5, 1, dtype=np.float32), id="float"),
    ],
)  # fmt: skip
def test_numbers_and_pixel_size_come_back(tmp_path, make):
    stack = read_stack(make(tmp_path))
    assert stack.counts.shape == (1, 20, 30)
    assert np.array_equal(stack.counts[0], COUNTS)
    assert stack.pixel_nm == pytest.approx(2.0)
    image, pixel_nm = read_image(make(tmp_path))
    assert image == pytest.approx((COUNTS - COUNTS.min()) / np.ptp(COUNTS))
    assert pixel_nm == stack.pixel_nm


def test_the_given_pixel_size_counts(tmp_path):
    np.save(tmp_path / "a.npy", COUNTS)
    assert read_image(tmp_path / "a.npy", 0.3)[1] == 0.3
    assert read_image(npz(tmp_path / "a.npz"), 0.3)[1] == 0.3
    with pytest.raises(
        ValueError, match=r"a\.npy: does not say how large a pixel is: give instrument\.specimen_pixel_"
    ):
        read_image(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="specimen_pixel_nm = -1 must be above 0"):
        read_image(tmp_path / "a.npy", -1.0)


def test_a_printers_resolution_is_not_believed(tmp_path):
    assert read_stack(tiff(tmp_path / "a.tif", "", 72.0, 2)).pixel_nm is None


def test_stacks_come_with_the_numbers_beside_them(tmp_path):
    np.savez(tmp_path / "a.npz", frames=np.stack([COUNTS, COUNTS + 1]), dwell_s=2e-6, pixel_nm=0.5)
    stack = read_stack(tmp_path / "a.npz")
    assert (stack.counts.shape, stack.pixel_nm, stack.facts) == ((2, 20, 30), 0.5, {"dwell_s": 2e-6})
    pages = read_stack(tiff(tmp_path / "a.tif", pages=3))
    assert np.array_equal(pages.counts[:, 0, 0], [0, 1, 2])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/inside"] = np.stack([COUNTS, COUNTS])
        file["deep/inside"].attrs.update({"dwell_s": 3e-6, "pixel_nm": 0.7})
    stack = read_stack(tmp_path / "a.h5")
    assert (stack.counts.shape, stack.pixel_nm, stack.facts) == ((2, 20, 30), 0.7, {"dwell_s": 3e-6})
    with pytest.raises(ValueError, match="holds 2 images, one is needed"):
        read_image(tmp_path / "a.h5")


def written(path: Path, what: object) -> Path:
    path.write_bytes(what) if isinstance(what, bytes) else np.save(path, what, allow_pickle=True)
    return path


def two_images(path: Path) -> Path:
    np.savez(path, a=COUNTS, b=COUNTS)
    return path


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda p: p / "nothing.npz", r"nothing\.npz: cannot be read"),
        (lambda p: written(p / "text.npz", b"text"), r"text\.npz: "),
        (lambda p: written(p / "text.tif", b"text"), r"text\.tif: cannot be read"),
        (lambda p: written(p / "text.h5", b"text"), r"text\.h5: cannot be read"),
        (lambda p: written(p / "text.dm3", b"text"), r"text\.dm3: cannot be read: no image of a known kind \(\.npy"),
        (lambda p: written(p / "o.npy", np.array([None, {}])), r"o\.npy: "),
        (lambda p: written(p / "line.npy", np.arange(5)), r"holds no image of numbers .* but 5 of int64"),
        (lambda p: written(p / "c.npy", COUNTS * 1j), "but 20 x 30 of complex128"),
        (lambda p: written(p / "nan.npy", COUNTS / 0.0 * 0.0), "not finite"),
        (lambda p: written(p / "flat.npy", np.ones((4, 4))), "one image with contrast"),
        (lambda p: two_images(p / "two.npz"), "holds 2 images, one is needed: a, b"),
        (lambda p: hyperspy(p / "a.hspy", (2.0, 3.0)), "pixels of 3 nm by 2 nm, they must be square"),
        (lambda p: hyperspy(p / "a.hspy", (-2.0, -2.0)), "a pixel is -2 nm wide"),
        (lambda p: npz(p / "a.npz", units="parsec"), "does not say how large a pixel is"),
    ],
    ids=[
        "missing",
        "text-npz",
        "text-tif",
        "text-h5",
        "dm3",
        "objects",
        "line",
        "complex",
        "nan",
        "flat",
        "two",
        "oblong",
        "negative",
        "parsec",
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
def test_files_that_are_none_are_told_by_name(tmp_path, make, complaint):
    with pytest.raises(ValueError, match=complaint) as told:
        read_image(make(tmp_path))
    assert str(tmp_path) in str(told.value)


def test_colours_are_told(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "rgb.tif")
    with pytest.raises(ValueError, match=r"rgb\.tif: is an image in colours \(RGB\)"):
        read_stack(tmp_path / "rgb.tif")


def test_both_measured_images_are_read(shared_data):
    image, pixel_nm = read_image(shared_data / "nanoparticles_haadf_eds_200kV.npz")
    assert (image.shape, pixel_nm) == ((64, 64), pytest.approx(0.771, abs=1e-3))
    image, pixel_nm = read_image(shared_data / "haadf_300kV.npz")
    assert (image.shape, pixel_nm) == ((512, 512), pytest.approx(0.01775, abs=1e-4))
