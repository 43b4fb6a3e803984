"""Who the members are, as the flags say; their numbers are derived, so that every member agrees on them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Member:
    """`peer_urls` as given; `address` is HOST:PORT of the first, by which Raft knows the member."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]

    @property
    def address(self) -> str:
        return urlsplit(self.peer_urls[0]).netloc


@dataclass(frozen=True, slots=True)
class Cluster:
    """All members and which one this is."""

    id: int
    token: str
    me: Member
    members: tuple[Member, ...]

    def by_address(self, address: str | None) -> Member | None:
        return next((member for member in self.members if member.address == address), None)


def describe(*, name: str, initial: dict[str, tuple[str, ...]], token: str, client_urls: tuple[str, ...]) -> Cluster:
    """The cluster that `--initial-cluster` names. Raises ValueError when `name` is not in it."""
    if name not in initial:
        raise ValueError(f"--initial-cluster does not name this member, {name!r}")
    members = tuple(
        Member(_number(token, *urls), member, urls, client_urls if member == name else ())
        for member, urls in sorted(initial.items())
    )
    me = next(member for member in members if member.name == name)
    return Cluster(_number(token, *(str(member.id) for member in members)), token, me, members)


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big") >> 1 or 1
