"""Scans lie where the geometry of the bridge says, and every electron is on the dose map once."""

import math

import numpy as np
import pytest

from digital_twin.exposure import DoseMap, Scan
from hardware_bridge.geometry import pixel_to_specimen
from hardware_bridge.messages import Acquire

ACQUIRE = Acquire(mode="HAADF", fov_nm=120.0, pixels_x=40, pixels_y=20, dwell_s=1e-6)


@pytest.mark.parametrize("rotation_deg", [0.0, 25.0, -90.0])
def test_pixels_lie_where_the_bridge_says(rotation_deg):
    centre = (100.0, -50.0)
    scan = Scan.over(ACQUIRE, np.array(centre), rotation_deg, np.zeros((20, 2)))
    for row, column in ((0, 0), (7, 31), (19, 39)):
        ours = scan.grid.origin_nm[row] + column * scan.grid.across_nm
        assert ours == pytest.approx(pixel_to_specimen(centre, ACQUIRE, rotation_deg, (row, column)))
    assert scan.grid.corners().mean(axis=0) == pytest.approx(centre)


def test_a_specimen_that_moves_is_scanned_elsewhere():
    moved = np.linspace([0.0, 0.0], [5.0, 0.0], 20)
    scan = Scan.over(ACQUIRE, np.zeros(2), 0.0, moved)
    still = Scan.over(ACQUIRE, np.zeros(2), 0.0, np.zeros((20, 2)))
    assert scan.grid.origin_nm - still.grid.origin_nm == pytest.approx(-moved)


def test_the_boxes_of_all_rows_cover_the_field():
    scan = Scan.over(ACQUIRE, np.zeros(2), 0.0, np.zeros((20, 2)))
    assert scan.box_nm(0, 20) == pytest.approx((-60.0, 60.0, -30.0, 30.0))
    assert scan.box_nm(10, 10) == pytest.approx((-60.0, 60.0, 0.0, 30.0))


def test_every_electron_is_on_the_map_or_outside():
    dose = DoseMap(1024.0)
    for box in ((-40.0, 30.0, 10.0, 90.0), (0.0, 1.0, 0.0, 1.0), (700.0, 900.0, 0.0, 50.0), (2e3, 3e3, 2e3, 3e3)):
        dose.add(box, 1e6)
    assert dose.electrons.sum() + dose.outside == pytest.approx(4e6)
    assert dose.outside == pytest.approx(1e6 + 1e6 * (900 - 768) / 200)


def test_fluence_of_an_even_exposure():
    dose = DoseMap(512.0)
    cell = dose.cell_nm
    dose.add((-4 * cell, 4 * cell, -4 * cell, 4 * cell), 1e8)
    middle = math.floor(-dose.origin_nm / cell)
    assert dose.fluence_e_per_A2()[middle, middle] == pytest.approx(1e8 / (80 * cell) ** 2)
    assert dose.fluence_e_per_A2()[middle, middle + 6] == 0.0
