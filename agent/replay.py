"""A recorded run in the console: what `adaptem replay RUN --console` serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from agent import assemble
from agent.config import PolicyChoice
from agent.console.door import Door
from agent.console.feed import Feed
from agent.console.replaying import Replaying
from agent.console.server import Server
from agent.console.words import Conflict, Replay
from agent.eventlog import RecordError
from agent.reading import open_run
from agent.steering import begun, setup_of
from policies.interface import Policy


def show(folder: Path, rival: str | None, port: int | None) -> None:
    """Serve the console of a record until somebody interrupts it; raises what ``opened`` does."""
    with opened(folder, rival, port) as door, suppress(KeyboardInterrupt):
        print(f"console: {door.address}/#{door.operator}\nend it with Ctrl-C", flush=True)
        while True:
            time.sleep(1.0)


@contextmanager
def opened(folder: Path, rival: str | None = None, port: int | None = None) -> Iterator[Door]:
    """Serve the record of a run, whole or still going on, with what another policy would have chosen.

    Raises:
        RecordError: there is no such run, or no turn in it.
        ValueError: there is no such policy.
        OSError: the port is taken.
    """
    run = open_run(folder)
    header = run.header
    if header is None:
        raise RecordError(f"{folder}: its header is lost: {'; '.join(run.problems)}")
    config, setup = header.config, setup_of(header)
    perception = assemble.perception(header.capabilities, header.card, config)

    def make(name: str) -> Policy:
        choice = PolicyChoice(name=name, settings=config.settings_of(name))
        return begun(replace(header, config=replace(config, policy=choice)))

    feed = Feed(config.goal.question, setup, config.budget.turns)
    feed.plan(config.goal.question, setup, config.policy.name, assemble.POLICIES)
    with closing(Replaying(run, setup, feed, make, (perception.perceive, perception.report))) as console:
        if rival is not None:
            try:
                console.replay(Replay(rival=rival))
            except Conflict as error:
                raise ValueError(str(error)) from None
        with closing(Server(console, feed, port, folder)) as server:
            yield server.door
