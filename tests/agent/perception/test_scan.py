"""Images put in order: incident electrons, missing rows, bins that keep counts and centre."""

from dataclasses import replace

import numpy as np
import pytest

from agent.perception.scan import incident_per_pixel, scan_of, to_image, to_specimen
from hardware_bridge.geometry import pixel_to_specimen


@pytest.fixture
def observation(bench):
    return bench.observe(np.array([[10.0, -5.0, 8.0]]), np.random.default_rng(0), pixels=64, fov_nm=128.0)


def test_incident_follows_the_measured_electrons(bench, observation) -> None:
    assert incident_per_pixel(observation, bench.capabilities) == pytest.approx(1000.0, rel=1e-6)
    more = replace(observation, electrons=1.05 * observation.electrons)
    assert incident_per_pixel(more, bench.capabilities) == pytest.approx(1050.0, rel=1e-6)
    # A frame that was cut short tells nothing of the current.
    assert incident_per_pixel(replace(more, aborted=True), bench.capabilities) == pytest.approx(1000.0, rel=1e-6)


def test_missing_rows_hold_the_median_of_the_others(bench, observation) -> None:
    rows = observation.row_seen.copy()
    rows[10:20] = False
    scan = scan_of(replace(observation, row_seen=rows), bench.capabilities, 1.0)
    assert not scan.row_seen[10:20].any()
    assert (scan.counts[10:20] == np.median(observation.data[rows])).all()


def test_counts_per_electron_divides(bench, observation) -> None:
    scan = scan_of(observation, bench.capabilities, 2.0)
    assert scan.counts.sum() == pytest.approx(observation.data.sum() / 2.0)


@pytest.mark.parametrize("shape", [(64,), (8, 8), (64, 64, 3)])
def test_what_is_no_image_gives_none(bench, observation, shape) -> None:
    bad = replace(observation, data=np.ones(shape, dtype=np.uint16), row_seen=np.ones(shape[0], dtype=bool))
    assert scan_of(bad, bench.capabilities, 1.0) is None


@pytest.mark.parametrize("pixel_nm", [4.0, 3.1, 5.0])
def test_bins_keep_counts_and_centre(bench, pixel_nm) -> None:
    observation = bench.observe(np.array([[6.0, -4.0, 9.0]]), np.random.default_rng(1), pixels=64, fov_nm=128.0)
    scan = scan_of(observation, bench.capabilities, 1.0)
    coarse = scan.binned(pixel_nm)
    kept = round(coarse.counts.shape[0] * pixel_nm / 2.0 - 0.499)
    assert coarse.counts.sum() == pytest.approx(scan.counts.sum() * (coarse.size_nm[0] / 128.0) ** 2, rel=0.02)
    assert kept <= 64
    excess = coarse.counts - np.median(coarse.counts)
    rows, columns = np.mgrid[: excess.shape[0], : excess.shape[1]]
    near = excess > 0.3 * excess.max()
    x, y = to_specimen(
        coarse,
        (0.0, 0.0),
        np.array([(rows * excess)[near].sum() / excess[near].sum()]),
        np.array([(columns * excess)[near].sum() / excess[near].sum()]),
    )
    assert (x[0], y[0]) == pytest.approx((6.0, -4.0), abs=0.8)


def test_finer_pixels_are_not_made(bench, observation) -> None:
    scan = scan_of(observation, bench.capabilities, 1.0)
    assert scan.binned(1.0) is scan


def test_pixels_lie_where_the_bridge_says(bench, observation) -> None:
    scan = replace(scan_of(observation, bench.capabilities, 1.0), rotation_deg=25.0)
    x, y = to_specimen(scan, (100.0, -50.0), np.array([3.5]), np.array([60.0]))
    expected = pixel_to_specimen((100.0, -50.0), observation.command.acquire, 25.0, (3.5, 60.0))
    assert (x[0], y[0]) == pytest.approx(expected)


def test_vectors_turn_back_and_forth(bench, observation) -> None:
    scan = replace(scan_of(observation, bench.capabilities, 1.0), rotation_deg=-40.0)
    rows, columns = to_image(scan, (12.0, 7.0))
    x, y = to_specimen(scan, (0.0, 0.0), np.array([31.5 + rows]), np.array([31.5 + columns]))
    assert (x[0], y[0]) == pytest.approx((12.0, 7.0))
