"""Tiles over the specimen, in the order of a serpentine."""

from __future__ import annotations

from hardware_bridge.geometry import Point


def tiles(extent_nm: float, n: int, fov_nm: float, share: float = 1.0) -> list[Point]:
    """Centres of n x n fields over the middle ``share`` of the extent, in serpentine order, none over its edge."""
    reach_nm = (extent_nm - fov_nm) / 2
    along = [((i + 0.5) / n - 0.5) * extent_nm * share for i in range(n)]
    along = [min(max(a, -reach_nm), reach_nm) for a in along]
    return [(x, y) for row, y in enumerate(along) for x in (along if row % 2 == 0 else along[::-1])]


def nearest(points: list[Point], to: Point) -> Point:
    """The one of the points that is closest."""
    return min(points, key=lambda p: (p[0] - to[0]) ** 2 + (p[1] - to[1]) ** 2)
