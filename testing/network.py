"""Two network namespaces for one test: the machine that a cluster runs on, and the world outside of it.

    [ outside 172.31.255.1 ]──veth──[ node 172.31.255.2, default route to outside ]

No packet leaves the two. The names are unique, so runs on one machine never meet.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

NODE_ADDRESS = "172.31.255.2"
OUTSIDE_ADDRESS = "172.31.255.1"
PREFIX = 30


class Network:
    """Use as a context manager. `node` and `outside` are the namespaces' names."""

    def __init__(self, tag: str | None = None) -> None:
        tag = tag or secrets.token_hex(3)
        self.node, self.outside = f"rm-{tag}-node", f"rm-{tag}-out"

    def __enter__(self) -> Network:
        try:
            for name in (self.node, self.outside):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            peer = ("peer", "name", "eth0", "netns", self.outside)
            _ip("link", "add", "eth0", "netns", self.node, "type", "veth", *peer)
            for name, address in ((self.node, NODE_ADDRESS), (self.outside, OUTSIDE_ADDRESS)):
                _ip("-n", name, "addr", "add", f"{address}/{PREFIX}", "dev", "eth0")
                _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", self.node, "route", "add", "default", "via", OUTSIDE_ADDRESS)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        for name in (self.node, self.outside):
            if Path("/run/netns", name).exists():
                _ip("netns", "del", name)

    def add_outside_address(self, address: str) -> None:
        """Let the outside answer on one more address (a DNS server's, say)."""
        _ip("-n", self.outside, "addr", "add", f"{address}/32", "dev", "lo")

    def inside(self, *, outside: bool = False) -> list[str]:
        """The words that run a command in the node's namespace (or outside). `ip netns exec` would hide cgroups."""
        return ["nsenter", f"--net=/run/netns/{self.outside if outside else self.node}"]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
