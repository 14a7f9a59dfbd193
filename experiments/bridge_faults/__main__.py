"""What the hardware bridge does when everything around it goes wrong; each command writes its section of RESULT.md.

python -m experiments.bridge_faults fuzz                       a million messages, some two minutes on one core
python -m experiments.bridge_faults fuzz --messages 20000      a quick look, nothing is written
python -m experiments.bridge_faults kills --runs 240           kills, freezes and hangs, some five minutes on two cores
python -m experiments.bridge_faults crashes                    a crash at every side effect, some ten seconds
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

from experiments.bridge_faults import page
from experiments.bridge_faults.crashes import enumerated
from experiments.bridge_faults.fuzz import Fuzz
from experiments.bridge_faults.kills import Run, campaign, spread
from experiments.bridge_faults.wired import fuzz_wired

MANY = 1_000_000
WIRED_SHARE = 50
RUNS = 240
MEMORY = Path("/dev/shm")  # the journal is synced at every command, which would be all the fuzz does on a disk


def main() -> int:
    """Inject, print what came of it, and write it where all was injected; 1 where something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bridge_faults", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="what", required=True)
    fuzz = commands.add_parser("fuzz", help="messages that nobody should send")
    fuzz.add_argument("--messages", type=int, default=MANY, metavar="N", help=f"how many (default {MANY})")
    kills = commands.add_parser("kills", help="agents and bridges that die, freeze and hang")
    kills.add_argument("--runs", type=int, default=RUNS, metavar="N", help=f"at least how many (default {RUNS})")
    commands.add_parser("crashes", help="a crash at every side effect")
    for command in (fuzz, kills):
        command.add_argument("--seed", type=int, default=1, metavar="S", help="of all random choices (default 1)")
    given = parser.parse_args()
    if given.what == "fuzz":
        if given.messages < 1:
            parser.error(f"--messages {given.messages}: it must be at least 1")
        return _fuzz(given.messages, given.seed)
    if given.what == "crashes":
        return _crashes()
    if given.runs < 1:
        parser.error(f"--runs {given.runs}: it must be at least 1")
    return _kills(given.runs, given.seed)


def _fuzz(messages: int, seed: int) -> int:
    logging.disable(logging.WARNING)  # every lost lease is told otherwise
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        begun_s = time.monotonic()

        def tell(done: int) -> None:
            rate = done / (time.monotonic() - begun_s)
            print(f"{done} of {messages} messages, {rate:.0f} a second", flush=True)

        (Path(scratch) / "stepped").mkdir()
        fuzz = Fuzz(Path(scratch) / "stepped", seed)
        fuzz.run(messages, tell)
        stepped_s = time.monotonic() - begun_s
        wired = fuzz_wired(Path(scratch) / "wired", messages // WIRED_SHARE, seed)
        wired_s = time.monotonic() - begun_s - stepped_s
    section = page.fuzz_section(messages, seed, (fuzz.found, stepped_s), (wired, wired_s))
    return _told(section, messages >= MANY, bool(fuzz.found.wrong or wired.wrong))


def _kills(runs: int, seed: int) -> int:
    faults, begun_s, done = spread(runs, seed), time.monotonic(), 0

    def tell(run: Run) -> None:
        nonlocal done
        done += 1
        wrong = "".join(f"; WRONG: {what}" for what in run.wrong)
        fault = run.fault
        print(f"{done} of {len(faults)}: {fault.victim}, {fault.point}, {fault.how}: {run.fate}{wrong}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        found = campaign(Path(scratch), faults, tell)
    section = page.kills_section(found, seed, time.monotonic() - begun_s)
    return _told(section, len(faults) >= RUNS, any(run.wrong for run in found))


def _crashes() -> int:
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as scratch:
        found = enumerated(Path(scratch))
    return _told(page.crashes_section(found, time.monotonic() - begun_s), True, bool(found.wrong))


def _told(section: str, is_whole: bool, is_wrong: bool) -> int:
    print(section)
    if is_whole:
        page.put(section)
    return int(is_wrong)


if __name__ == "__main__":
    raise SystemExit(main())
