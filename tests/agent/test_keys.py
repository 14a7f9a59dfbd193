"""Keys as a user meets them: made, listed, used by a run against a served twin, and told when they are bad."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cli import main
from agent.reading import compare, open_run

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "experiments" / "in_situ_growth" / "config.toml"
TWO_TURNS = ("--set", "policy.name=raster", "--turns", "2", "--seed", "7")
PROGRAM = [sys.executable, "-m", "agent.cli"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def adaptem(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run([*PROGRAM, *map(str, arguments)], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stderr


@contextmanager
def served(*arguments: str | Path) -> Iterator[str]:
    """A twin's server on all addresses of this machine; gives the endpoint by which this machine itself reaches it."""
    command = [*PROGRAM, "serve", "twin", CONFIG, "--seed", "7", "--endpoint", "tcp://0.0.0.0:0", *arguments]
    with subprocess.Popen(
        [str(word) for word in command], env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 60.0)[0]
            yield process.stdout.readline().split()[1].replace("0.0.0.0", "127.0.0.1")
        finally:
            process.terminate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, role in (("agent", "operator"), ("visitor", "observer")):
        assert main(["keys", "make", name, "--role", role, "--folder", str(tmp_path / "keys")]) == 0
    return tmp_path / "keys"


def test_keys_are_made_and_listed_without_secrets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "make", "guest", "--role", "observer", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}/guest.key\n"
    assert main(["keys", "list", "--folder", str(folder)]) == 0
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in listed] == [["agent", "operator"], ["visitor", "observer"], ["guest", "observer"]]
    for name, _, public in listed:
        public_line, secret_line, _ = (folder / f"{name}.key").read_text().splitlines()
        assert public_line == f'public = "{public}"'
        assert secret_line.split('"')[1] not in str(listed)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["make", "agent", "--role", "observer"], "'agent': is authorised already"),
        (["make", "../x", "--role", "observer"], "name = '../x'"),
        (["list", "--folder", "/nowhere"], "authorised.toml': cannot be read: No such file"),
    ],
)
def test_what_cannot_be_made_or_listed_is_told(
    folder: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments[:1], "--folder", str(folder), *arguments[1:]]) == 2
    assert told in capsys.readouterr().err


def test_a_run_with_keys_gives_the_record_of_one_without(folder: Path, tmp_path: Path) -> None:
    bridge = ("--set", "instrument.kind=bridge")
    assert adaptem("run", CONFIG, "--out", tmp_path / "plain", *bridge, *TWO_TURNS) == (0, "")
    with served("--keys", folder) as endpoint:
        at = (*bridge, "--set", f"instrument.endpoint={endpoint}", *TWO_TURNS)
        keys = ("--set", f"instrument.keys={folder / 'agent.key'}")
        assert adaptem("run", CONFIG, "--out", tmp_path / "keyed", *at, *keys) == (0, "")
        with open_run(tmp_path / "plain") as plain, open_run(tmp_path / "keyed") as keyed:
            assert len(keyed.records) == 2
            assert compare(plain, keyed) == []

        for name, told in (("visitor", "TakeLease = asked for by an observer refused (role)"), ("open", "chmod 600")):
            if name == "open":
                (folder / "agent.key").rename(folder / "open.key")
                (folder / "open.key").chmod(0o644)
            status, said = adaptem(
                "run", CONFIG, "--out", tmp_path / name, *at, "--set", f"instrument.keys={folder / name}.key"
            )
            assert (status, told in said) == (1 if name == "visitor" else 2, True), said
            assert not (tmp_path / name).exists()
        status, said = adaptem("run", CONFIG, "--out", tmp_path / "none", *at)
        assert (status, "only clients with a key" in said) == (2, True), said


def test_off_loopback_without_keys_nothing_is_served(tmp_path: Path) -> None:
    serve = ("serve", "twin", CONFIG, "--endpoint", "tcp://0.0.0.0:0")
    status, said = adaptem(*serve)
    assert (status, "'tcp://0.0.0.0:0': other machines could reach it" in said) == (2, True)
    status, said = adaptem(*serve, "--keys", tmp_path)
    assert (status, "server.key': cannot be read: No such file" in said) == (2, True)
