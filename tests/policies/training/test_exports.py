"""What is exported is what is read again by RLlib and by Minari, to the last bit, and nothing of it is pickled."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.training.exports import DATASET, export
from policies.training.trajectory import CANDIDATE, SITUATION, Shapes, Trajectory

pytestmark = pytest.mark.filterwarnings("ignore")  # what other packages warn of when they are imported


def needs(*names: str) -> pytest.MarkDecorator:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"not installed: {', '.join(missing)} (pip install adaptem[offline])"
    )


minari = needs("minari")
rllib = needs("pyarrow", "msgpack_numpy", "tree", "lz4")


def trajectory(name: str, turns: int, candidates: int, size: int, ends: bool, kind: Any = np.uint16) -> Trajectory:
    """Noise of awkward values: the whole range of integers, NaN-free floats of all sizes, an image in each step."""
    random = np.random.default_rng([turns, candidates, size])
    frame = random.integers(0, np.iinfo(kind).max, (turns + 1, size, size, 1), kind)
    spectrum = random.standard_normal((turns + 1, 2, 2, 7)).astype(np.float32) * 10.0 ** random.integers(-30, 30)
    return Trajectory(
        name=name,
        observations={
            "situation": random.standard_normal((turns + 1, len(SITUATION))) * 1e12,
            "candidates": random.standard_normal((turns + 1, candidates, len(CANDIDATE))),
            "there": np.ones((turns + 1, candidates), np.int8),
            "frame": frame,
            "frame_shape": np.tile(np.array([size, size, 1], np.int32), (turns + 1, 1)),
            "spectrum": spectrum,
            "spectrum_shape": np.tile(np.array([2, 2, 7], np.int32), (turns + 1, 1)),
        },
        actions=random.integers(0, candidates + 1, turns),
        rewards=random.standard_normal(turns),
        terminated=ends,
        header='{"seed":7}',
        events=tuple(f'{{"turn":{n}}}' for n in range(turns)),
    )


SET = [trajectory("one", 5, 3, 8, ends=True), trajectory("two", 7, 4, 16, ends=False)]
BYTES = [trajectory("one", 5, 3, 32, ends=True, kind=np.uint8), trajectory("two", 7, 4, 32, ends=False, kind=np.uint8)]


def same(found: Any, wanted: np.ndarray) -> None:
    array = np.asarray(found)
    assert array.dtype == wanted.dtype
    assert array.tobytes() == wanted.tobytes()


def test_there_is_room_for_the_largest_and_none_of_them_is_a_place_behind() -> None:
    shapes = Shapes.of(SET)
    assert shapes.candidates == 4
    assert shapes.shapes["frame"] == (16, 16, 1)
    fitted = shapes.fitted(SET[0])
    same(fitted["frame"][:, :8, :8], SET[0].observations["frame"])
    assert not fitted["frame"][:, 8:].any()
    assert (shapes.actions(SET[0]) == 4).sum() == (SET[0].actions == 3).sum()


def test_types_that_differ_are_kept_in_one_that_holds_both() -> None:
    wide = trajectory("wide", 2, 3, 8, ends=True)
    wide.observations["frame"] = wide.observations["frame"].astype(np.uint32) + 2**31  # type: ignore[index]
    shapes = Shapes.of([wide, SET[0]])
    assert shapes.types["frame"] == np.uint32
    assert np.array_equal(shapes.fitted(wide)["frame"], wide.observations["frame"])


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format = 'hdf' is unknown: choose one of rllib, minari"):
        export(SET, Shapes.of(SET), "hdf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@minari
@pytest.mark.parametrize("some", [SET, BYTES], ids=["of 16 bits", "of 8 bits"])
def test_minari_gives_back_what_was_written(
    some: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import minari

    shapes = Shapes.of(some)
    assert export(some, shapes, "minari", tmp_path / "out") == 2
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "out"))
    dataset = minari.load_dataset(DATASET)
    assert dataset.total_episodes == 2
    assert dataset.total_steps == 12
    for wanted, episode in zip(some, dataset.iterate_episodes(), strict=True):
        for name, array in shapes.fitted(wanted).items():
            same(episode.observations[name], array)
        same(episode.rewards, wanted.rewards)
        assert np.array_equal(episode.actions, shapes.actions(wanted))
        assert episode.terminations[-1] == wanted.terminated
        assert episode.truncations[-1] != wanted.terminated
        log = [text.decode() if isinstance(text, bytes) else text for text in episode.infos["log"]]
        assert log == [wanted.header, *wanted.events]


@rllib
def test_rllib_gives_back_what_was_written_and_nothing_is_pickled(tmp_path: Path) -> None:
    import msgpack
    import msgpack_numpy
    from pyarrow import parquet
    from ray.rllib.env.single_agent_episode import SingleAgentEpisode

    def unpickled(packed: dict[Any, Any]) -> Any:
        assert packed.get(b"kind") != b"O"
        return msgpack_numpy.decode(packed)

    shapes = Shapes.of(SET)
    assert export(SET, shapes, "rllib", tmp_path / "out") == 2
    for wanted, path in zip(SET, sorted((tmp_path / "out").iterdir()), strict=True):
        (packed,) = parquet.read_table(path)["item"].to_pylist()
        episode = SingleAgentEpisode.from_state(msgpack.unpackb(packed, object_hook=unpickled))
        assert episode.id_ == wanted.name
        assert (episode.is_terminated, episode.is_truncated) == (wanted.terminated, not wanted.terminated)
        for name, array in shapes.fitted(wanted).items():
            same(episode.get_observations()[name], array)
        assert np.array_equal(episode.get_actions(), shapes.actions(wanted))
        assert np.array_equal(episode.get_rewards(), wanted.rewards)
        first, *rest = episode.get_infos()
        assert (first["header"], *(info["event"] for info in rest)) == (wanted.header, *wanted.events)
