"""One run from end to end: open the instrument, loop, record, claim. What `adaptem run` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from agent import assemble
from agent.config import Config, ReviewChoice
from agent.eventlog import Header, RecordError
from agent.forecast import forecast
from agent.loop import Loop, Perceive, Review, Stuck
from agent.notify import Teller, failure_told
from agent.park import park
from agent.reading import open_run
from agent.record import Record
from agent.recorder import FileRecorder, abandon, now, prepare, versions
from agent.review import Walls
from agent.steering import Helm, Wheel, begun, setup_of
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from hardware_bridge.report import Percept, Report
from policies.interface import Setup

REPORT_JSON = "report.json"


class Observer(Helm, Protocol):
    """Who watches a run and decides in it: the command line hands in a terminal, a test something simpler."""

    def tell(self, line: str) -> None:
        """Hear what there is to know before a new run begins."""
        ...

    def begin(self, title: str, setup: Setup, turns: int | None, done: tuple[Record, ...]) -> None:
        """Learn what runs, after how many turns it ends at the latest, and the turns that are there already."""
        ...

    def review(self, microscope: Microscope, walls: Walls, choice: ReviewChoice) -> Review:
        """Build the reviewer of the run."""
        ...

    def see(self, observation: Observation, belief: Callable[[], Report]) -> None:
        """See a window after perception has, and ask what is believed now where it wants to know."""
        ...

    def through(self, microscope: Microscope) -> Microscope:
        """The instrument as the loop is to use it, so that one may look on."""
        ...

    def show(self, record: Record) -> bool:
        """See one record; False ends the run."""
        ...


@dataclass(frozen=True)
class Finished:
    """How a run ended: its folder, what is claimed in the end, and how many turns there are in the record.

    ``header`` has the configuration as people had changed it by then.
    ``stopped`` tells whether the observer ended it before its time, ``untold`` what went wrong with telling of alarms.
    """

    folder: Path
    header: Header
    report: Report
    turns: int
    stopped: bool = False
    untold: tuple[str, ...] = ()


def begin(config: Config, seed: int, folder: Path, observer: Observer) -> Finished:
    """Start a new run into a new folder and bring it to its end.

    Raises:
        RecordError: the folder exists, what the run may write does not fit on its disk, or the disk failed.
        Unreachable: nothing answers at the endpoint, or the instrument was lost in mid run.
    """
    card = assemble.card_of(config)
    prepare(folder, config)
    try:
        with failure_told(config.notify, folder.name), assemble.instrument(config, seed, folder) as microscope:
            state = microscope.state()
            header = Header(
                created=now(),
                versions=versions(),
                config=config,
                seed=seed,
                capabilities=microscope.describe(),
                card=card,
                start_s=state.clock_s,
                end_s=state.clock_s + config.budget.duration_s,
                max_electrons=config.budget.electrons,
                electrons_at_start=state.electrons_charged,
            )
            foreseen = forecast(header, state, *assemble.outlook(config, seed, setup_of(header), state), folder)
            foreseen.check()
            observer.tell(str(foreseen))
            if unknown := assemble.unknown_truth(header.capabilities, card, seed):
                observer.tell(unknown)
            with FileRecorder(folder, header) as recorder:
                return _loop(microscope, recorder, observer)
    finally:
        abandon(folder)


def resume(folder: Path, observer: Observer) -> Finished:
    """Go on with an interrupted run after its last whole turn.

    Raises:
        RecordError: there is no such run, or more is wrong with it than a torn end.
        Unreachable: the instrument cannot be reached.
    """
    with FileRecorder.resume(folder) as recorder:
        header = recorder.header
        with (
            failure_told(header.config.notify, folder.name),
            assemble.instrument(header.config, header.seed, folder, recorder.records) as microscope,
        ):
            return _loop(microscope, recorder, observer)


def _loop(microscope: Microscope, recorder: FileRecorder, observer: Observer) -> Finished:
    header, done = recorder.header, recorder.records
    setup = setup_of(header)
    perception = assemble.perception(header.capabilities, header.card, header.config)
    choice = header.config.review
    walls = Walls(setup.limits, setup.capabilities, choice.envelope)
    walls.resume(done)
    observer.begin(header.config.goal.question, setup, header.config.budget.turns, done)

    def perceive(observation: Observation) -> Percept:
        percept = perception.perceive(observation)
        observer.see(observation, perception.report)
        return percept

    loop = Loop(
        microscope=observer.through(microscope),
        policy=begun(header),
        perceive=perceive,
        review=observer.review(microscope, walls, choice),
        recorder=recorder,
        setup=setup,
        expose=assemble.watching(header.config, recorder.spool),
        electrons_at_start=header.electrons_at_start,
        # An instrument that ran before may know the ids that a policy gives: this run's are told apart from them.
        suffix=f"-s{round(1e3 * header.start_s)}" if header.start_s > 0 else "",
    )
    if done:
        perceive_again(recorder.folder, perception.perceive)
        loop.resume(done)
    wheel = Wheel(loop, header, done, observer)
    stopped = False
    with Teller(header.config.notify, recorder.folder.name) as teller:
        try:
            for record in loop.run(header.config.budget.turns):
                for alarm in record.percept.alarms if record.percept is not None else ():
                    teller.alarm(f"turn {record.turn}: {alarm}")
                if not observer.show(record):
                    stopped = True
                    break
                wheel.turn(record)
        except Stuck:
            _park(loop, header.config)
            raise
        if not stopped:  # after a person's stop nothing moves
            _park(loop, header.config)
    report = perception.report()
    path = recorder.folder / REPORT_JSON
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return Finished(
        folder=recorder.folder,
        header=wheel.header,
        report=report,
        turns=loop.turn,
        stopped=stopped,
        untold=tuple(teller.problems),
    )


def _park(loop: Loop, config: Config) -> None:
    if config.park is not None:
        park(loop, config.park)


def perceive_again(folder: Path, perceive: Perceive) -> list[str]:
    """Show perception the recorded observations again, so that it stands where it stood; says where it sees otherwise.

    Raises:
        RecordError: a turn or its arrays are missing or altered; perception stands before it.
    """
    differences = []
    with open_run(folder) as run:
        for turn, record in enumerate(run.records):
            if record.turn != turn:
                raise RecordError(f"turn {turn} is missing")
            observation = run.observation(record)
            if observation is None or record.percept is None:
                continue
            if perceive(observation) != record.percept:
                differences.append(f"turn {record.turn} is perceived differently now")
    return differences
