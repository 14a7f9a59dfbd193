"""The optics against abTEM (golden files of experiments/validation) and closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import j0, j1

from digital_twin import optics
from digital_twin.optics import (
    Aberrations,
    Column,
    chi_rad,
    foci,
    probe_intensity,
    spread_loss,
    strehl,
    summed,
    wavelength_nm,
)

# The aberrations that experiments/validation/references/optics.py used, in the twin's units.
ALL = Aberrations(
    C10_nm=-60.0, C12_nm=15.0, phi12_rad=0.4, C21_nm=400.0, phi21_rad=1.1, C23_nm=300.0, phi23_rad=-0.5, C30_um=1200.0
)
COLUMN = Column(beam_energy_keV=200.0, semi_angle_mrad=10.0)
COLUMN_WITH_SOURCE = Column(200.0, 10.0, 0.2)


def test_wavelength_and_interaction_agree_with_abtem(golden_optics):
    energies = golden_optics["energy_eV"] / 1e3
    wavelengths = [10 * optics.wavelength_nm(e) for e in energies]
    assert wavelengths == pytest.approx(golden_optics["wavelength_A"], rel=1e-7)
    interactions = [optics.interaction_rad_per_V_A(e) for e in energies]
    assert interactions == pytest.approx(golden_optics["interaction_rad_per_V_A"], rel=1e-7)


def test_transfer_with_every_aberration_agrees_with_abtem(golden_optics):
    alpha, phi = golden_optics["transfer_alpha_rad"], golden_optics["transfer_phi_rad"]
    ours = optics.transfer(alpha * np.cos(phi), alpha * np.sin(phi), ALL, Column(200.0, 40.0))
    assert np.abs(ours - golden_optics["transfer"]).max() < 1e-4


def test_aperture_cuts_the_transfer():
    x = np.array([0.0, 9.9e-3, 10.1e-3])
    assert np.abs(optics.transfer(x, 0 * x, ALL, COLUMN)) == pytest.approx([1.0, 1.0, 0.0])


def test_zeros_of_phase_contrast_are_where_the_phase_is_a_multiple_of_pi():
    # Underfocus of 60 nm and C30 of 1.2 mm at 200 kV; chi = pi (u - ...) solved by hand, as abTEM's CTF also has them.
    zeros_per_A = np.array([0.39874, 0.45764, 0.49516, 0.52390])
    aberrations = Aberrations(C10_nm=-60.0, C30_um=1200.0)
    grid = np.linspace(0.30, 0.55, 250_001)
    angle = grid * 10 * optics.wavelength_nm(200.0)
    phase = optics.chi_rad(angle, 0 * angle, aberrations, 200.0)
    crossings = grid[:-1][np.diff(np.sign(np.sin(phase))) != 0]
    for zero in zeros_per_A:
        assert np.abs(crossings - zero).min() < 1e-4


def test_envelopes_agree_with_abtem(golden_optics):
    alpha = golden_optics["envelope_alpha_rad"]
    round_ones = Aberrations(C10_nm=-60.0, C30_um=1200.0)
    ours = optics.temporal_envelope(alpha, 4.0, 200.0) * optics.spatial_envelope(alpha, round_ones, 0.2, 200.0)
    assert golden_optics["envelope"].min() < 0.5
    assert np.abs(ours - golden_optics["envelope"]).max() < 1e-6


@pytest.mark.parametrize("name", ["focus", "aberrated"])
def test_probe_agrees_with_abtem(golden_optics, name):
    aberrations = Aberrations() if name == "focus" else Aberrations(**{**vars(ALL), "C10_nm": -150.0})
    ours, theirs = optics.probe_intensity(128, 0.05, aberrations, COLUMN), golden_optics[f"probe_{name}"]
    assert np.abs(ours - theirs).max() < 1e-4 * theirs.max()


def test_focal_spread_has_the_relativistic_factor():
    # Cc dE/E is 1.2 mm x 0.5 eV / 300 keV = 2 nm; times (1 + E/mc2) / (1 + E/2mc2) = 1.227 at 300 kV.
    assert optics.focal_spread_nm(1.2, 0.5, 300.0) == pytest.approx(2.0 * 1.227, rel=1e-3)


def test_intensity_on_the_axis_halves_at_half_the_depth_of_focus():
    half = 0.5 * optics.depth_of_focus_nm(200.0, 10.0)
    sharp, soft = (optics.probe_intensity(256, 0.05, Aberrations(C10_nm=c), COLUMN)[0, 0] for c in (0.0, half))
    assert soft / sharp == pytest.approx(0.5, abs=0.01)


def test_probe_without_aberrations_holds_what_airy_says():
    # Encircled energy of the Airy pattern: 1 - J0(v)^2 - J1(v)^2, v = 2 pi alpha r / lambda (Born and Wolf 8.5).
    radius = optics.probe_radius_nm(Aberrations(), COLUMN, share=0.5)
    v = 2 * math.pi * 1e-2 * radius / optics.wavelength_nm(200.0)
    assert 1 - j0(v) ** 2 - j1(v) ** 2 == pytest.approx(0.5, abs=0.03)


def test_strong_defocus_gives_the_disc_of_geometry():
    # Rays fill a disc of radius alpha |C10| evenly: half of them within 1/sqrt(2) of it.
    radius = optics.probe_radius_nm(Aberrations(C10_nm=1000.0), COLUMN)
    assert radius == pytest.approx(1e-2 * 1000.0 / math.sqrt(2), rel=0.02)


def test_source_widens_by_its_own_variance():
    sharp = Column(200.0, 10.0)
    wide = Column(200.0, 10.0, source_fwhm_nm=0.5)

    def variance(column):
        profile = np.fft.fftshift(optics.probe_intensity(512, 0.05, Aberrations(), column).sum(axis=0))
        x = 0.05 * (np.arange(512) - 256)
        # A diffraction pattern has no finite variance: compare on a fixed window, where tails are nearly the same.
        inside = np.abs(x) < 2.0
        return (profile * x**2)[inside].sum() / profile[inside].sum()

    assert variance(wide) - variance(sharp) == pytest.approx((0.5 / 2.3548) ** 2, rel=0.1)


def test_a_batch_of_probes_is_the_probes_one_by_one():
    batch = optics.probe_kernel(0.5, Aberrations(C10_nm=np.array([-80.0, 80.0]), C12_nm=3.0), COLUMN)
    assert np.abs(batch[0] - batch[1]).max() > 1e-3
    for kernel, C10_nm in zip(batch, (-80.0, 80.0), strict=True):
        alone = optics.probe_kernel(0.5, Aberrations(C10_nm=C10_nm, C12_nm=3.0), COLUMN)
        assert np.array_equal(kernel, alone)


@pytest.mark.parametrize("pixel_nm", [0.05, 0.3, 1.05, 2.0, 4.0])
@pytest.mark.parametrize("C10_nm", [0.0, -300.0])
def test_kernel_sums_to_one_on_any_pixel(pixel_nm, C10_nm):
    kernel = optics.probe_kernel(pixel_nm, Aberrations(C10_nm=C10_nm), COLUMN)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1.0)


def test_kernel_on_coarse_pixels_blurs_a_smooth_object_like_the_fine_one():
    # A cosine of 8 nm has the same contrast through both: that of the transfer of intensity at its frequency.
    aberrations, period = Aberrations(C10_nm=-200.0), 8.0
    contrasts = []
    for pixel_nm in (0.1, 1.0):
        kernel = optics.probe_kernel(pixel_nm, aberrations, COLUMN).sum(axis=0)
        x = pixel_nm * (np.arange(kernel.size) - kernel.size // 2)
        contrasts.append(float(kernel @ np.cos(2 * np.pi * x / period)))
    assert 0.1 < contrasts[0] < 0.9
    assert contrasts[0] == pytest.approx(contrasts[1], abs=0.02)


def test_coma_moves_the_probe_to_one_side():
    intensity = np.fft.fftshift(optics.probe_intensity(256, 0.05, Aberrations(C21_nm=3000.0), COLUMN))
    axis = np.arange(256) - 128
    assert abs(float(intensity.sum(axis=0) @ axis)) > 1.0
    assert float(intensity.sum(axis=1) @ axis) == pytest.approx(0.0, abs=0.02)


def test_aberrations_come_from_what_an_instrument_reads_back():
    from hardware_bridge.messages import Optics

    assert optics.aberrations_of(Optics(C10_nm=5.0, C30_um=2.0)) == Aberrations(C10_nm=5.0, C30_um=2.0)


def test_strehl_of_a_defocused_probe_is_a_sinc_squared():
    # Born and Wolf 8.8: on the axis the intensity is [sin(u/4) / (u/4)]^2, u/4 = pi C10 alpha^2 / (2 lambda).
    column = Column(300.0, 20.0)
    for C10_nm in (0.0, 2.4, 5.0, 12.0):
        u = math.pi * C10_nm * 4e-4 / (2 * wavelength_nm(300.0))
        assert strehl(Aberrations(C10_nm=C10_nm), column) == pytest.approx(np.sinc(u / math.pi) ** 2, abs=2e-3)
    assert strehl(Aberrations(C10_nm=2.4), column) == pytest.approx(0.82, abs=0.01)


def test_aberrations_add_as_their_phases_do():
    g = np.random.default_rng(3)
    one, other = (
        Aberrations(*g.uniform(-1, 1, 8) * [50.0, 30.0, 3.0, 900.0, 3.0, 300.0, 3.0, 100.0]) for _ in range(2)
    )
    x, y = g.uniform(-0.02, 0.02, (2, 50))
    phases = chi_rad(x, y, one, 200.0) + chi_rad(x, y, other, 200.0)
    assert chi_rad(x, y, summed(one, other), 200.0) == pytest.approx(phases)


@pytest.mark.parametrize("focal_spread_nm", [3.0, 8.0, 15.0, 40.0])
def test_a_spread_of_focus_takes_off_the_peak_what_its_closed_form_says(focal_spread_nm):
    still, spread = Column(80.0, 30.0), Column(80.0, 30.0, 0.0, focal_spread_nm)
    sharp, soft = (probe_intensity(256, 0.03, Aberrations(), column)[0, 0] for column in (still, spread))
    # Summed numerically over the spread: the intensity on the axis is sinc^2(C10 alpha^2 / 2 lambda).
    C10_nm = np.linspace(-5 * focal_spread_nm, 5 * focal_spread_nm, 20_001)
    weight = np.exp(-((C10_nm / focal_spread_nm) ** 2))
    mean = weight @ np.sinc(C10_nm * 30e-3**2 / (2 * wavelength_nm(80.0))) ** 2 / weight.sum()
    assert soft / sharp == pytest.approx(mean, rel=0.005)
    assert 1 - spread_loss(spread) == pytest.approx(mean, rel=1e-6)
    assert spread_loss(still) == 0.0


@pytest.mark.parametrize(("focal_spread_nm", "count"), [(19.0, 3), (20.0, 7), (200.0, 21)])
def test_foci_have_the_variance_of_their_spread(focal_spread_nm, count):
    C10_nm, weights = foci(Column(200.0, 10.0, 0.0, focal_spread_nm))
    assert len(weights) == count
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ C10_nm == pytest.approx(0.0, abs=1e-12)
    # Many foci end at two half-widths, beyond which 0.5 % of the Gaussian lie, and a little of its variance.
    assert weights @ C10_nm**2 == pytest.approx(focal_spread_nm**2 / 2, rel=0.03)
    assert [len(each) for each in foci(Column(200.0, 10.0))] == [1, 1]


@pytest.mark.parametrize("focal_spread_nm", [4.0, 40.0])
def test_a_spread_probe_is_the_mean_of_sharp_ones(focal_spread_nm):
    aberrations, spread = replace(ALL, C30_um=100.0), Column(200.0, 10.0, 0.2, focal_spread_nm)
    C10_nm = focal_spread_nm * np.linspace(-4.0, 4.0, 161)
    weight = np.exp(-((C10_nm / focal_spread_nm) ** 2))
    sharp = probe_intensity(128, 0.06, replace(aberrations, C10_nm=aberrations.C10_nm + C10_nm), COLUMN_WITH_SOURCE)
    mean = np.tensordot(weight / weight.sum(), sharp, axes=1)
    assert probe_intensity(128, 0.06, aberrations, spread) == pytest.approx(mean, abs=0.01 * mean.max())
