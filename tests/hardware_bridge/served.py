"""Serves the bench instrument as a process of its own: `python served.py FOLDER [key=value ...]`."""

import sys
from pathlib import Path

from bench import LIMITS, Bench

from hardware_bridge.server import Timing, serve


def main() -> None:
    folder = Path(sys.argv[1])
    options = dict(argument.split("=", 1) for argument in sys.argv[2:])
    bench = Bench(
        chunk_s=float(options.get("chunk_s", "0")), hangs=options.get("hangs", ""), parks=options.get("parks") == "1"
    )
    linger_s = float(options["linger_s"]) if "linger_s" in options else None
    endpoint = options.get("endpoint", "tcp://127.0.0.1:0")
    serve(bench, LIMITS, endpoint, journal_folder=folder, timing=Timing(linger_s=linger_s))


if __name__ == "__main__":
    main()
