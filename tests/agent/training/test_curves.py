"""How far a training has come is on disk whole, the last time or this one, and can be drawn."""

from pathlib import Path

import numpy as np
import pytest

from agent.training.curves import PICTURE, PROGRESS, Point, Progress, draw, load, save


def progress(iterations: int) -> Progress:
    points = tuple(
        Point(
            iteration=n,
            steps=1000,
            sampled_s=6.0,
            learned_s=6.0,
            score=0.1 * n,
            entropy=1.0,
            apart=0.2 if n % 2 else None,
        )
        for n in range(1, iterations + 1)
    )
    return Progress(points=points, best=0.2, best_at=1, greedy=0.15)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = save(tmp_path, progress(3), {"network.a": np.arange(4.0)})
    found, arrays = load(tmp_path)
    assert found == saved
    assert found.minutes == pytest.approx(0.6)
    assert found.steps == 3000
    assert np.array_equal(arrays["network.a"], np.arange(4.0))


def test_only_the_last_state_is_kept(tmp_path: Path) -> None:
    for n in (1, 2, 3):
        save(tmp_path, progress(n), {"x": np.zeros(n)})
    assert [path.name for path in tmp_path.glob("state-*.npz")] == ["state-00003.npz"]


def test_a_kill_between_state_and_progress_leaves_the_last_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, progress(1), {"x": np.zeros(1)})
    replace, done = Path.replace, []

    def killed(self: Path, target: Path) -> Path:
        if done:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, progress(2), {"x": np.zeros(2)})
    monkeypatch.undo()
    found, arrays = load(tmp_path)
    assert len(found.points) == 1
    assert len(arrays["x"]) == 1


def test_nothing_yet_is_no_progress(tmp_path: Path) -> None:
    assert load(tmp_path) == (Progress(), {})


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / PROGRESS).write_text("{")
    with pytest.raises(ValueError, match="cannot be gone on with"):
        load(tmp_path)


def test_curves_are_drawn(tmp_path: Path) -> None:
    draw(tmp_path, progress(4), "growth")
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
