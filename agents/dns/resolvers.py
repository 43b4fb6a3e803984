"""Which name servers the node itself uses: the `nameserver` lines of a resolv.conf(5), read again when it changes.

The file is looked at no more than once in CHECK_INTERVAL_S. Own addresses are left out, since asking them would loop.
"""

import ipaddress
import os
from pathlib import Path

SERVERS_MAX = 3
CHECK_INTERVAL_S = 1.0
PORT = 53

Server = tuple[str, int]


class Resolvers:
    def __init__(self, path: Path, *, own: frozenset[str] = frozenset(), port: int = PORT) -> None:
        self._path, self._own, self._port = path, own, port
        self._servers: tuple[Server, ...] = ()
        self._stamp: tuple[int, int, int] | None = None
        self._checked_s = float("-inf")

    def servers(self, *, now_s: float) -> tuple[Server, ...]:
        """The servers to ask, in order; `now_s` from a monotonic clock."""
        if now_s - self._checked_s >= CHECK_INTERVAL_S:
            self._checked_s = now_s
            self._read()
        return self._servers

    def _read(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._servers = parse(self._path.read_text(errors="replace"), own=self._own, port=self._port)
                self._stamp = stamp
        except OSError:
            self._servers, self._stamp = (), None


def parse(text: str, *, own: frozenset[str] = frozenset(), port: int = PORT) -> tuple[Server, ...]:
    """The first SERVERS_MAX usable name servers of a resolv.conf."""
    found: list[Server] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and words[1] not in own and _is_address(words[1]):
            found.append((words[1], port))
    return tuple(dict.fromkeys(found))[:SERVERS_MAX]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
