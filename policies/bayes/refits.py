"""Work beside the run: fits in a thread of their own, whose results are taken all at once or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Refits(Generic[Result]):
    """At most one round of fits at a time; nothing is left behind when it is dropped."""

    def __init__(self) -> None:
        self._running: dict[str, Future[Result]] = {}

    @property
    def under_way(self) -> bool:
        """Whether a round was started and not taken."""
        return bool(self._running)

    @property
    def done(self) -> bool:
        """Whether a round is there to be taken without waiting."""
        return self.under_way and all(future.done() for future in self._running.values())

    def start(self, jobs: Mapping[str, Callable[[], Result]]) -> None:
        """Start a round; one that was not taken is forgotten."""
        # One worker, gone when its work is done.
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fit")
        self._running = {name: worker.submit(job) for name, job in jobs.items()}
        worker.shutdown(wait=False)

    def take(self) -> dict[str, Result]:
        """Return all results, waiting for them; nothing where no round is under way.

        Raises:
            Exception: whatever a fit raised; then none of the round is given out.
        """
        running, self._running = self._running, {}
        return {name: future.result() for name, future in running.items()}
