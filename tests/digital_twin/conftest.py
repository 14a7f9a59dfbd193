"""Reference arrays, scan grids and commands that tests of the twin share."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from digital_twin.materials import COPPER, WATER
from digital_twin.specimen import Grid, Still, draw_spheres
from experiments.validation.stored import golden
from hardware_bridge.messages import Acquire, Command, Go, Mode, Optics, Settings


@pytest.fixture(scope="session")
def golden_optics() -> dict[str, np.ndarray]:
    return golden("optics")


@pytest.fixture(scope="session")
def golden_haadf() -> dict[str, np.ndarray]:
    return golden("haadf")


@pytest.fixture(scope="session")
def square_grid() -> Callable[[int, float], Grid]:
    """Make a scan of n x n pixels of a size in nm whose first pixel is at (0, 0)."""

    def make(pixels: int, pixel_nm: float) -> Grid:
        origin = np.zeros((pixels, 2))
        origin[:, 1] = pixel_nm * np.arange(pixels)
        return Grid(origin, np.array([pixel_nm, 0.0]), np.array([0.0, pixel_nm]), pixels)

    return make


class Commands:
    """Makes commands with ids that count up."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(
        self,
        mode: Mode | None = "HAADF",
        go: Go | None = None,
        optics: Optics | None = None,
        fov_nm: float = 128.0,
        pixels: int = 64,
        dwell_s: float = 2e-6,
        frames: int = 1,
    ) -> Command:
        self.made += 1
        acquire = None
        if mode is not None:
            acquire = Acquire(
                mode=mode, fov_nm=fov_nm, pixels_x=pixels, pixels_y=pixels, dwell_s=dwell_s, max_frames=frames
            )
        return Command(id=f"t{self.made}", go=go or Go(), set=Settings(optics=optics or Optics()), acquire=acquire)


@pytest.fixture
def command() -> Commands:
    return Commands()


class Balls(Still):
    """Copper spheres in 100 nm of water, one world; nothing changes."""

    extent_nm = 400.0
    materials = (COPPER, WATER)
    device = torch.device("cpu")

    def __init__(self, centres_nm: list[tuple[float, float]], radius_nm: float, slope: float = 0.0) -> None:
        self.centres_nm = torch.tensor(centres_nm, dtype=torch.float64)
        self.radii_nm = torch.full((len(centres_nm),), radius_nm, dtype=torch.float64)
        self.slope = slope

    def height_nm(self, x_nm: torch.Tensor, y_nm: torch.Tensor, worlds: Sequence[int] | None = None) -> torch.Tensor:
        return self.slope * x_nm

    def project(self, grids: Sequence[Grid]) -> torch.Tensor:
        copper = draw_spheres(grids, torch.zeros(len(self.radii_nm), dtype=torch.long), self.centres_nm, self.radii_nm)
        return torch.stack([copper, 100.0 - copper], dim=1)


@pytest.fixture(scope="session")
def make_balls() -> type[Balls]:
    return Balls
