"""How long perception takes an image, by stage, on what a raster over a growing specimen shows it, and a spectrum.

    python -m experiments.benchmarks.perception --images 60 --repeats 5

One table of milliseconds for each number of pixels along an edge. Every image is timed several times over and the least
counts, so that what else runs on the machine does not. `whole` is the analyst in all, `register` placing by earlier
images, `find` particles found and fitted, `size` their radii from the fit, `track` linking them, `judge` telling
particles from debris. The spectrum has 1,200 channels, its zero loss, thickness and edges are fitted. The report is
made of all that the images of one size showed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agent import assemble, deciding, twins
from agent.config import load
from agent.perception import analyst as seeing
from agent.perception.analyst import Analyst
from agent.perception.contrast import Brightness
from agent.perception.drift import Drift
from agent.perception.eels import SpectrumReader
from agent.perception.reporter import Reporter
from agent.perception.tracking import Tracker
from digital_twin.spectra import CU_L3, O_K, SpectrumModel, drude, edge_nm2_per_eV, energy_axis_eV
from hardware_bridge.guard import Guard
from hardware_bridge.messages import Capabilities
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Observation
from policies.interface import Setup, Situation

CONFIG = Path(__file__).parents[1] / "in_situ_growth" / "config.toml"
SEED = 1000
SILENCE_S = 10.0
STAGES = {
    "whole": (Analyst, "__call__"),
    "register": (Drift, "register"),
    "find": (seeing, "find_particles"),
    "size": (Brightness, "size"),
    "track": (Tracker, "link"),
    "judge": (Tracker, "reals"),
}


def record(pixels: int, images: int) -> tuple[Capabilities, list[Observation]]:
    """Raster over the twin of one seed without looking at what comes: its capabilities and the first images."""
    config = load(CONFIG)
    chosen = replace(config.policy, name="raster", settings={"view.pixels": pixels})
    config = replace(config, policy=chosen)
    microscope = Guard(twins.twin(config, SEED), config.limits)
    capabilities, state = microscope.describe(), microscope.state()
    end_s = state.clock_s + config.budget.duration_s
    setup = Setup(
        capabilities=capabilities,
        limits=config.limits,
        card=assemble.card_of(config),
        start_s=state.clock_s,
        end_s=end_s,
        max_electrons=config.budget.electrons,
    )
    policy = deciding.policy(config)
    policy.begin(setup, SEED)

    def observations() -> Iterator[Observation]:
        turn = 0
        while True:
            now = microscope.state()
            left = config.budget.electrons - now.electrons_charged
            situation = Situation(turn=turn, state=now, electrons_left=left, time_left_s=end_s - now.clock_s)
            proposals = policy.suggest(situation, 1) if situation.time_left_s > 0.0 else ()
            if not proposals:
                return
            yield execute(microscope, proposals[0].command, SILENCE_S)
            turn += 1

    return capabilities, list(islice(observations(), images))


@contextmanager
def stopwatches(spent_s: dict[str, float]) -> Iterator[None]:
    """Add up in ``spent_s`` what every stage takes."""

    def timed(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(*args: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            result = inner(*args, **named)
            spent_s[name] += time.perf_counter() - begun
            return result

        return outer

    patches = [patch.object(owner, name, timed(stage, getattr(owner, name))) for stage, (owner, name) in STAGES.items()]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def milliseconds(capabilities: Capabilities, observations: list[Observation], repeats: int) -> NDArray[np.float64]:
    """The least time of every stage for every image, (images, stages), after one round that fills caches."""
    spent_s = dict.fromkeys(STAGES, 0.0)
    taken = np.full((len(observations), len(STAGES)), np.inf)
    with stopwatches(spent_s):
        for turn in range(repeats + 1):
            analyst = Analyst(capabilities)
            for i, observation in enumerate(observations):
                spent_s.update(dict.fromkeys(STAGES, 0.0))
                analyst(observation)
                if turn:
                    taken[i] = np.minimum(taken[i], 1e3 * np.array(list(spent_s.values())))
    return taken


def report_ms(capabilities: Capabilities, observations: list[Observation], repeats: int) -> float:
    """The least time in which the report is made of all images."""
    analyst, reporter, times_s = Analyst(capabilities), Reporter(assemble.card_of(load(CONFIG))), []
    for observation in observations:
        reporter.add(analyst(observation))
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        reporter.report()
        times_s.append(time.perf_counter() - begun)
    return 1e3 * min(times_s)


def spectrum_ms(repeats: int) -> float:
    """The least time in which one spectrum is read."""
    capabilities = twins.bare("growth", SEED).describe()
    axis_eV = energy_axis_eV(-20.0, 1.0, 1200)
    edges = np.array([edge_nm2_per_eV(edge, axis_eV, capabilities.beam_energy_keV, 20.0) for edge in (O_K, CU_L3)])
    model = SpectrumModel(axis_eV, 1.5, drude(axis_eV, 21.0, 12.0)[None, :], edges)
    shares = model.probabilities(np.array([0.9]), np.array([5e3, 5e2]))
    counts = np.random.default_rng(0).poisson(1e7 * shares).astype(np.float64)
    reader, times_s = SpectrumReader(capabilities, axis_eV), []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        reader.read(counts)
        times_s.append(time.perf_counter() - begun)
    return 1e3 * min(times_s)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.perception", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--images", type=int, default=60, metavar="N", help="images of each size (60)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="times that each is perceived (5)")
    given = parser.parse_args()
    for pixels in (128, 256):
        capabilities, observations = record(pixels, given.images)
        taken = milliseconds(capabilities, observations, given.repeats)
        print(f"{pixels} x {pixels} pixels, {len(observations)} images")
        print(f"{'stage':10}{'median ms':>12}{'p90 ms':>12}")
        for name, column in zip(STAGES, taken.T, strict=True):
            print(f"{name:10}{np.median(column):12.2f}{np.percentile(column, 90):12.2f}")
        print(f"{'report':10}{report_ms(capabilities, observations, given.repeats):12.2f}\n")
    print(f"a spectrum {spectrum_ms(given.repeats):12.2f} ms")


if __name__ == "__main__":
    main()
