"""The command line: `adaptem run | serve | replay | report | evaluate | doctor`.

Exit status: 0 done, 1 a check failed, 2 bad input (nothing was started), 3 the instrument was lost, 4 stopped by a
person.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

EXAMPLES = """examples:
  adaptem run experiments/in_situ_growth/config.toml --out runs/first
  adaptem run experiments/in_situ_growth/config.toml --out runs/short --turns 20 --set policy.name='"raster"'
  adaptem run --resume runs/first
  adaptem run experiments/in_situ_growth/config.toml --out runs/asked --approve
  adaptem serve twin experiments/in_situ_growth/config.toml --endpoint tcp://127.0.0.1:5570
  adaptem replay runs/first
  adaptem report runs/first
  adaptem evaluate experiments/in_situ_growth/config.toml --policies bayes,raster --seeds 1000-1003
  adaptem doctor
"""


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, help="seed of the twin's world and of the policy, instead of the config's")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="overrides",
        help="override one value of the config, e.g. budget.electrons=1e8 (repeatable)",
    )


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="adaptem",
        description="An agent that runs an electron microscope by itself.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the agent at an instrument", epilog=EXAMPLES, formatter_class=_RAW)
    run.add_argument("config", type=Path, nargs="?", help="configuration (TOML); not with --resume")
    run.add_argument("--out", type=Path, help="new folder for the record; an existing one is refused")
    run.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run")
    run.add_argument("--turns", type=int, help="stop after this many turns")
    run.add_argument("--approve", action="store_true", help="ask in the terminal before every command")
    _config_arguments(run)

    serve = commands.add_parser("serve", help="serve an instrument over the bridge", formatter_class=_RAW)
    serve.add_argument("instrument", choices=["twin"], help="what to serve")
    serve.add_argument("config", type=Path, help="configuration (TOML)")
    serve.add_argument("--endpoint", default="tcp://127.0.0.1:5570", help="where to listen (default %(default)s)")
    serve.add_argument("--journal", type=Path, help="where intents and results are kept (default: beside the endpoint)")
    serve.add_argument("--linger", type=float, metavar="S", help="end after this many seconds without a client")
    _config_arguments(serve)

    replay = commands.add_parser("replay", help="go through a recorded run again and check it")
    replay.add_argument("run", type=Path)

    report = commands.add_parser("report", help="write the HTML report of a run again")
    report.add_argument("run", type=Path)
    report.add_argument("--out", type=Path, help="where to write it (default: RUN/report.html)")

    evaluate = commands.add_parser("evaluate", help="compare policies on the twin over paired seeds")
    evaluate.add_argument("config", type=Path)
    evaluate.add_argument("--policies", default="bayes,raster", help="comma-separated names (default %(default)s)")
    evaluate.add_argument("--seeds", default="1000-1003", help="first-last (default %(default)s)")
    evaluate.add_argument("--shares", default="1", help="shares of the electron budget, e.g. 0.125,0.25,0.5,1")
    evaluate.add_argument("--out", type=Path, help="a JSON lines file of all episodes; existing episodes are kept")
    evaluate.add_argument("--ray", metavar="local|ADDRESS", help="distribute the episodes with Ray")
    evaluate.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", dest="overrides")

    commands.add_parser("doctor", help="check the installation")
    return top


_RAW = argparse.RawDescriptionHelpFormatter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = parser().parse_args(arguments)
    # Imported here: each command loads only what it needs, so that --help and doctor answer at once.
    from agent import commands

    handler = getattr(commands, given.command)
    status: int = handler(given)
    return status


if __name__ == "__main__":
    sys.exit(main())
