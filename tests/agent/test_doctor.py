import importlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from agent import doctor

ROOT = Path(__file__).resolve().parents[2]
RUN = "import sys; from agent.doctor import doctor; sys.exit(doctor(sys.stdout))"


def test_this_installation_is_well() -> None:
    output = io.StringIO()
    assert doctor.doctor(output) == 0
    said = output.getvalue()
    for room in doctor.ROOMS:
        assert f"{ROOT / room / '__init__.py'}" in said
    for word in ("python 3.11", "torch", "msgspec", "cores", "OMP_NUM_THREADS=1", "all is well"):
        assert word in said


def test_a_room_from_elsewhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    # The folder where python -c is started comes first on its path, so ours is still found; the other is told.
    assert f"PROBLEM policies: another one at {tmp_path / 'policies'} is on the path too" in done.stdout


def test_a_room_that_shadows_ours_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_room").mkdir()
    (tmp_path / "a_room/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    problems = list(doctor.foreign_rooms(home=ROOT, rooms=["a_room"]))
    assert problems[0] == (
        f"a_room: {tmp_path / 'a_room/__init__.py'} is not ours; expected {ROOT / 'a_room/__init__.py'}"
    )


def test_a_namespace_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare_room").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert "without __init__.py takes its place" in next(iter(doctor.foreign_rooms(home=ROOT, rooms=["bare_room"])))


def test_missing_dependencies_and_temporary_folder_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.importlib.metadata, "requires", lambda _: ["no-such-thing-here>=1", 'pytest>=9; extra == "test"']
    )
    assert list(doctor.missing_dependencies()) == ["no-such-thing-here: not installed"]
    monkeypatch.setattr(doctor.tempfile, "tempdir", "/proc/none")
    assert "temporary files cannot be written" in next(iter(doctor.unwritable_folders()))
    output = io.StringIO()
    assert doctor.doctor(output) == 1
    assert "2 problems" in output.getvalue()
