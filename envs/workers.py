"""Spreads independent episodes over cores or machines with Ray; without Ray the same call runs them one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

LOCAL = "local"


def each(
    function: Callable[[JobT], ResultT], jobs: Sequence[JobT], ray_address: str | None = None
) -> Iterator[ResultT]:
    """Yield the result of every job as it ends: in process and in order, or on the Ray cluster at an address.

    ``local`` starts Ray on this machine, with one worker a core, and shuts it down at the end. A job that raises ends
    the iteration with its exception. The function must follow from its job alone: the order is not kept with Ray.
    """
    if ray_address is None or not jobs:
        yield from map(function, jobs)
        return
    # Imported here: everything works without Ray, and importing it takes a second.
    import ray

    started = _start(ray_address)
    try:
        remote: Any = ray.remote(num_cpus=1)(_called)
        shared = ray.put(function)
        waiting = [remote.remote(shared, job) for job in jobs]
        while waiting:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    finally:
        if started:
            ray.shutdown()


def _called(function: Callable[[JobT], ResultT], job: JobT) -> ResultT:
    return function(job)


def _start(address: str) -> bool:
    """Join or start Ray; True if it was started here and is to be shut down."""
    import ray

    if ray.is_initialized():
        return False
    one_thread = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "runtime_env": one_thread}
    if address == LOCAL:
        ray.init(_node_ip_address="127.0.0.1", **options)
    else:
        ray.init(address=address, runtime_env=one_thread, log_to_driver=False)
    return True
