"""X-ray spectra against closed forms."""

import math

import numpy as np
import pytest
import torch

from digital_twin import materials
from digital_twin.materials import COPPER, MNO2, NITRIDE, WATER, ZIRCONIA, Material
from digital_twin.xray_lines import lines
from digital_twin.xrays import XrayDetector, XraySpectrometer, k_factor

DETECTOR = XrayDetector()
MATERIALS = (COPPER, ZIRCONIA, WATER, NITRIDE)


@pytest.fixture(scope="module")
def spectrometer():
    return XraySpectrometer(DETECTOR, MATERIALS, 200.0)


def line_counts(spectrometer: XraySpectrometer, thickness_nm: list[float]) -> dict[tuple[int, str], float]:
    counts = spectrometer.line_counts(torch.tensor(thickness_nm, dtype=torch.float64)).tolist()
    return {(line.element, line.name): value for line, value in zip(spectrometer.lines, counts, strict=True)}


def test_vacuum_is_dark(spectrometer):
    assert (spectrometer.expected(torch.zeros(2, 4, dtype=torch.float64)) == 0).all()


def test_a_thin_line_counts_atoms_times_emission_times_what_the_detector_takes(spectrometer):
    (first,) = (line for line in lines(29, 200.0) if line.name == "Ka1")
    seen = float(DETECTOR.efficiency(np.array([first.energy_eV]))[0]) * 0.7 / (4 * math.pi)
    counts = line_counts(spectrometer, [2.0, 0.0, 0.0, 0.0])
    assert counts[29, "Ka1"] == pytest.approx(2.0 * 84.9 * first.emission_nm2 * seen, rel=1e-3)


def test_each_element_shines_once_and_only_where_it_is(spectrometer):
    assert len({(line.element, line.name) for line in spectrometer.lines}) == len(spectrometer.lines)
    counts = line_counts(spectrometer, [0.0, 0.0, 100.0, 0.0])
    assert {z for (z, _), value in counts.items() if value > 0} == {8}


def test_lines_lie_where_they_belong_and_hold_their_counts(spectrometer):
    thickness = torch.tensor([20.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    spectrum, axis = spectrometer.expected(thickness).numpy(), spectrometer.axis_eV
    peak = np.abs(axis - 8040.0) < 250.0
    assert axis[peak][spectrum[peak].argmax()] == pytest.approx(8040.0, abs=10.0)
    beside = np.interp(axis[peak], [7600.0, 8480.0], [spectrum[760], spectrum[848]])
    counts = line_counts(spectrometer, [20.0, 0.0, 0.0, 0.0])
    assert (spectrum[peak] - beside).sum() == pytest.approx(counts[29, "Ka1"], rel=0.01)


def test_cliff_and_lorimer_find_the_composition():
    counts = line_counts(XraySpectrometer(DETECTOR, (MNO2,), 200.0), [1.0])
    manganese, oxygen = (sum(v for (at, name), v in counts.items() if (at, name[0]) == (z, "K")) for z in (25, 8))
    masses = k_factor((25, "K"), (8, "K"), 200.0, DETECTOR) * manganese / oxygen
    assert masses == pytest.approx(54.938 / (2 * 15.999), rel=2e-3)


def test_what_absorbs_takes_from_soft_lines_first(spectrometer):
    alone, covered = (line_counts(spectrometer, [20.0, 0.0, 500.0, nitride]) for nitride in (0.0, 100.0))
    assert covered[8, "Ka1"] < 0.85 * alone[8, "Ka1"]
    assert covered[29, "Ka1"] == pytest.approx(alone[29, "Ka1"], rel=3e-3)


def test_resolution_is_as_stated_at_manganese():
    width = DETECTOR.fwhm_eV(np.array([1000.0, 5895.0, 17000.0]))
    assert width[1] == pytest.approx(130.0)
    assert width[0] < width[1] < width[2]


def test_bremsstrahlung_goes_as_the_square_of_the_atomic_number_and_ends_at_the_beam_energy(spectrometer):
    slow = XraySpectrometer(DETECTOR, MATERIALS, 15.0)
    spectrum = slow.expected(torch.tensor([10.0, 0.0, 0.0, 0.0], dtype=torch.float64)).numpy()
    assert (spectrum[slow.axis_eV > 15000.0] == 0).all()
    assert spectrum[1400] > 0
    copper, water = (
        spectrometer.expected(row).numpy()[1500] for row in 10.0 * torch.eye(4, dtype=torch.float64)[[0, 2]]
    )
    assert copper / water == pytest.approx(84.9 * 29**2 / (33.4 * (8**2 + 2)), rel=0.01)


def test_a_batch_equals_its_spectra_one_by_one(spectrometer):
    thickness = torch.from_numpy(np.random.default_rng(1).uniform(0, 50, (3, 2, 4)))
    batch = spectrometer.expected(thickness)
    assert batch.shape == (3, 2, DETECTOR.energy_channels)
    assert batch[2, 1].numpy() == pytest.approx(spectrometer.expected(thickness[2, 1]).numpy(), rel=1e-12)
    assert torch.isfinite(batch).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [("resolution_eV", 100.0), ("resolution_eV", math.nan), ("solid_angle_sr", 0.0), ("elevation_deg", -5.0)],
)
def test_a_detector_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        XrayDetector(**{field: value})


def test_a_family_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="family M: element 26"):
        k_factor((26, "M"), (26, "K"), 200.0, DETECTOR)


@pytest.mark.parametrize(
    "material", [m for m in vars(materials).values() if isinstance(m, Material)], ids=lambda m: m.name
)
def test_every_material_that_there_is_can_be_seen_and_stays_finite(material):
    spectrometer = XraySpectrometer(DETECTOR, (material,), 200.0)
    counts = spectrometer.expected(torch.tensor([[0.0], [1.0], [1e6]], dtype=torch.float64))
    assert torch.isfinite(counts).all()
    assert (counts >= 0).all()
    assert counts[1].sum() > 0
