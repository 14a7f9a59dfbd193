"""A run whose node is killed goes on from another one: nothing lost, at most one turn done again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import CHOICES
from agent.config import Config, load
from agent.eventlog import RecordError
from agent.reading import open_run
from agent.record import Record
from agent.run import begin, resume
from envs.workers import each
from experiments.offline_chooser.record import Quiet
from hardware_bridge import journal
from hardware_bridge.client import Client
from hardware_bridge.errors import Unreachable
from hardware_bridge.server import JOURNAL

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "experiments" / "in_situ_growth" / "config.toml"
TURNS = 40


class Slow(Quiet):
    """Nobody watches, and every turn takes long enough for a node to be killed in it."""

    def show(self, record: Record) -> bool:
        time.sleep(0.05)
        return True


def brought_to_its_end(job: tuple[Config, Path]) -> tuple[str, int]:
    """Run, or go on with a run that is there once its last writer is gone, and tell the node and how many turns."""
    import ray

    config, folder = job
    node = ray.get_runtime_context().get_node_id()
    folder.with_name("node").write_text(node)
    deadline = time.monotonic() + 20.0
    while (folder / "events.jsonl").exists():
        try:
            finished = resume(folder, Slow())
            break
        except RecordError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    else:
        finished = begin(config, 7, folder, Slow())
    return node, finished.turns


def turns_of(folder: Path) -> int:
    log = folder / "events.jsonl"
    return log.read_bytes().count(b"\n") - 1 if log.exists() else 0


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    """A twin that is served with a journal."""
    where = f"ipc://{tmp_path}/bridge"
    command = [sys.executable, "-m", "agent.cli", "serve", "twin", CONFIG, "--endpoint", where, "--seed", "7"]
    process = subprocess.Popen([*command, "--journal", tmp_path / "journal"], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(Unreachable), Client(where, holder=None):
                break
            time.sleep(0.05)
        yield where
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_run_goes_on_from_another_node(
    cluster: Any, endpoint: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder, nodes = tmp_path / "run", {node.node_id: node for node in (cluster.add_node(num_cpus=1) for _ in range(2))}
    overrides = [f"instrument.endpoint={endpoint}", "policy.name=raster", f"budget.turns={TURNS}"]
    config, events = load(CONFIG, overrides, CHOICES), []

    def kill() -> None:
        while turns_of(folder) < 5:
            time.sleep(0.01)
        first = (tmp_path / "node").read_text()
        events.append((first, time.monotonic()))
        cluster.remove_node(nodes[first], allow_graceful=False)
        while (tmp_path / "node").read_text() in ("", first):
            time.sleep(0.01)
        done = turns_of(folder)
        while turns_of(folder) <= done:
            time.sleep(0.01)
        events.append(((tmp_path / "node").read_text(), time.monotonic()))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    ((node, turns),) = each(brought_to_its_end, [(config, folder)], cluster.address)
    killer.join(60.0)
    (first, killed_s), (second, recovered_s) = events
    record_property("recovered_s", round(recovered_s - killed_s, 2))
    print(f"a turn from another node {recovered_s - killed_s:.2f} s after the kill")
    assert node == second != first
    assert turns == TURNS
    with open_run(folder) as run:
        assert [record.turn for record in run.records] == list(range(TURNS))
        assert run.problems == []
        ids = [record.decision.command.id for record in run.records if record.decision.command is not None]
    log = tmp_path / "journal" / JOURNAL
    past, _ = journal.read(log)
    ran = set(past.settled)
    assert {*ids} <= ran
    assert len([name for name in ran - {*ids} if name.startswith("raster")]) <= 1
    assert past.token >= 2
    assert os.path.exists(folder / "report.json")
