"""The wheel, installed where nothing but its declared dependencies is found, runs from an empty folder."""

import os
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(300)]

PACKAGES = {"agent", "digital_twin", "envs", "hardware_bridge", "policies"}
ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without a terminal and return what it printed; a failure shows it all."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def required(distribution: metadata.Distribution) -> set[str]:
    """Names of all distributions that one needs at run time, directly or through others."""
    names: set[str] = set()
    todo = [(distribution, "")]
    while todo:
        parent, extra = todo.pop()
        for line in parent.requires or ():
            need = Requirement(line)
            name = need.name.lower()
            if name in names or (need.marker and not need.marker.evaluate({"extra": extra})):
                continue
            names.add(name)
            todo += [(metadata.distribution(name), wanted) for wanted in ("", *need.extras)]
    return names


def link_dependencies(site_packages: Path) -> None:
    """Link what the installed wheel requires from the environment of the tests, and nothing else of it."""
    (wheel,) = (found for found in metadata.distributions(path=[str(site_packages)]) if found.name == "adaptem")
    for name in required(wheel):
        needed = metadata.distribution(name)
        tops = {path.parts[0] for path in needed.files or ()} - {"..", "__pycache__"}
        for top in tops:
            link = site_packages / top
            if not link.is_symlink():
                link.symlink_to(str(needed.locate_file(top)))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("adaptem-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    link_dependencies(next(folder.glob("lib/python*/site-packages")))
    run(*pip, "check", cwd=folder)
    return folder


def test_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_test_only_packages_are_out_of_sight(environment: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('hyperspy', 'exspy', 'rsciio', 'pytest') if u.find_spec(n)])"
    assert run(environment / "bin" / "python", "-c", code, cwd=environment).strip() == "[]"


def test_doctor_finds_every_package_in_the_wheel(environment: Path, tmp_path: Path) -> None:
    printed = run(environment / "bin" / "adaptem", "doctor", cwd=tmp_path)
    lines = printed.splitlines()
    for package in PACKAGES:
        assert any(package in line and str(environment) in line for line in lines), printed


def test_twenty_turns_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    config = ROOT / "experiments" / "in_situ_growth" / "config.toml"
    command = (environment / "bin" / "adaptem", "run", config, "--out", "run", "--turns", "20", "--seed", "1000")
    printed = run(*command, cwd=tmp_path)
    assert list((tmp_path / "run").glob("**/*.html")), printed
