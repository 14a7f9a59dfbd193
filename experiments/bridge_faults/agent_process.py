"""An agent that stops where it is told to, to be killed, frozen or left hanging there.

`python -m experiments.bridge_faults.agent_process ENDPOINT ID POINT HOW`. It says `token N`, `at NS` (of the monotonic
clock), after `go` on its stdin `late ANSWER` to one more command; and `told NS ERROR` where the bridge is gone.
"""

from __future__ import annotations

import select
import sys
import time

from msgspec.structs import replace

from experiments.bridge_faults import points
from hardware_bridge import wire
from hardware_bridge.client import Client
from hardware_bridge.errors import BridgeError
from hardware_bridge.messages import Acquire, Command, Go
from hardware_bridge.microscope import execute
from hardware_bridge.observation import Chunk

THIRD = 3
FAR_NM = 100.0
MOVE_S = 0.6


def look(name: str, frames: int) -> Command:
    """A scan of a twelfth of a second a frame."""
    acquire = Acquire(mode="HAADF", fov_nm=256.0, pixels_x=8, pixels_y=64, dwell_s=1e-6, max_frames=frames)
    return Command(id=name, acquire=acquire)


def task(name: str, point: str) -> Command:
    """The command in whose life the point lies: long where it must not end before its time."""
    command = look(name, 1 if point in (points.ENDED, points.NO_RESULT, points.RESULT) else 60)
    moves = point in (points.MOVING, points.MOVES)
    return replace(command, go=Go(stage_z_nm=FAR_NM)) if moves else command


def main() -> None:
    """Work, and stop where told to."""
    endpoint, name, point, how = sys.argv[1:]
    try:
        client = Client(endpoint)
        print(f"token {client._token}", flush=True)
        _work(client, name, point, how)
    except BridgeError as error:
        print(f"told {time.monotonic_ns()} {type(error).__name__}", flush=True)


def _work(client: Client, name: str, point: str, how: str) -> None:
    def stop_at(here: str) -> None:
        if point == here:
            _stop(client, name, beats=how != "deadlock" and point != points.THINKING)

    stop_at(points.LEASED)
    if point == points.THINKING:
        execute(client, look(f"{name}-before", 1), 5.0)
        client.blank()
    stop_at(points.THINKING)
    client.submit(task(name, point))
    stop_at(points.SUBMITTED)
    if point == points.MOVING:
        _beat_for(client, MOVE_S / 3)
    stop_at(points.MOVING)
    for part in client.watch(5.0):
        if isinstance(part, Chunk) and part.header.sequence == THIRD:
            stop_at(points.SCANNING)
    stop_at(points.ENDED)


def _beat_for(client: Client, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        client.beat()
        time.sleep(0.01)


def _stop(client: Client, name: str, beats: bool) -> None:
    """Wait here for what is to come. A loop that lives beats until then; one that hangs or thinks does not."""
    print(f"at {time.monotonic_ns()}", flush=True)
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        if beats:
            try:
                client.beat()
            except BridgeError:
                beats = False
    late = client._message(wire.Submit, command=look(f"{name}-late", 1))
    print(f"late {type(client._link.ask('control', late, 2.0)).__name__}", flush=True)
    sys.exit()


if __name__ == "__main__":
    main()
