"""Where on the specimen the instrument looks: the affine maps, defined once.

The specimen frame is in nm and right-handed. A pixel (row, column) of an H x W field of width fov_nm lies at
centre + R(scan_rotation) @ ((column + 0.5 - W/2) p, (row + 0.5 - H/2) p) with p = fov_nm / W.
"""

from __future__ import annotations

import math

from hardware_bridge.messages import Acquire, Capabilities, Go

Point = tuple[float, float]


def field_centre_nm(go: Go, capabilities: Capabilities) -> Point:
    """Specimen-frame point at the centre of the field for a filled-in position (x, y), in nm."""
    a, b, c, d = capabilities.stage_to_specimen
    x = a * (go.stage_x_nm or 0.0) + b * (go.stage_y_nm or 0.0)
    y = c * (go.stage_x_nm or 0.0) + d * (go.stage_y_nm or 0.0)
    a, b, c, d = capabilities.beam_shift_to_specimen
    x += a * (go.beam_shift_x_nm or 0.0) + b * (go.beam_shift_y_nm or 0.0)
    y += c * (go.beam_shift_x_nm or 0.0) + d * (go.beam_shift_y_nm or 0.0)
    return x, y


def stage_for(point_nm: Point, capabilities: Capabilities) -> Point:
    """Stage position (x, y) in nm that brings a specimen-frame point onto the axis with no beam shift."""
    a, b, c, d = capabilities.stage_to_specimen
    determinant = a * d - b * c
    x, y = point_nm
    return (d * x - b * y) / determinant, (a * y - c * x) / determinant


def beam_shift_for(offset_nm: Point, capabilities: Capabilities) -> Point:
    """Beam shift (x, y) in nm that moves the field by an offset in the specimen frame."""
    a, b, c, d = capabilities.beam_shift_to_specimen
    determinant = a * d - b * c
    x, y = offset_nm
    return (d * x - b * y) / determinant, (a * y - c * x) / determinant


def pixel_nm(acquire: Acquire) -> float:
    """Edge of a (square) pixel in nm."""
    return acquire.fov_nm / acquire.pixels_x


def pixel_to_specimen(centre_nm: Point, acquire: Acquire, rotation_deg: float, pixel: Point) -> Point:
    """Specimen-frame point of a pixel given as (row, column); fractional values are allowed."""
    p = pixel_nm(acquire)
    row, column = pixel
    x = (column + 0.5 - acquire.pixels_x / 2) * p
    y = (row + 0.5 - acquire.pixels_y / 2) * p
    angle = math.radians(rotation_deg)
    return (
        centre_nm[0] + math.cos(angle) * x - math.sin(angle) * y,
        centre_nm[1] + math.sin(angle) * x + math.cos(angle) * y,
    )


def merged(before: Go, asked: Go) -> Go:
    """The position after a move: what was asked for, and what was there where nothing was asked."""
    fields = {
        name: getattr(asked, name) if getattr(asked, name) is not None else getattr(before, name)
        for name in Go.__struct_fields__
    }
    return Go(**fields)
