"""Debian's etcd and our store side by side: the same steps on both, and everything that they answer compared.

Both begin empty and are given the same, so that even revisions are equal. After a difference they are not any more: a
new pair is started, and the sequence made shorter as long as the difference stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import etcds
import members
from differences import intended, lost_by_etcd
from raftsman.etcd import rpc_pb2
from sides import Outcome, Side, Stream, Watched, described, placed
from steps import FAMILIES, LEASES, ODD, ROLES, USERS, Generator, Step

BCRYPT = "--bcrypt-cost=4"
SENTINEL = b"~sentinel"
ETCD_CATCHES_UP_S = 0.13
"""etcd looks at watches that lag ten times a second."""
CATCH_UP_S = 3.0
POLL_S = 0.005


class Different(Exception):
    """The two did not answer alike; the sentence says at which step and how."""


class Pair:
    """Both servers. `revision` is the one that both are at."""

    def __init__(self, etcd: Side, ours: Side) -> None:
        self.etcd, self.ours = etcd, ours
        self._compactions: set[int] = set()

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.etcd, self.ours

    async def run(self, sequence: list[Step]) -> None:
        """Make the steps and clean up. Raises Different."""
        try:
            for place, step in enumerate(sequence):
                await self.step(place, step)
            await self._compare_watches()
        finally:
            for side in self.sides:
                await side.close_stream()
        for step in _cleanup():
            await self.step(len(sequence), step)

    async def step(self, place: int, step: Step) -> None:
        """Make one step on both. Raises Different."""
        now = self.etcd.revision
        outcomes = await asyncio.gather(*(side.make(step, now) for side in self.sides))
        if outcomes[0] != outcomes[1] and not intended(step, *outcomes):
            raise Different(f"step {place}, at revision {now}: {step!r}\n  etcd: {outcomes[0]}\n  ours: {outcomes[1]}")
        if self.etcd.revision != self.ours.revision:
            raise Different(f"step {place}: {step!r}: etcd is at {self.etcd.revision}, ours at {self.ours.revision}")

        if step.name == "KV.Compact" and outcomes[0].answer is not None:
            self._compactions.add(placed(step.request, now).revision)  # type: ignore[attr-defined]
        if step.name == "Watch.create" and step.request.start_revision:  # type: ignore[attr-defined]
            await asyncio.sleep(ETCD_CATCHES_UP_S)
            await self._as_far()

    # -- watches

    async def _as_far(self) -> None:
        """Wait until every watch was told as much by both, or for too long."""
        streams = [side.stream for side in self.sides]
        if streams[0] is None or streams[1] is None:
            return
        etcd, ours = streams[0], streams[1]
        deadline = asyncio.get_running_loop().time() + CATCH_UP_S
        while not all(_alike(etcd, ours, watch_id) for watch_id in etcd.watches):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(POLL_S)

    async def _compare_watches(self) -> None:
        streams = [side.stream for side in self.sides]
        if streams[0] is None or streams[1] is None:
            return
        etcd, ours = streams[0], streams[1]
        create = rpc_pb2.WatchCreateRequest(key=SENTINEL, watch_id=1000)
        await self.step(-1, Step("Watch.create", create))
        await self.step(-1, Step("KV.Put", rpc_pb2.PutRequest(key=SENTINEL)))
        for stream in (etcd, ours):
            await stream.until(lambda stream=stream: stream.watches[1000].events)
        await self._as_far()
        for watch_id in sorted({*etcd.watches, *ours.watches}):
            _compare_watch(watch_id, etcd.watches.get(watch_id), ours.watches.get(watch_id), self._compactions)


def _alike(etcd: Stream, ours: Stream, watch_id: int) -> bool:
    one, other = etcd.watches[watch_id], ours.watches.get(watch_id)
    if other is None or one.asked_to_end:
        return True
    return len(one.events) == len(other.events) and (one.ended is None) == (other.ended is None)


def _compare_watch(watch_id: int, etcd: Watched | None, ours: Watched | None, compactions: set[int]) -> None:
    if etcd is None or ours is None:
        raise Different(f"watch {watch_id}: etcd has {etcd}, ours has {ours}")
    one, other = (described(lost_by_etcd(watched.events, compactions)) for watched in (etcd, ours))
    if etcd.asked_to_end:  # events may have been on their way
        shared = min(len(one), len(other))
        one, other = one[:shared], other[:shared]
    if one != other:
        lines = [
            f"  {'=' if left == right else '!'} etcd: {left}\n    ours: {right}"
            for left, right in itertools.zip_longest(one, other)
        ]
        raise Different(f"watch {watch_id} was told\n" + "\n".join(lines))
    ends = [_end(watched) for watched in (etcd, ours)]
    if ends[0] != ends[1] and not etcd.asked_to_end:
        raise Different(f"watch {watch_id} ended\n  etcd: {ends[0]}\n  ours: {ends[1]}")


def _end(watched: Watched) -> tuple[bool, int] | None:
    ended = watched.ended
    return None if ended is None else (ended.canceled, ended.compact_revision)


def _cleanup() -> list[Step]:
    steps = [Step("KV.DeleteRange", rpc_pb2.DeleteRangeRequest(key=b"\0", range_end=b"\0"))]
    steps += [Step("Lease.LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease)) for lease in (*LEASES, -7)]
    steps += [Step("Auth.UserDelete", rpc_pb2.AuthUserDeleteRequest(name=user)) for user in USERS]
    return steps + [Step("Auth.RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role=role)) for role in ROLES]


@contextlib.asynccontextmanager
async def started(folder: Path, *, follower: bool = False) -> AsyncIterator[Pair]:
    """A new, empty pair, in folders beside `folder`. `follower`: ours is asked at a member that does not lead."""
    ours_folder = folder.with_suffix(".ours")
    with etcds.lone(folder.with_suffix(".etcd"), BCRYPT) as etcd, _ours(ours_folder, three=follower) as stores:
        await asyncio.gather(*(store.ready() for store in stores))
        asked = stores[0]
        if follower:
            leader = await members.leader_of(stores)
            asked = next(store for store in stores if store is not leader)
        async with etcd.channel() as to_etcd, asked.channel() as to_ours:
            await etcds.ready(to_etcd)
            yield Pair(Side("etcd", to_etcd), Side("ours", to_ours))


@contextlib.contextmanager
def _ours(folder: Path, *, three: bool) -> Iterator[list[members.Store]]:
    flags = (BCRYPT, "--auto-compaction-retention=0")
    if three:
        folder.mkdir()
        with members.three(folder, *flags) as stores:
            yield stores
    else:
        with members.lone(folder, *flags) as store:
            yield [store]


def sequence_of(family: str, seed: int, *, length: int = 24, odd: float = ODD) -> list[Step]:
    return Generator(Random(f"{family} {seed}"), odd=odd).sequence(FAMILIES[family], length)


async def _still_different(folder: Path, sequence: list[Step]) -> str:
    async with started(folder) as pair:
        try:
            await pair.run(sequence)
        except Different as difference:
            return str(difference)
    return ""


async def shortened(folder: Path, sequence: list[Step], *, tries_max: int = 40) -> tuple[list[Step], str]:
    """A part of a sequence that shows a difference by itself, and the difference; all of it when it does not again."""
    numbers = itertools.count()
    told = await _still_different(folder.with_suffix(".whole"), sequence)
    if not told:
        return sequence, "it takes more than this sequence alone"
    size = len(sequence) // 2
    while size and next(numbers) < tries_max:
        for start in range(0, len(sequence), size):
            shorter = sequence[:start] + sequence[start + size :]
            found = await _still_different(folder.with_suffix(f".{next(numbers)}"), shorter)
            if found:
                sequence, told = shorter, found
                break
        else:
            size //= 2
    return sequence, told


__all__ = ["Different", "Outcome", "Pair", "sequence_of", "shortened", "started"]
