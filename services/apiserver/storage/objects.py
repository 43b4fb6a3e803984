"""Optimistic writes of objects: create, update, remove, each one transaction on the object's key.

An update works on what the cache has, and puts it under the condition that the store has the same revision; if not,
the change is computed anew from what the store has, RETRIES_MAX times, this server's writers of one object taking
turns. An error that the change raises is believed only of the newest object. A change that changes nothing writes
nothing. What a write costs (a namespace's quota) is charged in the same transaction, so that nothing is charged for
what was not written.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from raftsman import errors
from raftsman.etcd import kv_pb2, rpc_pb2
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.watchcache.feed import Feed
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import keys, store
from .envelope import Sealer
from .store import LeasePool, Store

RETRIES_MAX = 10
OBJECT_BYTES_MAX = 3 << 19

Ops = Sequence[rpc_pb2.RequestOp]
Compares = Sequence[rpc_pb2.Compare]


@dataclass(frozen=True, slots=True)
class Together:
    """What else happens in the same transaction: addresses and ports taken or given back."""

    compares: Compares = ()
    ops: Ops = ()


class Charge(Protocol):
    """What a write is charged with; writes that are charged to the same account take turns."""

    def turn(self) -> AbstractAsyncContextManager[Any]:
        """Held until the transaction is answered."""

    def together(self) -> Together:
        """Conditions (revisions of accounts) and writes; errors.Forbidden if there is not enough left."""

    def written(self, revision: int) -> None:
        """The transaction went through."""

    def moved(self, found: Iterable[kv_pb2.KeyValue]) -> None:
        """Accounts as they are now; what is missing is gone."""


class Taken(Exception):
    """Keys that `Together` wanted absent exist; the object itself is as expected."""

    def __init__(self, found: frozenset[bytes]) -> None:
        super().__init__(found)
        self.keys = found


@dataclass(frozen=True, slots=True)
class Change:
    """What an update makes of an object: the new message, or its removal."""

    new: Any
    remove: bool = False
    together: Together = Together()
    charge: Charge | None = None


Changing = Callable[[CachedObject], Awaitable[Change]]


@dataclass(slots=True)
class _Attempt:
    """What an update works on, and in the end its result."""

    found: CachedObject | None
    newest: bool = False

    def result(self) -> CachedObject:
        assert self.found is not None
        return self.found


class Objects:
    def __init__(self, store_: Store, sealer: Sealer, feed: Feed, leases: Mapping[str, LeasePool]) -> None:
        """`leases` by qualified kind: of what expires."""
        self._store, self._sealer, self._feed, self._leases = store_, sealer, feed, leases
        self._turns: weakref.WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    async def create(
        self, kind: Kind, obj: Any, *, together: Together = Together(), charge: Charge | None = None
    ) -> CachedObject:
        """errors.AlreadyExists if the name is taken; Taken if only a condition of `together` fails."""
        metadata = obj.metadata
        key = keys.of(kind.resource, metadata.namespace, metadata.name)
        body = serialise(kind, obj)
        answer = await self._commit(
            store.absent(key), await self._put(*await _stored(kind, obj, body), key), together=together, charge=charge
        )
        if answer.succeeded:
            await self._settled(kind, answer.header.revision)
            return CachedObject(kind, metadata.namespace, metadata.name, body, answer.header.revision)
        if not answer.responses[0].response_range.kvs:
            raise Taken(_present(answer, together))
        raise failures.already_exists(kind.resource, metadata.name)

    async def _commit(
        self, compare: rpc_pb2.Compare, op: rpc_pb2.RequestOp, *, together: Together, charge: Charge | None
    ) -> rpc_pb2.TxnResponse:
        """One transaction on the object's key; again while only the accounts that are charged have moved."""
        compares, ops = (compare, *together.compares), (op, *together.ops)
        if charge is None:
            return await self._store.txn(compares, ops, _reads(compares))
        async with charge.turn():
            for _ in range(RETRIES_MAX):
                extra = charge.together()
                every = (*compares, *extra.compares)
                answer = await self._store.txn(every, (*ops, *extra.ops), _reads(every))
                if answer.succeeded:
                    charge.written(answer.header.revision)
                    return answer
                now = [pair for one in answer.responses[len(compares) :] for pair in one.response_range.kvs]
                if {pair.key: pair.mod_revision for pair in now} == _revisions(extra.compares):
                    return answer
                charge.moved(now)
        raise errors.Unavailable("quotas of this namespace change faster than they can be charged; try again")

    async def _settled(self, kind: Kind, revision: int) -> None:
        if kind.judges:
            await self._feed.caught_up(revision)

    async def _put(self, kind: Kind, body: bytes, key: bytes) -> rpc_pb2.RequestOp:
        """What expires does so a while after its last write."""
        pool = self._leases.get(kind.resource.qualified)
        return store.put(key, self.sealed(kind, key, body), lease=await pool.take() if pool else 0)

    def sealed(self, kind: Kind, key: bytes, body: bytes) -> bytes:
        """The stored value of an object's bytes."""
        return self._sealer.seal(kind.resource, key, body, codec=kind.form.codec)

    def cached(self, kind: Kind, namespace: str, name: str) -> CachedObject | None:
        return self._feed.cache(kind).get(namespace, name)

    async def current(self, kind: Kind, namespace: str, name: str) -> CachedObject | None:
        """What the store has now."""
        key = keys.of(kind.resource, namespace, name)
        return self._opened(kind, namespace, name, await self._store.range(rpc_pb2.RangeRequest(key=key)))

    def opened(self, kind: Kind, pairs: Iterable[kv_pb2.KeyValue]) -> Iterator[CachedObject]:
        """The objects of what a range of the store brought."""
        for pair in pairs:
            _, namespace, name = keys.parse(pair.key)
            yield CachedObject(kind, namespace, name, self._sealer.open(pair.key, pair.value), pair.mod_revision)

    def _opened(self, kind: Kind, namespace: str, name: str, answer: rpc_pb2.RangeResponse) -> CachedObject | None:
        if not answer.kvs:
            return None
        pair = answer.kvs[0]
        return CachedObject(kind, namespace, name, self._sealer.open(pair.key, pair.value), pair.mod_revision)

    async def update(
        self,
        kind: Kind,
        name: str,
        change: Changing,
        *,
        namespace: str,
        dry_run: bool = False,
    ) -> CachedObject:
        """What is stored after `change`, or was removed by it. errors.NotFound if there is none."""
        attempt, key = _Attempt(self.cached(kind, namespace, name)), (kind.resource.qualified, namespace, name)
        turn = self._turns.get(key)
        # Who comes while others wait for their turn does not jump the queue: those would lose again and again.
        alone = turn is None or not turn.locked()
        if alone and await self._try(kind, name, change, attempt, namespace=namespace, dry_run=dry_run):
            return attempt.result()
        # Others write it too: those of this server one after the other from here on.
        async with self._turns.setdefault(key, asyncio.Lock()):
            for _ in range(RETRIES_MAX):
                attempt.found, attempt.newest = await self.current(kind, namespace, name), True
                if await self._try(kind, name, change, attempt, namespace=namespace, dry_run=dry_run):
                    return attempt.result()
        raise failures.conflict(kind.resource, name)

    async def _try(
        self,
        kind: Kind,
        name: str,
        change: Changing,
        attempt: _Attempt,
        *,
        namespace: str,
        dry_run: bool,
    ) -> bool:
        """Change what `attempt` has found, once; False if the store has another object now."""
        found = attempt.found
        if found is None and not attempt.newest:
            found, attempt.newest = await self.current(kind, namespace, name), True
        if found is None:
            raise failures.not_found(kind.resource, name)
        try:
            seen = found if kind.conversions is None else (await kind.conversions.seen(kind, (found,)))[0]
            wanted = await change(seen)
        except errors.ApiError:
            if attempt.newest:
                raise
            now = await self.current(kind, namespace, name)
            if now is not None and now.revision == found.revision:
                raise
            return False
        if dry_run:
            if wanted.charge is not None:
                wanted.charge.together()
            attempt.found = _answered(seen, wanted)
            return True
        done, attempt.found = await self._write(kind, found, wanted, newest=attempt.newest)
        if done and attempt.found is found:
            attempt.found = seen
        return done

    async def _write(
        self, kind: Kind, found: CachedObject, wanted: Change, *, newest: bool
    ) -> tuple[bool, CachedObject | None]:
        """Whether it is done, and the object as it is now."""
        key = keys.of(kind.resource, found.namespace, found.name)
        stored = (kind, b"") if wanted.remove else await _stored(kind, wanted.new, serialise(kind, wanted.new))
        if not wanted.remove and stored[1] == found.stored():
            if newest:
                return True, found
            now = await self.current(kind, found.namespace, found.name)
            return now is not None and now.revision == found.revision, now
        op = store.remove(key) if wanted.remove else await self._put(*stored, key)
        answer = await self._commit(
            store.at_revision(key, found.revision), op, together=wanted.together, charge=wanted.charge
        )
        if answer.succeeded:
            revision = answer.header.revision
            await self._settled(kind, revision)
            body = serialise(kind, wanted.new)
            return True, CachedObject(kind, found.namespace, found.name, body, revision)
        now = self._opened(kind, found.namespace, found.name, answer.responses[0].response_range)
        if wanted.together.compares and now is not None and now.revision == found.revision:
            raise Taken(_present(answer, wanted.together))
        return False, now


def _reads(compares: Compares) -> list[rpc_pb2.RequestOp]:
    """What a failed transaction brings back: the object, and whatever else was in the way."""
    return [store.read(compare.key) for compare in compares]


def _present(answer: rpc_pb2.TxnResponse, together: Together) -> frozenset[bytes]:
    read = answer.responses[1 : 1 + len(together.compares)]
    return frozenset(pair.key for one in read for pair in one.response_range.kvs)


def _revisions(compares: Compares) -> dict[bytes, int]:
    return {compare.key: compare.mod_revision for compare in compares}


async def _stored(kind: Kind, obj: Any, body: bytes) -> tuple[Kind, bytes]:
    """As which kind an object is stored, and its bytes then; `body` are those of its own kind."""
    if kind.conversions is None:
        return kind, body
    stored_kind, stored = await kind.conversions.stored(kind, obj)
    return stored_kind, body if stored_kind is kind else serialise(stored_kind, stored)


def _answered(found: CachedObject, wanted: Change) -> CachedObject:
    """What a dry run tells."""
    return CachedObject(found.kind, found.namespace, found.name, serialise(found.kind, wanted.new), found.revision)


def serialise(kind: Kind, obj: Any) -> bytes:
    """The stored bytes: the same for equal objects, without resourceVersion. errors.BadRequest if they are too many."""
    body = kind.form.serialise(obj)
    if len(body) > OBJECT_BYTES_MAX:
        raise errors.BadRequest(f"{kind.resource.kind} of {len(body)} bytes: an object may have {OBJECT_BYTES_MAX}")
    return body
