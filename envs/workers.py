"""Spreads independent jobs over cores or machines: a crew of Ray actors; without Ray the same call runs them here.

    jobs --one at a time--> worker --result--> whoever iterates
             ^                | lost with its node
             +----the job-----+----> a new worker, wherever there is a core

A job is with one worker at a time, so no more than that one is done again when a worker is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

LOCAL = "local"
HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 250,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}
"""Settings of a Ray head by which a dead node is found within about a second; its own take a quarter of a minute."""

MOST_LOSSES = 8
"""So many workers lost one after the other, without a result between, and it is the job that kills them."""


def each(
    function: Callable[[JobT], ResultT], jobs: Sequence[JobT], ray_address: str | None = None
) -> Iterator[ResultT]:
    """Yield the result of every job as it ends: in process and in order, or on the Ray cluster at an address.

    ``local`` starts Ray on this machine, with one worker a core, and shuts it down at the end. A job that raises ends
    the iteration with its exception. The function must follow from its job alone: the order is not kept with Ray.

    Raises:
        RuntimeError: one worker after the other was lost.
        ConnectionError: there is no cluster at the address.
    """
    if ray_address is None or not jobs:
        yield from map(function, jobs)
        return
    with connected(ray_address):
        yield from _Crew(function, jobs).results()


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be in a Ray cluster: one that was joined already, that at an address, or one of this machine's own.

    What is begun here is left at the end.
    """
    # Imported here: everything works without Ray, and importing it takes a second.
    import ray

    if ray.is_initialized():
        yield
        return
    if address == LOCAL:
        ray.init(_node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False)
    else:
        ray.init(address=address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


class _Worker(Generic[JobT, ResultT]):
    """Does one job after the other."""

    def __init__(self, function: Callable[[JobT], ResultT]) -> None:
        self._function = function

    def ready(self) -> None:
        """Answer when it has begun."""

    def do(self, job: JobT) -> ResultT:
        """Do a job."""
        return self._function(job)


class _Crew(Generic[JobT, ResultT]):
    """One worker a core, with one thread, and who is at what; a worker without a job is one that is about to begin.

    Where there are more cores than jobs one worker more waits, with all that it needs loaded, for another to be lost.
    """

    def __init__(self, function: Callable[[JobT], ResultT], jobs: Sequence[JobT]) -> None:
        import ray

        self._ray: Any = ray
        self._make: Any = ray.remote(num_cpus=1)(_Worker)
        self._function = self._ray.put(function)
        self._left = deque(jobs)
        self._at: dict[Any, tuple[Any, list[JobT]]] = {}
        self._idle: list[Any] = []
        for _ in range(min(len(jobs) + 1, max(1, int(self._ray.cluster_resources().get("CPU", 1))))):
            self._hire()

    def results(self) -> Iterator[ResultT]:
        """Yield what comes, and give the next job to whoever it came from."""
        losses, lost = 0, (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError)
        while self._left or any(job for _, job in self._at.values()):
            (ready, *_), _ = self._ray.wait(list(self._at))
            worker, job = self._at.pop(ready)
            try:
                result = self._ray.get(ready)
            except lost as loss:
                # It may be only out of reach: what it would still say must not be waited for, nor its core kept.
                self._ray.kill(worker)
                losses += 1
                if losses >= MOST_LOSSES:
                    raise RuntimeError(f"{losses} workers in a row were lost; the last: {loss}") from None
                self._left.extend(job)
                if self._idle:
                    self._give(self._idle.pop())
                else:
                    self._hire()
                continue
            self._give(worker)
            if job:
                losses = 0
                yield result

    def _give(self, worker: Any) -> None:
        """Give a worker the next job; where there is none, it waits."""
        if self._left:
            job = self._left.popleft()
            self._at[worker.do.remote(job)] = (worker, [job])
        else:
            self._idle.append(worker)

    def _hire(self) -> None:
        worker = self._make.remote(self._function)
        self._at[worker.ready.remote()] = (worker, [])
