"""The cable between members, a process of its own: every packet from one namespace to another passes through here.

    [ m1 10.77.0.1 ]──tun──┐
    [ m2 10.77.0.2 ]──tun──┤ cable ── delays, loses, doubles, overtakes, or lets nothing through, each way by itself
    [ m3 10.77.0.3 ]──tun──┘

What `tc netem` does, for kernels without it. Arguments are the namespaces' names. Standard input is a line of JSON for
every change: all ways at once, `[[from, to, {"cut": true}], [from, to, {"delay": s, "jitter": s, "loss": p,
"double": p}], ...]`, members counted from 0; ways that are not named are in order. It ends with its standard input, and
the devices end with it.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from typing import Any

NETWORK = "10.77.0."
MTU = 9000
_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_HEADER = 0x1001
_FINE: dict[str, Any] = {}


def plug_in(namespace: str) -> int:
    """A device `eth0` in a namespace; packets are read from and written to the answer."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"rb{os.urandom(4).hex()}"
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _TUN_WITHOUT_HEADER))
    subprocess.run(["ip", "link", "set", name, "netns", namespace, "name", "eth0"], check=True)
    return descriptor


class Cable:
    """Forwards until its standard input ends."""

    def __init__(self, devices: list[int]) -> None:
        self._devices = devices
        self._ways: dict[tuple[int, int], dict[str, Any]] = {}
        self._late: list[tuple[float, int, int, bytes]] = []
        self._numbers = itertools.count()
        self._unread = b""

    def run(self) -> None:
        places = {device: place for place, device in enumerate(self._devices)}
        while True:
            wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            ready, _, _ = select.select([0, *self._devices], [], [], wait)
            for device in ready:
                if device == 0:
                    if not self._told():
                        return
                else:
                    self._drain(device, places[device])
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, place, packet = heapq.heappop(self._late)
                self._deliver(place, packet)

    def _told(self) -> bool:
        data = os.read(0, 65536)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._ways = {(one, other): way for one, other, way in json.loads(line)}
        return bool(data)

    def _drain(self, device: int, sender: int) -> None:
        while True:
            try:
                packet = os.read(device, 65536)
            except BlockingIOError:
                return
            if packet[0] >> 4 == 4 and packet[16:19] == bytes((10, 77, 0)) and packet[19] <= len(self._devices):
                self._send(sender, packet[19] - 1, packet)

    def _send(self, sender: int, receiver: int, packet: bytes) -> None:
        way = self._ways.get((sender, receiver), _FINE)
        if not way:
            self._deliver(receiver, packet)
            return
        if way.get("cut") or random.random() < way.get("loss", 0.0):
            return
        for _ in range(2 if random.random() < way.get("double", 0.0) else 1):
            due = time.monotonic() + way.get("delay", 0.0) + random.random() * way.get("jitter", 0.0)
            heapq.heappush(self._late, (due, next(self._numbers), receiver, packet))

    def _deliver(self, place: int, packet: bytes) -> None:
        try:
            os.write(self._devices[place], packet)
        except OSError:
            return  # a full queue loses packets, as everywhere


def main() -> None:
    devices = [plug_in(namespace) for namespace in sys.argv[1:]]
    print("plugged in", flush=True)
    Cable(devices).run()


if __name__ == "__main__":
    main()
