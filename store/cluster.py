"""Which member of which cluster this is: drawn up once, kept in the data directory, and from then on what counts.

    <data-dir>/member.json   {"version", "cluster", "member", "instance", "beginning", "check"}

A founder derives the numbers from the flags, as every other founder does; who joins gets them from the members.
`instance` names the data directory: one that replaces it has another, by which the others know that it was lost.
`beginning` is what the log begins with, and goes once the log has it: an empty log beside a file without it is a loss.
`check` is the CRC of the file without it; the first versions wrote none.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
from raftsman.store import snapshot
from raftsman.store.mvcc import members
from raftsman.store.raft.journal import Beginning
from raftsman.store.wal.disk import REAL, Disk, File

VERSION = 1
FILE = "member.json"


class BadIdentity(Exception):
    """The file in the data directory is not what a member of this version wrote."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The numbers of the cluster and of this member, and the name of its data directory."""

    id: int
    member: int
    instance: str

    @property
    def name(self) -> str:
        """The cluster's number as files and peers have it."""
        return f"{self.id:x}"


class _Kept(msgspec.Struct):
    version: int
    cluster: str
    member: str
    instance: str
    beginning: Beginning | None = None
    check: str = ""

    def checked(self) -> str:
        """What `check` must be."""
        return f"{zlib.crc32(msgspec.json.encode(msgspec.structs.replace(self, check=''))):08x}"


@dataclass(frozen=True, slots=True)
class Founders:
    """A new cluster, as the flags describe it."""

    cluster: int
    member: int
    members: tuple[members.Member, ...]


def founders(*, name: str, initial: dict[str, tuple[str, ...]], token: str) -> Founders:
    """The cluster that `--initial-cluster` names. Raises ValueError when `name` is not in it."""
    if name not in initial:
        raise ValueError(f"--initial-cluster does not name this member, {name!r}")
    found = {each: members.Member(_number(token, *urls), each, urls) for each, urls in sorted(initial.items())}
    cluster = _number(token, *(str(member.id) for member in found.values()))
    return Founders(cluster, found[name].id, tuple(found.values()))


def new_member(token: str, peer_urls: tuple[str, ...], moment_ns: int) -> int:
    """The number of a member that is added at a moment: another one than it may have had before."""
    return _number(token, *peer_urls, str(moment_ns))


def new_instance() -> str:
    return secrets.token_hex(8)


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big") >> 1 or 1


def kept(data_dir: Path) -> tuple[Cluster, Beginning | None] | None:
    """Who this data directory belongs to; None for a new one. Raises BadIdentity."""
    path = data_dir / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Kept)
        who = Cluster(int(found.cluster, 16), int(found.member, 16), found.instance)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, ValueError) as error:
        raise BadIdentity(f"{path} is damaged: {error}") from error
    if found.version != VERSION:
        raise BadIdentity(f"{path} has version {found.version}; this program reads version {VERSION}")
    if found.check and found.check != found.checked():
        raise BadIdentity(f"{path} is damaged: it does not come to its check")
    return who, found.beginning


def keep(data_dir: Path, who: Cluster, beginning: Beginning | None, *, disk: Disk = REAL) -> None:
    """Write it; it is whole and on disk when this returns."""
    held = _Kept(VERSION, who.name, f"{who.member:x}", who.instance, beginning)
    held.check = held.checked()

    def fill(file: io.BufferedWriter[File]) -> None:
        file.write(msgspec.json.encode(held))

    snapshot.place(data_dir / FILE, fill, disk=disk)
