"""Serves the bench instrument as a process of its own: `python served.py FOLDER [key=value ...]`."""

import sys
from pathlib import Path

from bench import LIMITS, Bench

from hardware_bridge.keys import read_server
from hardware_bridge.server import Timing, serve


def main() -> None:
    folder = Path(sys.argv[1])
    options = dict(argument.split("=", 1) for argument in sys.argv[2:])
    bench = Bench(
        chunk_s=float(options.get("chunk_s", "0")), hangs=options.get("hangs", ""), parks=options.get("parks") == "1"
    )
    timing = Timing(
        lease_s=float(options.get("lease_s", "10")),
        linger_s=float(options["linger_s"]) if "linger_s" in options else None,
    )
    keys = read_server(Path(options["keys"])) if "keys" in options else None
    endpoint = options.get("endpoint", "tcp://127.0.0.1:0")
    serve(bench, LIMITS, endpoint, journal_folder=folder, timing=timing, keys=keys)


if __name__ == "__main__":
    main()
