"""The source's width from a ball seen through a lens: images made by convolution in two dimensions, more finely."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft

from agent.calibrate.twin.evidence import Frame, of_frames
from agent.calibrate.twin.source import parameter, series
from digital_twin.optics import Aberrations, Column, probe_intensity
from hardware_bridge.messages import Optics

PIXEL_NM, PIXELS, FINER = 0.25, 128, 3


def image(fwhm_nm, C10_nm, square=False):
    """Electrons of a ball of 5 nm radius on a film, through the probe of a column with such a source, (H, W)."""
    n, fine_nm = PIXELS * FINER, PIXEL_NM / FINER
    y, x = (np.indices((n, n)) - n / 2) * fine_nm
    thick = 2.0 * np.sqrt(np.maximum(25.0 - x**2 - y**2, 0.0))
    if square:
        thick = 10.0 * ((np.abs(x) < 8.0) & (np.abs(y) < 3.0))
    probe = probe_intensity(n, fine_nm, Aberrations(C10_nm=C10_nm, C30_um=1200.0), Column(200.0, 10.0, fwhm_nm))
    seen = fft.irfft2(fft.rfft2(thick) * fft.rfft2(probe), s=(n, n))
    return 60.0 + 25.0 * seen.reshape(PIXELS, FINER, PIXELS, FINER).mean(axis=(1, 3))


def recorded(capabilities, fwhm_nm, seed=0, **shape):
    random = np.random.default_rng(seed)
    frames = []
    for C10_nm in (-200.0, -160.0, -120.0, -80.0, -40.0, 0.0, 40.0):
        counts = random.poisson(image(fwhm_nm, C10_nm, **shape)).astype(float)
        # The instrument reads back a C10 that is 30 nm from what the specimen has.
        optics = Optics(C10_nm=C10_nm + 30.0, C30_um=1200.0)
        frames.append(Frame(counts, 65535.0, True, pixel_nm=PIXEL_NM, optics=optics))
    return of_frames(frames, capabilities)


def told(evidence):
    return parameter(evidence, [frame.in_electrons(1.0, 0.0, 0.0) for frame in series(evidence)])


def test_hidden_sources_come_back_within_their_errors(capabilities):
    for fwhm_nm in (0.4, 0.9):
        found = told(recorded(capabilities, fwhm_nm))
        assert abs(found.z(fwhm_nm)) < 3.0
        assert found.sd < 0.15 * fwhm_nm


def test_no_source_is_invented_where_the_lens_blurs_alone(capabilities):
    found = told(recorded(capabilities, 0.0))
    assert not found.is_identifiable
    assert "it is below" in found.note


def test_a_body_that_is_no_ball_is_refused(capabilities):
    assert "no round particle" in told(recorded(capabilities, 0.5, square=True)).note


def test_what_is_missing_is_told(capabilities):
    evidence = recorded(capabilities, 0.5)
    assert "not known of files" in told(replace(evidence, column=None)).note
    assert "no 6 images of one place" in told(replace(evidence, images=evidence.images[:4])).note
    coarse = tuple(replace(frame, pixel_nm=0.8) for frame in evidence.images)
    assert series(replace(evidence, images=coarse)) == ()
    empty = tuple(replace(frame, counts=frame.counts * 0.0 + 60.0) for frame in evidence.images)
    assert "no round particle" in told(replace(evidence, images=empty)).note


def test_the_shortest_series_that_is_taken(capabilities):
    evidence = recorded(capabilities, 0.5)
    assert len(series(replace(evidence, images=evidence.images[:6]))) == 6
    assert series(replace(evidence, images=(evidence.images[0],) * 8)) == ()
    assert pytest.approx(6) == len(series(replace(evidence, images=evidence.images[1:])))
