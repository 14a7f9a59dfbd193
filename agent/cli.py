"""The command line: `adaptem COMMAND`, one of those in ``COMMANDS``.

Exit status: 0 done, 1 a check failed, 2 bad input (nothing was started), 3 the instrument was lost, 4 stopped by a
person.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

CALIBRATE = "experiments/calibrate_instrument/config.toml"
KEYS = Path.home() / ".config" / "adaptem" / "keys"
CONFIG = "experiments/in_situ_growth/config.toml"
ENSEMBLE = "experiments/ensembles/growth.toml"
WINDOWS = {
    "--window": "what is looked for: counts in it, in units of the file's axis",
    "--background": "window below it through which a power law goes, to be taken off",
    "--image-window": "counts in it are the image (default: the file's image, or counts below the other two)",
}
EXAMPLES = {
    "run": f"""\
  adaptem run {CONFIG} --out runs/first
  adaptem run {CONFIG} --out runs/short --turns 20 --set policy.name=raster
  adaptem run {CONFIG} --out runs/asked --approve
  adaptem run --resume runs/first
""",
    "serve": f"""\
  adaptem serve twin {CONFIG} --endpoint tcp://127.0.0.1:5570
  adaptem run {CONFIG} --out runs/served --set instrument.endpoint=tcp://127.0.0.1:5570   (in another terminal)
""",
    "calibrate": f"""\
  adaptem calibrate instrument {CALIBRATE} --out calibration.json
  adaptem calibrate instrument {CALIBRATE} --grating-nm 463 --out calibration.json
  adaptem calibrate instrument {CALIBRATE} --endpoint tcp://127.0.0.1:5570 --fov-nm 200 --out calibration.json
  adaptem serve twin {CALIBRATE} --calibration calibration.json
""",
    "twin": """\
  adaptem twin calibrate runs/first --out twin.toml
  adaptem twin calibrate repeats.tif --dark dark.tif --pixel-nm 0.5 --dwell-s 5e-6 --every-s 0.8 --out twin.toml
  adaptem twin calibrate image.npz
""",
    "keys": """\
  adaptem keys make agent --role operator --folder keys
  adaptem keys list --folder keys
""",
    "replay": """\
  adaptem replay runs/first
  adaptem replay runs/first --console --rival raster
""",
    "approve": "  adaptem approve runs/asked\n",
    "audit": "  adaptem audit runs/asked\n",
    "report": "  adaptem report runs/first\n  adaptem report runs/first --out first.html\n",
    "evaluate": f"""\
  adaptem evaluate {CONFIG} --policies bayes,raster --seeds 1000-1003
  adaptem evaluate agent/worlds/*.toml --policies greedy,raster --seeds 1000-1029 --out compared --ray local
  adaptem evaluate {CONFIG} --policies raster --seeds 1000 --shares 0.25,1 --out compared
""",
    "simulate": f"""\
  adaptem simulate {ENSEMBLE} --out ensembles/growth
  adaptem simulate {ENSEMBLE} --out ensembles/growth --ray local
  adaptem simulate {ENSEMBLE} --out ensembles/short --set budget.turns=10 --ray 10.0.0.1:6379
""",
    "export-episodes": """\
  adaptem export-episodes runs/first runs/second --format minari --out datasets/minari
  adaptem export-episodes runs/* --format rllib --out datasets/rllib
""",
    "train": """\
  adaptem train experiments/chooser/growth.toml --out trained
  adaptem train --resume trained
  adaptem evaluate agent/growth.toml --set perception.name=reader --policies greedy --checkpoint trained/chooser
""",
    "dkl": """\
  adaptem dkl map.hspy --window 708 730 --background 650 700 --out found
  adaptem dkl map.h5 --dataset Measurement_000/Channel_000/nDim_Data --window 14 17 --image-window 0 10
  adaptem dkl map.hspy --window 2.7 3.0 --share 0.1 --top 0.02 --seed 3
""",
    "doctor": "  adaptem doctor\n",
}


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, help="seed of the twin's world and of the policy, instead of the config's")
    _override_argument(parser)


def _override_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        dest="overrides",
        help="override one value of the config, e.g. budget.electrons=1e8 (repeatable)",
    )


def _run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("config", type=Path, nargs="?", help="configuration (TOML); not with --resume")
    run.add_argument("--out", type=Path, help="new folder for the record; an existing one is refused")
    run.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run, as it was configured")
    run.add_argument("--turns", type=int, help="stop after this many turns")
    run.add_argument("--policy", metavar="NAME", help="policy instead of the config's, with its settings in [rivals]")
    run.add_argument("--approve", action="store_true", help="ask before every command, in the terminal and the console")
    run.add_argument("--port", type=int, help="port of the console on this machine (default 8642, or any that is free)")
    _config_arguments(run)


def _serve_arguments(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("instrument", choices=["twin"], help="what to serve")
    serve.add_argument("config", type=Path, help="configuration (TOML)")
    serve.add_argument("--endpoint", default="tcp://127.0.0.1:5570", help="where to listen (default %(default)s)")
    serve.add_argument(
        "--keys", type=Path, help="folder of `adaptem keys`; only its clients get in (needed off loopback)"
    )
    serve.add_argument("--calibration", type=Path, help="drive it through what `adaptem calibrate` measured (JSON)")
    serve.add_argument("--journal", type=Path, help="folder that keeps intents and results (default: none is kept)")
    serve.add_argument("--linger", type=float, metavar="S", help="end after this many seconds without a client")
    _config_arguments(serve)


def _calibrate_arguments(calibrate: argparse.ArgumentParser) -> None:
    calibrate.add_argument("what", choices=["instrument"], help="what to calibrate")
    calibrate.add_argument("config", type=Path, help="configuration (TOML): instrument, limits, perception")
    calibrate.add_argument("--endpoint", help="bridge of the instrument, instead of the config's")
    calibrate.add_argument("--out", type=Path, required=True, help="where to write the calibration (JSON)")
    calibrate.add_argument("--fov-nm", type=float, metavar="NM", help="width of the field for moves (default 512)")
    calibrate.add_argument("--pixels", type=int, metavar="N", help="pixels along its edge (default 256)")
    calibrate.add_argument("--dwell-s", type=float, metavar="S", help="dwell, or exposure of a camera (default 2e-6)")
    calibrate.add_argument(
        "--grating-nm", type=float, metavar="NM", help="period of a square grating in view: the reference of length"
    )
    _config_arguments(calibrate)


def _twin_arguments(twin: argparse.ArgumentParser) -> None:
    actions = twin.add_subparsers(dest="action", required=True, metavar="calibrate|gallery")
    gallery = actions.add_parser(
        "gallery",
        help="write a page of pictures of the worlds",
        description="Write one page of pictures: each world over time in each mode, with its truth.",
        epilog="example:\n  adaptem twin gallery --world growth --world valence --out gallery.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    gallery.add_argument("--world", action="append", help="a world to show (repeatable; default: all)")
    gallery.add_argument("--seed", type=int, default=1, help="seed of the worlds (default %(default)s)")
    gallery.add_argument("--out", type=Path, default=Path("gallery.html"), help="where to write (default %(default)s)")
    calibrate = actions.add_parser(
        "calibrate",
        help="fit a twin to recorded data, or say what they do not tell",
        description="Fit gain, offset, noise, source, current, drift and its focus to a recorded run, or to images.",
        epilog=f"examples:\n{EXAMPLES['twin']}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    calibrate.add_argument(
        "data", type=Path, nargs="+", help="the folder of one run, or files (npy, npz, TIFF, HDF5), each one place"
    )
    calibrate.add_argument(
        "--dark", type=Path, action="append", default=[], help="file of dark references (repeatable)"
    )
    calibrate.add_argument("--pixel-nm", type=float, metavar="NM", help="edge of a pixel, where files do not say it")
    calibrate.add_argument("--dwell-s", type=float, metavar="S", help="dwell at a pixel")
    calibrate.add_argument("--every-s", type=float, metavar="S", help="time from the start of one image to the next")
    calibrate.add_argument(
        "--share", type=float, metavar="X", help="part of the incident electrons that the images count (1: bare beam)"
    )
    calibrate.add_argument(
        "--out", type=Path, metavar="TOML", help="where to write the tables of a twin, JSON beside it"
    )


def _keys_arguments(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(dest="action", required=True, metavar="make|list")
    make = actions.add_parser("make", help="make a client's keys, authorise them, print their file")
    make.add_argument("name", metavar="NAME", help="name of the client; its file is FOLDER/NAME.key")
    make.add_argument("--role", choices=["operator", "observer"], required=True, help="what the client may do")
    listing = actions.add_parser("list", help="list who is authorised")
    for action in (make, listing):
        action.add_argument("--folder", type=Path, default=KEYS, help="folder of the keys (default %(default)s)")


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of the run")


def _replay_arguments(replay: argparse.ArgumentParser) -> None:
    _run_argument(replay)
    replay.add_argument("--console", action="store_true", help="open it in the console, with a time slider")
    replay.add_argument("--rival", metavar="POLICY", help="there, what this policy would have chosen at each turn")
    replay.add_argument("--port", type=int, help="port of the console (default 8642, or any that is free)")


def _approve_arguments(approve: argparse.ArgumentParser) -> None:
    _run_argument(approve)
    approve.add_argument("--name", default="operator", help="who you are, for the record (default %(default)s)")


def _report_arguments(report: argparse.ArgumentParser) -> None:
    report.add_argument("run", type=Path, help="folder of the run")
    report.add_argument("--out", type=Path, help="where to write it (default: RUN/report.html)")


def _evaluate_arguments(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("config", type=Path, nargs="+", help="configurations (TOML), one of each world")
    evaluate.add_argument("--policies", default="bayes,raster", help="comma-separated names (default %(default)s)")
    evaluate.add_argument("--seeds", default="1000-1003", help="first-last (default %(default)s)")
    evaluate.add_argument("--shares", default="1", help="shares of the electron budget, e.g. 0.125,0.25,0.5,1")
    evaluate.add_argument("--out", type=Path, help="folder of all episodes and a page; what it has is not played again")
    evaluate.add_argument("--checkpoint", type=Path, help="also play the learned policy, with this trained chooser")
    evaluate.add_argument("--ray", metavar="local|ADDRESS", help="distribute the episodes with Ray")
    _override_argument(evaluate)


def _simulate_arguments(simulate: argparse.ArgumentParser) -> None:
    simulate.add_argument("plan", type=Path, help="what is varied, and the configuration it is about (TOML)")
    simulate.add_argument(
        "--out", type=Path, required=True, help="folder of the results; what it has is not played again"
    )
    simulate.add_argument("--ray", metavar="local|ADDRESS", help="distribute the twins with Ray")
    _override_argument(simulate)


def _export_arguments(export: argparse.ArgumentParser) -> None:
    export.add_argument("runs", type=Path, nargs="+", help="folders of recorded runs; what is no whole run is named")
    export.add_argument("--format", choices=["minari", "rllib"], required=True, help="whose format to write")
    export.add_argument("--out", type=Path, required=True, help="new folder for the data")


def _train_arguments(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "config", type=Path, nargs="?", help="what to train in and for how long (TOML); not with --resume"
    )
    train.add_argument("--out", type=Path, help="new folder for the training")
    train.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with an interrupted training")


def _dkl_arguments(dkl: argparse.ArgumentParser) -> None:
    dkl.add_argument("file", type=Path, help="spectrum image of HyperSpy (.hspy), NSID (.h5) or NeXus (.nxs)")
    for name, told in WINDOWS.items():
        dkl.add_argument(name, type=float, nargs=2, metavar=("LOW", "HIGH"), required=name == "--window", help=told)
    dkl.add_argument("--dataset", metavar="NAME", help="spectrum image in the file, where it holds several")
    dkl.add_argument("--image", metavar="NAME", help="image in the file, where it holds several of that grid")
    dkl.add_argument("--share", type=float, default=0.05, help="of the spectra to take (default %(default)s)")
    dkl.add_argument("--top", type=float, default=0.01, help="share that is looked for (default %(default)s)")
    dkl.add_argument("--seed", type=int, default=0, help="of the first places (default %(default)s)")
    dkl.add_argument("--out", type=Path, help="folder for order.csv and search.png (default: FILE-dkl)")


def _no_arguments(_: argparse.ArgumentParser) -> None:
    """Take none."""


COMMANDS = {
    "run": ("run the agent at an instrument", _run_arguments),
    "serve": ("serve an instrument over the bridge, until Ctrl-C", _serve_arguments),
    "calibrate": (
        "measure what an instrument's stage, beam, scan, lens and spectrometer really do",
        _calibrate_arguments,
    ),
    "twin": ("calibrate a twin by recorded data, or show its worlds", _twin_arguments),
    "keys": ("make and list the keys of a bridge and its clients", _keys_arguments),
    "replay": ("go through a recorded run again and check it", _replay_arguments),
    "approve": ("answer, in this terminal, what a run that goes on asks", _approve_arguments),
    "audit": ("print what people did in a run, and check that nobody changed it", _replay_arguments),
    "report": ("write the HTML report of a run again", _report_arguments),
    "evaluate": ("compare policies on the twin over paired seeds", _evaluate_arguments),
    "simulate": ("play an ensemble of twins over a grid or a sample of parameters", _simulate_arguments),
    "export-episodes": ("write recorded runs as training data for RLlib or Minari", _export_arguments),
    "train": ("train a policy that chooses looks, on the twin", _train_arguments),
    "dkl": ("search a measured spectrum image again for its best spectra, led by its image", _dkl_arguments),
    "doctor": ("check the installation", _no_arguments),
}


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="adaptem",
        description="An agent that runs an electron microscope by itself.",
        epilog="examples:\n" + "".join(EXAMPLES.values()),
        formatter_class=raw,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (does, add_arguments) in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=does,
            description=f"{does[0].upper()}{does[1:]}.",
            epilog=f"examples:\n{EXAMPLES[name]}",
            formatter_class=raw,
        )
        add_arguments(sub)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    # Small arrays: more threads only get in the way of each other and of the instrument. Read when numpy is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    given = parser().parse_args(arguments)
    # Imported here: each command loads only what it needs, so that --help and doctor answer at once.
    from agent import commands

    handler = getattr(commands, given.command.replace("-", "_"))
    status: int = handler(given)
    return status


if __name__ == "__main__":
    sys.exit(main())
