"""Which pod has which address of the node's CIDR, in a file before anybody uses it.

One JSON file, written whole and replaced: an agent that is killed anywhere never gives one address to two pods. It is
not synced, since a machine that loses power loses the pods' namespaces too; an unreadable file then counts as empty.
The network address, the gateway (the first host) and the last address stay reserved. Addresses are given
round robin, so that one just released is not reused while old connections die.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from pathlib import Path

VERSION = 1


class Exhausted(Exception):
    """Every address of the CIDR is taken."""


class Addresses:
    """Safe to call from any thread."""

    def __init__(self, path: Path, cidr: str) -> None:
        self._path = path
        self._network = ipaddress.IPv4Network(cidr)
        if self._network.num_addresses < 4:
            raise ValueError(f"pod CIDR {cidr} has no room for pods: at least a /30 is needed")
        self._lock = threading.Lock()
        self._next = 0
        self._taken: dict[str, str] = {}
        self._load()

    @property
    def cidr(self) -> str:
        return str(self._network)

    @property
    def gateway(self) -> str:
        return str(self._network[1])

    def assign(self, pod_uid: str) -> str:
        """The pod's address: the one it has, or the next free one. Exhausted when there is none."""
        with self._lock:
            if pod_uid in self._taken:
                return self._taken[pod_uid]
            address = self._free()
            self._taken[pod_uid] = address
            self._store()
            return address

    def release(self, pod_uid: str) -> None:
        with self._lock:
            if self._taken.pop(pod_uid, None) is not None:
                self._store()

    def held(self) -> dict[str, str]:
        """Pod uid to address."""
        with self._lock:
            return dict(self._taken)

    def _free(self) -> str:
        first, count = 2, self._network.num_addresses - 3
        used = set(self._taken.values())
        for step in range(count):
            offset = (self._next + step) % count
            address = str(self._network[first + offset])
            if address not in used:
                self._next = (offset + 1) % count
                return address
        raise Exhausted(f"all {count} addresses of {self._network} are taken")

    def _load(self) -> None:
        try:
            document = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return
        if (document["version"], document["cidr"]) == (VERSION, self.cidr):
            self._taken = dict(document["pods"])
            self._next = int(document["next"])

    def _store(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        document = {"version": VERSION, "cidr": self.cidr, "next": self._next, "pods": self._taken}
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file)
        temporary.replace(self._path)
