"""Trajectories in the formats of others: RLlib's episodes in Parquet, and Minari. Both need ``adaptem[offline]``.

What is written is what is read: arrays keep their values and types, images are not compressed with a loss, and nothing
is pickled.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from policies.training.trajectory import Array, Shapes, Trajectory

FORMATS = ("rllib", "minari")
DATASET = "adaptem/runs-v0"


def export(trajectories: Iterable[Trajectory], shapes: Shapes, into: str, out: Path) -> int:
    """Write trajectories into a new folder in a format by name, and return how many there are.

    Raises:
        ValueError: there is no such format, or a package that it needs is missing.
        FileExistsError: the folder is there already.
    """
    writers = {"rllib": _to_rllib, "minari": _to_minari}
    if into not in writers:
        raise ValueError(f"format = {into!r} is unknown: choose one of {', '.join(FORMATS)}")
    try:
        for name in {"rllib": ("pyarrow", "msgpack_numpy", "ray.rllib"), "minari": ("minari",)}[into]:
            importlib.import_module(name)
    except ImportError as missing:
        raise ValueError(f"{into} needs packages that are not here ({missing}): install adaptem[offline]") from None
    out.mkdir(parents=True)
    return writers[into](trajectories, shapes, out)


def observation_space(shapes: Shapes) -> spaces.Dict:
    """The space of the observations."""
    return spaces.Dict({name: _box(shape, shapes.types[name]) for name, shape in shapes.shapes.items()})


def action_space(shapes: Shapes) -> spaces.Discrete[Any]:
    """The space of the actions: a candidate, or none of them."""
    return spaces.Discrete(shapes.candidates + 1)


def _box(shape: tuple[int, ...], kind: np.dtype[Any]) -> spaces.Box:
    if np.issubdtype(kind, np.integer):
        return spaces.Box(np.iinfo(kind).min, np.iinfo(kind).max, shape, kind.type)
    return spaces.Box(-np.inf, np.inf, shape, kind.type)


def _to_rllib(trajectories: Iterable[Trajectory], shapes: Shapes, out: Path) -> int:
    """A file for each trajectory, as ``AlgorithmConfig.offline_data(input_read_episodes=True)`` reads them."""
    msgpack, msgpack_numpy = (importlib.import_module(name) for name in ("msgpack", "msgpack_numpy"))
    arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    episode_type = importlib.import_module("ray.rllib.env.single_agent_episode").SingleAgentEpisode
    seen, done = observation_space(shapes), action_space(shapes)
    number = 0
    for number, trajectory in enumerate(trajectories, start=1):
        infos: list[dict[str, Any]] = [{"header": trajectory.header}, *({"event": text} for text in trajectory.events)]
        episode = episode_type(
            id_=trajectory.name,
            observations=_by_step(shapes.fitted(trajectory)),
            observation_space=seen,
            actions=list(shapes.actions(trajectory)),
            action_space=done,
            rewards=list(trajectory.rewards),
            infos=infos,
            terminated=trajectory.terminated,
            truncated=not trajectory.terminated,
            len_lookback_buffer=0,
        )
        packed = msgpack.packb(episode.to_numpy().get_state(), default=msgpack_numpy.encode)
        table = arrow.table({"item": arrow.array([packed], type=arrow.large_binary())})
        parquet.write_table(table, out / f"episode-{number:05d}.parquet")
    return number


def _to_minari(trajectories: Iterable[Trajectory], shapes: Shapes, out: Path) -> int:
    """The dataset ``DATASET`` in a folder that MINARI_DATASETS_PATH is to name when it is loaded."""
    minari = importlib.import_module("minari")
    buffer_type = importlib.import_module("minari.data_collector.episode_buffer").EpisodeBuffer
    before, os.environ["MINARI_DATASETS_PATH"] = os.environ.get("MINARI_DATASETS_PATH"), str(out.resolve())
    dataset, number = None, 0
    try:
        for number, trajectory in enumerate(trajectories, start=1):
            length = len(trajectory.actions)
            ends = np.arange(length) == length - 1
            buffer = buffer_type(
                id=number - 1,
                observations=shapes.fitted(trajectory),
                actions=list(shapes.actions(trajectory)),
                rewards=list(trajectory.rewards),
                terminations=list(ends & trajectory.terminated),
                truncations=list(ends & (not trajectory.terminated)),
                infos={"log": [trajectory.header, *trajectory.events]},
            )
            if dataset is None:
                with warnings.catch_warnings():  # it would like to know authors and an environment
                    warnings.simplefilter("ignore", UserWarning)
                    dataset = minari.create_dataset_from_buffers(
                        DATASET,
                        [buffer],
                        observation_space=observation_space(shapes),
                        action_space=action_space(shapes),
                        data_format="hdf5",
                        jpeg_encoding=False,  # images are kept as they are
                        description="Recorded runs of adaptem; the lines of their logs are in infos",
                    )
            else:
                dataset.update_dataset_from_buffer([buffer])
    finally:
        del os.environ["MINARI_DATASETS_PATH"]
        if before is not None:
            os.environ["MINARI_DATASETS_PATH"] = before
    return number


def _by_step(observations: dict[str, Array]) -> list[dict[str, Array]]:
    length = len(observations["situation"])
    return [{name: array[step] for name, array in observations.items()} for step in range(length)]
