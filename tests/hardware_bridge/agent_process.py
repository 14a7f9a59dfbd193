"""A client in a process of its own: `python agent_process.py ENDPOINT scan|hang|think`; says `scanning` in mid scan."""

import sys
import threading
import time

from bench import scan

from hardware_bridge.client import Client
from hardware_bridge.observation import Chunk


def main() -> None:
    endpoint, what = sys.argv[1:]
    client = Client(endpoint)
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


if __name__ == "__main__":
    main()
