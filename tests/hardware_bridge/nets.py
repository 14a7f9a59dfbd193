"""Two network namespaces with one cable between them, made for a test and gone with it."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

BRIDGE, AGENT = "10.213.0.1", "10.213.0.2"


def missing() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            return f"there is no program {tool!r} here"
    name = f"bridge-{uuid.uuid4().hex[:8]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespace can be made: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


@dataclass(frozen=True)
class Net:
    """The namespaces of the bridge and of the agent; ``inside`` is the beginning of a command line within one."""

    bridge: str
    agent: str

    def inside(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", name]

    def cable(self, state: str) -> None:
        """Pull the cable ("down") or plug it in ("up"), on the agent's side."""
        _ip("-n", self.agent, "link", "set", "cable", state)

    def rule(self, rule: str) -> None:
        """Have packets that leave the agent meet a rule of nftables; in force when this returns."""
        commands = (
            "add table inet faults",
            "add chain inet faults out { type filter hook output priority 0 ; }",
            f"add rule inet faults out {rule}",
        )
        subprocess.run([*self.inside(self.agent), "nft", "\n".join(commands)], check=True)

    def no_rules(self) -> None:
        """Let all packets pass again."""
        subprocess.run([*self.inside(self.agent), "nft", "flush ruleset"], check=True)


@contextmanager
def cabled() -> Iterator[Net]:
    """Two namespaces side by side."""
    number = uuid.uuid4().hex[:8]
    net = Net(f"bridge-{number}", f"agent-{number}")
    try:
        for name in (net.bridge, net.agent):
            _ip("netns", "add", name)
        _ip("-n", net.bridge, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", net.agent)
        for name, address in ((net.bridge, BRIDGE), (net.agent, AGENT)):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield net
    finally:
        for name in (net.bridge, net.agent):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
