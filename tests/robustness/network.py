"""A namespace for each member and the cable between them. The names tell whose they are: nothing is left over."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .cable import MTU, NETWORK

_NAMESPACES = Path("/run/netns")
_PREFIX = "rb-"
ENDS_WITH_US = ("setpriv", "--pdeathsig", "SIGKILL")
"""The words before a command that must not outlive this process, whatever becomes of it."""


class Network:
    """Use as a context manager. Members are counted from 0."""

    def __init__(self, members: int) -> None:
        tag = secrets.token_hex(3)
        self.namespaces = [f"{own_prefix()}{tag}-{place}" for place in range(members)]
        self._ways: dict[tuple[int, int], dict[str, Any]] = {}
        self._cable: subprocess.Popen[str] | None = None

    def __enter__(self) -> Network:
        remove_leftovers()
        try:
            for name in self.namespaces:
                _ip("netns", "add", name)
            command = [*ENDS_WITH_US, sys.executable, str(Path(__file__).with_name("cable.py")), *self.namespaces]
            self._cable = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._cable.stdout is not None
            if self._cable.stdout.readline() != "plugged in\n":
                raise RuntimeError("the cable does not run")
            for place, name in enumerate(self.namespaces):
                _ip("-n", name, "addr", "add", f"{self.address(place)}/24", "dev", "eth0")
                _ip("-n", name, "link", "set", "eth0", "mtu", str(MTU), "up")
                _ip("-n", name, "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        if self._cable is not None:
            self._cable.kill()
            self._cable.wait()
            for pipe in (self._cable.stdin, self._cable.stdout):
                assert pipe is not None
                pipe.close()
            self._cable = None
        for name in self.namespaces:
            if (_NAMESPACES / name).exists():
                _ip("netns", "del", name)

    def address(self, place: int) -> str:
        return f"{NETWORK}{place + 1}"

    def inside(self, place: int) -> list[str]:
        """The words that run a command in a member's namespace."""
        return ["nsenter", f"--net={_NAMESPACES / self.namespaces[place]}"]

    # -- the weather

    def one_way(self, sender: int, receiver: int, **way: object) -> None:
        """`cut`, or delay, jitter, loss and double, see cable.py. Nothing: in order again."""
        self._ways.pop((sender, receiver), None)
        if way:
            self._ways[sender, receiver] = way
        self._tell()

    def cut_off(self, places: set[int]) -> None:
        """Nothing passes between these and the others."""
        for one in range(len(self.namespaces)):
            for other in range(len(self.namespaces)):
                if (one in places) != (other in places):
                    self._ways[one, other] = {"cut": True}
        self._tell()

    def everywhere(self, **way: object) -> None:
        for one in range(len(self.namespaces)):
            for other in range(len(self.namespaces)):
                if one != other:
                    self._ways[one, other] = dict(way)
        self._tell()

    def heal(self) -> None:
        self._ways.clear()
        self._tell()

    def _tell(self) -> None:
        assert self._cable is not None
        assert self._cable.stdin is not None
        self._cable.stdin.write(json.dumps([[*ends, way] for ends, way in self._ways.items()]) + "\n")
        self._cable.stdin.flush()


def own_prefix() -> str:
    """How the names of namespaces and folders of this process begin."""
    return f"{_PREFIX}{os.getpid()}-"


def remove_leftovers() -> None:
    """Namespaces, folders and disks of processes that are gone: somebody killed them before they could tidy up."""
    for path in (*_NAMESPACES.glob(f"{_PREFIX}*"), *Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*")):
        owner = path.name.removeprefix(_PREFIX).split("-")[0]
        if not owner.isdigit() or Path("/proc", owner).exists():
            continue
        if path.parent == _NAMESPACES:
            with contextlib.suppress(RuntimeError):  # somebody else tidies up too
                _ip("netns", "del", path.name)
        else:
            for disk in filter(Path.is_mount, path.glob("*/disk")):
                subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)
            shutil.rmtree(path, ignore_errors=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
