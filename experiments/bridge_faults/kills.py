"""Agents and bridges killed, frozen and hung at each named point; the beam is read by a process of its own.

A lane is one instrument with one journal, through all its crashes; after each it is asked again what every command
came to.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from experiments.bridge_faults.agent_process import look, task
from experiments.bridge_faults.bridge_process import DRIVER_LOG, LEASE_S
from experiments.bridge_faults.child import Child
from experiments.bridge_faults.observer import Seen, seen
from experiments.bridge_faults.points import FAULTS, Fault
from experiments.bridge_faults.truth import Memory, Truth, repeated
from hardware_bridge.client import Client
from hardware_bridge.errors import NotHeld
from hardware_bridge.guard import SAFE_STATE
from hardware_bridge.microscope import execute
from hardware_bridge.server import BEAM

WITHIN_NS = 500_000_000
LOOK_S = 0.7
LANES = 2


@dataclass
class Run:
    """One fault: what the observer saw, what became of the command, and what should not have been."""

    fault: Fault
    seen: Seen
    fate: str
    is_woken: bool
    told_s: float | None = None
    wrong: list[str] = field(default_factory=list)


def campaign(folder: Path, faults: list[Fault], tell: Callable[[Run], None] = lambda run: None) -> list[Run]:
    """Inject all faults, in two lanes side by side; ``tell`` hears of each."""
    runs: list[Run] = []
    lock = threading.Lock()

    def drive(number: int) -> None:
        mine = faults[number::LANES]
        with contextlib.closing(Lane(folder / f"lane-{number}")) as lane:
            for fault in mine:
                run = lane.run(fault)
                with lock:
                    runs.append(run)
                    tell(run)

    with ThreadPoolExecutor(LANES) as pool:
        for done in [pool.submit(drive, number) for number in range(LANES)]:
            done.result()
    return runs


def spread(runs: int, seed: int) -> list[Fault]:
    """At least so many faults, each kind equally often, in random order."""
    faults = list(FAULTS) * -(-runs // len(FAULTS))
    random.Random(seed).shuffle(faults)
    return faults


class Lane:
    """One instrument and its journal, with an observer; bridges and agents come and go."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._count, self._token = folder, 0, 0
        self._memory = Memory()
        self._wakes: Counter[Fault] = Counter()
        self._start()
        self._observer = Child("observer", str(folder / BEAM), str(self._log), errors=self._errors)
        self._observer.hear("watching")

    def close(self) -> None:
        """End all processes."""
        self._observer.end()
        self._bridge.end()

    def run(self, fault: Fault) -> Run:
        """Inject one fault and see what comes of it."""
        self._count += 1
        name = f"c{self._count}"
        # Of those frozen, every second one wakes up again.
        self._wakes[fault] += 1
        is_woken = fault.how == "SIGSTOP" and self._wakes[fault] % 2 == 1
        if fault.victim == "bridge":
            self._bridge.say(f"arm {fault.point}")
            self._bridge.hear("armed")
        agent = Child("agent_process", self._endpoint, name, fault.point, fault.how, errors=self._errors)
        try:
            hit = self._hit_agent if fault.victim == "agent" else self._hit_bridge
            return hit(fault, name, agent, is_woken)
        finally:
            agent.end()

    @property
    def _log(self) -> Path:
        return self._folder / "observer.log"

    @property
    def _errors(self) -> Path:
        return self._folder / "stderr.log"

    def _start(self) -> None:
        self._bridge = Child("bridge_process", str(self._folder), errors=self._errors)
        self._endpoint = self._bridge.hear("ready ")

    def _hit_agent(self, fault: Fault, name: str, agent: Child, is_woken: bool) -> Run:
        since_ns = int(agent.hear("at "))
        if fault.how != "deadlock":
            since_ns = agent.signal(signal.Signals[fault.how])
        time.sleep(LOOK_S)
        run, late = Run(fault, Seen(0, 0, 0), "", is_woken), ""
        with self._judged(run, name, since_ns):
            if is_woken:  # while somebody else holds the lease
                agent.signal(signal.SIGCONT)
                agent.say("go")
                late = agent.hear("late ")
        if is_woken and late != "NotHolder":
            run.wrong.append(f"an agent that woke up after its lease was lost was answered {late}")
        return run

    def _hit_bridge(self, fault: Fault, name: str, agent: Child, is_woken: bool) -> Run:
        self._bridge.hear("at ")
        since_ns = self._bridge.signal(signal.Signals[fault.how])
        run = Run(fault, Seen(0, 0, 0), "", is_woken)
        if is_woken:
            agent.end()  # nobody is there when it wakes up
            time.sleep(LOOK_S)
            self._bridge.signal(signal.SIGCONT)
            self._bridge.say("go")
            time.sleep(LOOK_S)
        else:
            run.told_s = (int(agent.hear("told ", 5.0).split()[0]) - since_ns) * 1e-9
            time.sleep(max(0.0, LOOK_S - run.told_s))
            self._bridge.end()
            self._start()
        if run.told_s is not None and run.told_s > 2.0:
            run.wrong.append(f"its client was told after {run.told_s:.2f} s")
        with self._judged(run, name, since_ns):
            pass
        return run

    def _next_agent(self) -> Client:
        """Take the lease; one whose loop hangs has it until its time is over, and its process says that it lives."""
        deadline = time.monotonic() + 3 * LEASE_S
        while True:
            try:
                return Client(self._endpoint, holder="judge")
            except NotHeld:
                if time.monotonic() > deadline:
                    raise

    @contextlib.contextmanager
    def _judged(self, run: Run, name: str, since_ns: int) -> Iterator[None]:
        """Take the lease as the next agent, compare what the bridge says with what was, and work."""
        until_ns = time.monotonic_ns()
        with self._next_agent() as judge:
            run.seen = seen(self._log, since_ns, until_ns)
            if run.seen.dark_ns is None or run.seen.dark_ns > WITHIN_NS:
                run.wrong.append("the beam was not blank within 500 ms")
            if run.seen.relit:
                run.wrong.append(f"the beam came on again {run.seen.relit} times without a lease")
            if judge._token <= self._token:
                run.wrong.append(f"token {judge._token} after {self._token}")
            self._token = judge._token
            truth = Truth.read(self._folder / DRIVER_LOG)
            run.fate = type(judge.fate(name)).__name__
            run.wrong += self._memory.judge(judge, self._folder / DRIVER_LOG, {name, f"{name}-late"})
            run.wrong += repeated(judge, task(name, run.fault.point))
            yield
            if execute(judge, look(f"{name}-after", 1), 5.0).aborted:
                run.wrong.append("the next command was aborted")
        # The holder's retreat after a lost lease may be under way when the next agent takes it.
        came = {*Truth.read(self._folder / DRIVER_LOG).asked} - {*truth.asked} - {f"{name}-after"}
        if others := {other for other in came if not other.startswith(SAFE_STATE)}:
            run.wrong.append(f"repeated or refused, and yet at the instrument: {sorted(others)}")
