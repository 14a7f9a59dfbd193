"""A client in a process of its own: `python agent_process.py ENDPOINT scan|hang|think|turns [KEYS]`.

It says `scanning` in mid scan, `ended ABORTED GAPS` after it, and `told ERROR` where it was told of one. `turns` are
short scans, until it is ended.
"""

import itertools
import sys
import threading
import time
from pathlib import Path

from bench import scan

from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError
from hardware_bridge.keys import read_client
from hardware_bridge.messages import End
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk


def main() -> None:
    endpoint, what, *keys = sys.argv[1:]
    try:
        client = Client(endpoint, keys=read_client(Path(keys[0])) if keys else None)
        if what == "turns":
            turns(client)
        else:
            long_scan(client, what)
    except BridgeError as error:
        print(f"told {type(error).__name__}", flush=True)


def turns(client: Client) -> None:
    for number in itertools.count():
        seen = execute(client, scan(f"turn-{number}"), 5.0)
        print(f"ended {seen.aborted} {seen.gaps + seen.dropped}", flush=True)


def long_scan(client: Client, what: str) -> None:
    client.submit(scan(f"long-{what}", rows=256, frames=64))
    said = False
    for part in client.watch(5.0):
        if isinstance(part, Chunk) and not said:
            print("scanning", flush=True)
            said = True
            if what == "hang":  # the loop hangs, its sockets live on
                threading.Event().wait()
            if what == "think":
                client.blank()
                print("thinking", flush=True)
                time.sleep(60)
        if isinstance(part, End):
            print(f"ended {part.aborted} {client.lost_parts}", flush=True)


if __name__ == "__main__":
    main()
