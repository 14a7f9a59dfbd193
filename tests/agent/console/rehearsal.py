"""A run in a thread, with the console of a real one: proposals, walls, pictures, records; no optics."""

import dataclasses
import itertools
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from agent.config import ConfigErrors
from agent.console.asking import Asking
from agent.console.client import RemoteConsole
from agent.console.console import Console
from agent.console.feed import Feed
from agent.console.server import Server
from agent.console.words import Person
from agent.record import Record
from agent.review import Walls
from hardware_bridge.messages import Command
from hardware_bridge.observation import Observation
from hardware_bridge.report import prior_report
from policies.interface import Setup, Situation

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
TURNS = 4
TITLE = "How fast do the particles grow?"
ADA = Person(name="ada", role="operator", screen="test")


class Run:
    """Asks turn after turn until it is stopped; ``ran`` are the commands that an instrument would have got."""

    def __init__(self, make: dict[str, Callable[..., Any]], setup: Setup, timeout_s: float = 60.0) -> None:
        self.make, self.setup = make, setup
        self.ran: list[Command] = []
        self.halts = 0
        self.console = Console("every", timeout_s, self._halt)
        self.steered: tuple[str, ...] = ()
        self.feed = Feed(TITLE, setup, 50)
        self.feed.plan(TITLE, setup, "raster", ("bayes", "raster"))
        self.server = Server(self.console, self.feed, 0)
        self.review = Asking(self.console, Walls(setup.limits, setup.capabilities))
        self.door = self.server.door
        self.client = RemoteConsole(self.door.address, self.door.operator)
        self.thread = threading.Thread(target=self._loop)

    def _halt(self) -> None:
        self.halts += 1

    def start(self) -> None:
        self.thread.start()

    def check(self, changes: Sequence[str]) -> None:
        if wrong := [change for change in changes if "electrons=1e12" in change]:
            raise ConfigErrors("what is to be changed", [f"{change} is above limits.max_electrons" for change in wrong])

    def _steer(self) -> None:
        """Between two turns the run is what people want by then."""
        if (changes := self.console.steering(self.check)) != self.steered:
            self.steered = changes
            wanted = {path: value for path, _, value in (change.partition("=") for change in changes)}
            setup = dataclasses.replace(
                self.setup, max_electrons=float(wanted.get("budget.electrons", self.setup.max_electrons))
            )
            title = wanted.get("goal.question", json.dumps(TITLE))
            self.feed.plan(json.loads(title), setup, wanted.get("policy.name", "raster"), ("bayes", "raster"))

    def _loop(self) -> None:
        self.console.steering(self.check)
        for turn in itertools.count():
            x_nm = 40.0 * (turn % 9 - 4)
            commands = [
                self.make["command"](f"t{turn}-{number}", fov_nm=256.0 / (number + 1), stage_x_nm=x_nm, stage_y_nm=y_nm)
                for number, y_nm in enumerate((0.0, -150.0, 200.0))
            ]
            proposals = [self.make["proposal"](command, 0.02 - 0.005 * at) for at, command in enumerate(commands)]
            situation: Situation = self.make["situation"](turn, electrons_charged=1e5 * turn)
            decision = self.review(proposals, situation)
            observation: Observation | None = None
            if decision.command is not None:
                self.ran.append(decision.command)
                mode = "EELS" if turn % 3 == 2 else "HAADF"
                observation = replace_command(self.make["observation"](turn, mode, 64), decision.command)
                self.feed.see(observation, lambda: prior_report(self.setup.card))
            record: Record = replace(self.make["record"](turn, observation), decision=decision)
            if record.percept is not None and decision.command is not None:
                go = decision.command.go
                percept = replace(record.percept, x_nm=go.stage_x_nm or 0.0, y_nm=go.stage_y_nm or 0.0)
                record = replace(record, percept=percept)
            self.feed.add(record)
            self.console.ended()
            self._steer()
            if self.console.standing.stopped_by:
                return

    def close(self) -> None:
        if self.thread.is_alive():
            self.console.stop(ADA)
            self.thread.join(10.0)
        self.server.close()


def replace_command(observation: Observation, command: Command) -> Observation:
    return dataclasses.replace(observation, command=command, state=replace(observation.state, go=command.go))
