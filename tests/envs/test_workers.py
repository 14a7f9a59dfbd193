"""Jobs are done once each, here or by Ray, also when the node of a worker is killed in the middle of one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.workers import LOCAL, MOST_LOSSES, each

slow_ray = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")


def squared(x: int) -> int:
    return x * x


def test_jobs_run_in_order_without_ray() -> None:
    assert list(each(squared, [3, 1, 2])) == [9, 1, 4]


def test_no_jobs_start_nothing() -> None:
    assert list(each(squared, [], LOCAL)) == []


@pytest.mark.slow
@slow_ray
def test_ray_gives_the_same_results() -> None:
    assert sorted(each(squared, [1, 2, 3, 4], LOCAL)) == [1, 4, 9, 16]


class Noted:
    """A job that leaves a line when it begins, and tells which node did it."""

    def __init__(self, folder: Path, lasts_s: float) -> None:
        self.folder, self.lasts_s = folder, lasts_s

    def __call__(self, job: int) -> tuple[int, str]:
        import ray

        with (self.folder / "begun").open("a") as file:
            file.write(f"{job}\n")
        time.sleep(self.lasts_s)
        return job, ray.get_runtime_context().get_node_id()

    def begun(self) -> list[int]:
        """The jobs that were begun, in order."""
        return [int(line) for line in (self.folder / "begun").read_text().split()]


@pytest.mark.slow
@slow_ray
def test_a_node_killed_in_the_middle_costs_at_most_the_job_it_was_at(
    cluster: Any, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    first = cluster.add_node(num_cpus=1)
    work, done, killed_s = Noted(tmp_path, 0.05), [], 0.0
    for result in each(work, range(12), cluster.address):
        done.append(result)
        if len(done) == 4:
            cluster.remove_node(first, allow_graceful=False)
            cluster.add_node(num_cpus=1)
            killed_s = time.monotonic()
        elif killed_s and len({node for _, node in done}) == 2:
            record_property("recovered_s", round(time.monotonic() - killed_s, 2))
            print(f"recovered after {time.monotonic() - killed_s:.2f} s")
            killed_s = 0.0
    assert sorted(job for job, _ in done) == list(range(12))
    assert len({node for _, node in done}) == 2
    assert done[3][1] != done[-1][1]
    assert len(work.begun()) <= 13


def ends_its_process(job: int) -> int:
    if job == 1:
        os._exit(1)
    return job


@pytest.mark.slow
@slow_ray
def test_a_job_that_kills_its_workers_is_told_after_all_others_are_done(cluster: Any) -> None:
    cluster.add_node(num_cpus=1)
    coming = each(ends_its_process, [0, 1, 2, 3], cluster.address)
    assert sorted(next(coming) for _ in range(3)) == [0, 2, 3]
    with pytest.raises(RuntimeError, match=f"{MOST_LOSSES} workers in a row were lost"):
        next(coming)
