"""What Ray costs and how far it scales here: its start, calls by size, choices by one actor, ensembles by workers.

    python -m experiments.benchmarks.ray_scaling                     1 and 2 workers
    python -m experiments.benchmarks.ray_scaling --workers 1,2,4,8 --members 64
    python -m experiments.benchmarks.ray_scaling --address 10.0.0.1:6379     a cluster as it is, all its cores

Workers have the priority of everybody else here; Ray would give them less. Wants an idle machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from agent.assemble import CHOICES, DEFAULT_CONFIG
from agent.config import Config, load
from agent.episode import play
from envs.workers import each
from experiments.options import parser
from hardware_bridge.words import encode
from policies.bayes.chooser import GreedyChooser
from policies.interface import Proposal, Situation
from policies.serving import Question, Served, desk

SIZES = (0, 2**10, 2**16, 2**20)
TURNS = 20
CALLS = 200
SCENE = Path("agent/worlds/valence.toml")


@contextmanager
def ray_of(workers: int | None, address: str | None) -> Iterator[float]:
    """Ray with so many workers here, or at an address; tells how long it took to be there."""
    import ray

    untyped: Any = ray
    begun = time.perf_counter()
    if address is not None:
        untyped.init(address=address, log_to_driver=False)
    else:
        own: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "_system_config": {"worker_niceness": 0}}
        untyped.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, **own)
    try:
        yield time.perf_counter() - begun
    finally:
        untyped.shutdown()


class Echo:
    """An actor that tells how much it was given."""

    def told(self, data: np.ndarray) -> int:
        """Its size."""
        return data.size


def call_ms() -> dict[int, float]:
    """Median time of a call and its answer by the bytes that it carries."""
    import ray

    untyped: Any = ray
    actor = untyped.remote(Echo).remote()
    return {size: 1e3 * _median_s(partial(_called, actor, np.zeros(size, np.uint8))) for size in SIZES}


def _called(actor: Any, data: np.ndarray) -> None:
    import ray

    untyped: Any = ray
    assert untyped.get(actor.told.remote(data)) == data.size


def asked() -> tuple[GreedyChooser, Sequence[Proposal], Situation]:
    """A chooser with the candidates of a decision of greedy."""
    kept: list[tuple[Any, Sequence[Proposal], Situation]] = []

    class Keeping:
        def __init__(self, own: Any) -> None:
            self.own = own

        def rank(self, proposals: Sequence[Proposal], situation: Situation) -> Sequence[Proposal]:
            kept.append((self.own, proposals, situation))
            ranked: Sequence[Proposal] = self.own.rank(proposals, situation)
            return ranked

    from agent.lessons import outlook_of
    from policies.greedy import Greedy, GreedySettings

    config = load(SCENE, ["policy.settings={}", "policy.name=greedy", "budget.turns=2"], CHOICES)
    play(config, 1, 1.0, other=Greedy(GreedySettings(), outlook_of("valence"), Keeping))
    return kept[-1]


def choices(address: str) -> dict[str, float]:
    """Times of a decision, in ms: here, by messenger and actor, and of many asked together, each."""
    import ray

    untyped: Any = ray
    own, proposals, situation = asked()
    found = {"in process": 1e3 * _median_s(lambda: own.rank(proposals, situation))}
    question = Question(
        key="q", proposals=tuple(proposals), turn=1, state=situation.state,
        electrons_left=situation.electrons_left, time_left_s=situation.time_left_s,
    )  # fmt: skip
    sent = encode(question)
    found["KiB of a question"] = len(sent) / 1024
    actor = desk(own)
    untyped.get(actor.answer.remote(sent))
    found["by the actor"] = 1e3 * _median_s(lambda: untyped.get(actor.answer.remote(sent)))
    begun = time.perf_counter()
    untyped.get([actor.answer.remote(sent) for _ in range(CALLS)])
    found["by the actor, 200 together"] = 1e3 * (time.perf_counter() - begun) / CALLS
    served = Served(own, address, patience_s=1.0)
    deadline = time.monotonic() + 60.0
    while not served.answered and time.monotonic() < deadline:
        served.rank(proposals, situation)
    found["by messenger and actor"] = 1e3 * _median_s(lambda: served.rank(proposals, situation))
    served.close()
    untyped.kill(actor)
    return found


def ensemble_s(members: int, address: str | None) -> float:
    """How long members of an ensemble take, once everything is warm."""
    config = load(DEFAULT_CONFIG, ["policy.name=raster", f"budget.turns={TURNS}"], CHOICES)
    begun = 0.0
    warm = 0
    workers = 1 if address is None else _cores()
    for number, _ in enumerate(each(partial(_member, config), range(workers + members), address), start=1):
        if number == workers:  # each worker has loaded everything by now
            begun, warm = time.perf_counter(), number
    assert warm == workers
    return time.perf_counter() - begun


def _member(config: Config, seed: int) -> float:
    return play(config, 20_000 + seed, 1.0).score


def _cores() -> int:
    import ray

    untyped: Any = ray
    return max(1, int(untyped.cluster_resources().get("CPU", 1)))


def _median_s(call: Callable[[], object]) -> float:
    took = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        call()
        took.append(time.perf_counter() - begun)
    return median(took)


def main() -> None:
    """Measure and print."""
    wanted = parser("experiments.benchmarks.ray_scaling", __doc__)
    wanted.add_argument("--workers", default="1,2", help="numbers of workers (default %(default)s)")
    wanted.add_argument("--members", type=int, default=24, help="members of the ensemble (default %(default)s)")
    wanted.add_argument("--address", help="a cluster, instead of workers here")
    given = wanted.parse_args()
    alone_s = ensemble_s(given.members, None)
    print(f"{given.members} members of {TURNS} turns in process: {given.members / alone_s:.2f} a second", flush=True)
    counts = [None] if given.address else [int(word) for word in given.workers.split(",")]
    for number, workers in enumerate(counts):
        with ray_of(workers, given.address) as started_s:
            address = _address()
            took_s = ensemble_s(given.members, address)
            rate, times = given.members / took_s, alone_s / took_s
            print(f"{workers or _cores()} workers: there in {started_s:.1f} s, {rate:.2f} a second, {times:.2f} times")
            if number == 0:
                for size, took_ms in call_ms().items():
                    print(f"  a call with {size} bytes: {took_ms:.2f} ms")
                for what, value in choices(address).items():
                    print(f"  a choice, {what}: {value:.2f}{'' if 'KiB' in what else ' ms'}", flush=True)


def _address() -> str:
    import ray

    untyped: Any = ray
    found: str = untyped.get_runtime_context().gcs_address
    return found


if __name__ == "__main__":
    main()
