"""What each command of the command line does, with its errors told in one line each."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.config import Config, ConfigErrors, load
from agent.eventlog import RecordError
from agent.loop import Stuck
from hardware_bridge.errors import BridgeError, KeyRefused, Unreachable

if TYPE_CHECKING:
    from agent.run import Finished

DONE, FAILED, BAD_INPUT, LOST, STOPPED = range(5)
WINDOWS = ("window", "background", "image_window")


def told(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Turn the errors that a user can meet into one clear message and an exit status."""

    def wrapped(given: argparse.Namespace) -> int:
        try:
            return command(given)
        except (ConfigErrors, KeyRefused, RecordError, ValueError) as error:
            return _say(str(error), BAD_INPUT)
        except Unreachable as error:
            return _say(f"the instrument is lost: {error}", LOST)
        except BrokenPipeError:
            # Whoever read the output has seen enough; what is still buffered must not complain either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        except OSError as error:
            return _say(f"{error.filename}: {error.strerror}" if error.filename else str(error), BAD_INPUT)
        except (BridgeError, Stuck, RuntimeError) as error:
            return _say(f"{type(error).__name__}: {error}", FAILED)
        except KeyboardInterrupt:
            return _say("stopped", STOPPED)

    return wrapped


def _say(message: str, status: int) -> int:
    print(f"adaptem: {message}", file=sys.stderr)
    return status


def configured(given: argparse.Namespace, *more: str, bare: bool = False) -> tuple[Config, int]:
    """The configuration of a command with its overrides, and the seed; all that is wrong with it is told at once.

    ``bare`` leaves out what only matters to a run: its world and its policy.
    """
    from agent.assemble import BARE, CHOICES

    overrides = [*given.overrides, *more]
    if getattr(given, "seed", None) is not None:
        overrides.append(f"instrument.seed={given.seed}")
    config = load(given.config, overrides, BARE if bare else CHOICES)
    return config, config.instrument.seed


@told
def run(given: argparse.Namespace) -> int:
    """Run the agent at an instrument; see agent/run.py."""
    from agent import conclude
    from agent.deciding import with_policy
    from agent.run import begin, resume
    from agent.watched import Watched

    if given.resume is not None:
        folder: Path | None = _alone(given).resume
    else:
        if given.config is None:
            raise ValueError("a config is needed (or --resume RUN)")
        more = ["review.mode=approval"] if given.approve else []
        more += [f"budget.turns={given.turns}"] if given.turns is not None else []
        config, seed = configured(given, *more)
        config = with_policy(config, given.policy) if given.policy is not None else config
        folder = given.out or (Path(config.record.folder) if config.record.folder else None)
    if folder is None:
        raise ValueError("--out: a folder for the record is needed (or record.folder in the config)")
    with contextlib.closing(Watched(sys.stdin.fileno(), sys.stdout, folder, given.port)) as observer:
        if given.resume is not None:
            finished = _unbroken(folder, lambda: resume(folder, observer))
        else:
            finished = _unbroken(folder, lambda: begin(config, seed, folder, observer))
    conclude.conclude(finished, sys.stdout)
    return STOPPED if observer.stopped else DONE


def _alone(given: argparse.Namespace) -> argparse.Namespace:
    """The arguments of a run that is resumed.

    Raises:
        ValueError: something else is given, which would go unheard.
    """
    names = {"config": "config", "out": "--out", "turns": "--turns", "seed": "--seed", "policy": "--policy"}
    more = [spoken for name, spoken in names.items() if getattr(given, name) is not None]
    more += ["--approve"] * given.approve + ["--set"] * bool(given.overrides)
    if more:
        raise ValueError(f"--resume takes no {', '.join(more)}: the run holds its own")
    return given


def _unbroken(folder: Path, bring_to_an_end: Callable[[], Finished]) -> Finished:
    """Run, and where a person interrupts it, say how to go on."""
    try:
        return bring_to_an_end()
    except KeyboardInterrupt:
        if folder.exists():
            print(f"adaptem: the record holds every finished turn; adaptem run --resume {folder}", file=sys.stderr)
        raise


@told
def serve(given: argparse.Namespace) -> int:
    """Serve the twin over the bridge until a signal, or until nobody came for a while."""
    from agent import twins
    from hardware_bridge.keys import read_server
    from hardware_bridge.server import Timing
    from hardware_bridge.server import serve as serve_microscope

    more = [f"instrument.calibration={given.calibration}"] if given.calibration is not None else []
    config, seed = configured(given, *more)
    microscope = twins.driver(config, seed)
    timing = Timing(linger_s=given.linger)
    keys = read_server(given.keys) if given.keys is not None else None
    serve_microscope(microscope, config.limits, given.endpoint, journal_folder=given.journal, timing=timing, keys=keys)
    return DONE


@told
def calibrate(given: argparse.Namespace) -> int:
    """Measure an instrument, print what was found, and write it where a server or a config can use it."""
    from agent import assemble
    from agent.calibrate.procedure import calibrate as measure
    from agent.calibrate.procedure import settings_of
    from agent.calibrate.table import table
    from hardware_bridge.calibration import write_calibration

    more = ["instrument.kind=bridge", f"instrument.endpoint={given.endpoint}"] if given.endpoint is not None else []
    config, seed = configured(given, *more, bare=True)
    if config.instrument.calibration is not None:
        raise ValueError("instrument.calibration is set: what is to be measured must not be corrected already")
    if config.instrument.endpoint is None:
        config = msgspec.structs.replace(config, instrument=msgspec.structs.replace(config.instrument, kind="twin"))
    if not given.out.parent.is_dir():
        raise ValueError(f"--out: there is no folder {given.out.parent}")
    asked = {name: getattr(given, name) for name in ("fov_nm", "pixels", "dwell_s", "grating_nm")}
    settings = settings_of({name: value for name, value in asked.items() if value is not None})
    with assemble.instrument(config, seed, given.out.parent) as microscope:
        found = measure(microscope, config.limits, settings, assemble.counts_per_electron(config), _progress)
        print(table(found.calibration, microscope.describe()))
    write_calibration(found.calibration, given.out)
    print(f"written to {given.out}; use it with adaptem serve --calibration, or as instrument.calibration in a config")
    return DONE


def _progress(line: str) -> None:
    print(f"... {line}", file=sys.stderr, flush=True)


@told
def twin(given: argparse.Namespace) -> int:
    """Show the twin's worlds, or fit a twin to what was recorded and write it where a configuration can take it."""
    from agent import twinning

    print((twinning.gallery if given.action == "gallery" else twinning.fit)(given, _progress))
    return DONE


@told
def replay(given: argparse.Namespace) -> int:
    """Go through a recorded run again: print its turns and check that perception sees the same, or show them."""
    from agent import assemble
    from agent.reading import open_run
    from agent.replay import show
    from agent.run import perceive_again

    if given.console:
        show(given.run, given.rival, given.port)
        return DONE
    if given.rival is not None or given.port is not None:
        raise ValueError("--rival, --port: only the console shows them; add --console")
    whole = open_run(given.run)
    problems = list(whole.problems)
    for record in whole.records:
        what = record.failure or record.decision.reason
        print(f"{record.turn:5d} {record.end_s:9.2f} s  {record.electrons:10.3g} e  {record.decision.verdict}: {what}")
    if whole.header is not None:
        perception = assemble.perception(whole.header.capabilities, whole.header.card, whole.header.config)
        try:
            problems += perceive_again(given.run, perception.perceive)
        except RecordError as error:
            problems.append(f"perception was checked up to here only: {error}")
    whole.close()
    for problem in problems:
        print(f"! {problem}")
    print(f"{len(whole.records)} turns, {len(problems)} problem{'s' if len(problems) != 1 else ''}")
    return FAILED if problems else DONE


@told
def approve(given: argparse.Namespace) -> int:
    """Sit at the console of a run that goes on, until it ends."""
    from agent.console.client import Gone, RemoteConsole
    from agent.console.words import Person
    from agent.terminal import Terminal, TerminalClient

    console = RemoteConsole.of(given.run)
    person = Person(name=given.name, role="operator", screen=f"terminal-{os.getpid()}")
    client = TerminalClient(console, Terminal(sys.stdin.fileno(), sys.stdout), person)
    told = ""
    try:
        while not (status := console.status()).stopped_by:
            question, gone = status.question, ""
            if status.paused_by or (question is not None and question.state == "proposed"):
                gone = client.attend(None if status.paused_by or question is None else question.id)
            elif told != (told := f"nothing is asked now (mode {status.mode})"):
                print(told, flush=True)
            if gone:
                return STOPPED
            time.sleep(0.1)
        print(f"stopped by {status.stopped_by}")
    except Gone as error:
        print(error)
    return DONE


@told
def audit(given: argparse.Namespace) -> int:
    """Print what people did in a run, and say where the log of it was changed."""
    from agent.console.audit import verified
    from agent.reading import open_run

    with open_run(given.run) as whole:
        entries, problems = verified(given.run, whole.records)
    for entry in entries:
        who = f"{entry.by} at {entry.screen}" if entry.screen else entry.by
        about = f"turn {entry.turn}" if entry.turn is not None else ""
        print(f"{entry.number:5d} {entry.at}  {entry.what:10s} {about:9s} {who}: {entry.reason}")
    for problem in problems:
        print(f"! {problem}")
    print(f"{len(entries)} entries, {len(problems)} problem{'s' if len(problems) != 1 else ''}")
    return FAILED if problems else DONE


@told
def report(given: argparse.Namespace) -> int:
    """Write the HTML report of a run again."""
    from agent import conclude

    print(conclude.rewrite(given.run, given.out))
    return DONE


@told
def evaluate(given: argparse.Namespace) -> int:
    """Compare policies on the twin over paired seeds."""
    from agent.evaluate import PAGE, asked, compare, seeds_of, shares_of

    configs, names = asked(given.config, given.overrides, given.policies, given.checkpoint)
    print("\n".join(compare(configs, names, seeds_of(given.seeds), shares_of(given.shares), given.out, given.ray)))
    if given.out is not None:
        print(f"written to {given.out / PAGE}")
    return DONE


@told
def simulate(given: argparse.Namespace) -> int:
    """Play an ensemble of twins, or what is left of it."""
    from agent.ensemble.plan import load_plan
    from agent.ensemble.simulate import simulate as play_all

    ensemble = load_plan(given.plan, given.overrides)
    print("\n".join(play_all(ensemble, given.out, given.ray)))
    return DONE


@told
def export_episodes(given: argparse.Namespace) -> int:
    """Write recorded runs as training data, and say which are none."""
    from agent.episodes import Episodes
    from policies.training.exports import export
    from policies.training.trajectory import Shapes

    episodes = Episodes(given.runs)
    shapes = Shapes.of(episodes)
    for problem in episodes.skipped:
        print(problem, file=sys.stderr)
    if not shapes.shapes:
        raise ValueError(f"no episode in {len(given.runs)} runs: nothing was written")
    count = export(episodes, shapes, given.format, given.out)
    skipped, unscored = len(episodes.skipped), len(episodes.unscored)
    print(
        f"{count} episodes written to {given.out}, {skipped} skipped, {unscored} without a truth: their rewards are 0"
    )
    return DONE


@told
def train(given: argparse.Namespace) -> int:
    """Train a chooser from its plan, or go on with a training."""
    from agent.training.session import train as session

    print(session(given.config, given.out, given.resume, sys.stderr))
    return DONE


@told
def dkl(given: argparse.Namespace) -> int:
    """Search a measured spectrum image again, led by its image, and say how many of its best spectra are found."""
    import torch

    from agent.structure.files import read_spectrum_image
    from agent.structure.page import summary, write
    from agent.structure.replay import Asked, replay

    torch.set_num_threads(1)
    out = given.out or given.file.with_name(f"{given.file.stem}-dkl")
    if not out.parent.is_dir():
        raise ValueError(f"--out: there is no folder {out.parent}")
    spectra = read_spectrum_image(given.file, given.dataset, given.image)
    windows = {name: pair and tuple(pair) for name in WINDOWS for pair in [getattr(given, name)]}
    done = replay(spectra, Asked(**windows, share=given.share, top=given.top, seed=given.seed), _progress)
    write(done, out)
    print(f"{summary(done)}\nwritten to {out}")
    return DONE


@told
def keys(given: argparse.Namespace) -> int:
    """Make the keys of a client, or list who is authorised; never shows a secret."""
    from hardware_bridge import keys as files

    if given.action == "make":
        print(files.make(given.folder, given.name, given.role))
    else:
        for entry in files.authorised(given.folder):
            print(f"{entry.name:16s} {entry.role:9s} {entry.public}")
    return DONE


@told
def doctor(given: argparse.Namespace) -> int:
    """Check the installation."""
    from agent.doctor import doctor as examine

    return examine(sys.stdout)
