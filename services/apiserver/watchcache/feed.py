"""Keeps the whole cache at the store's heels: one listing, then one watch over everything under /registry/.

The watch is resumed from the revision after the last one seen; if that is gone from the store, or the store's
revisions went back (another store answers), everything is listed anew and all watches end as expired. While no store
answers it tries again every RETRY_MIN_S to RETRY_MAX_S.

A linearizable read asks the store for its newest revision and waits until the cache has it; all that wait share one
question. Keys that are no object (allocations) go to `on_other`. Objects of a kind that is not known yet, which a
custom resource's may be after a start, wait in `_unclaimed` until the kind is adopted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import grpc
from raftsman import errors, logs
from raftsman.etcd import kv_pb2, rpc_pb2
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.storage import keys
from raftsman.services.apiserver.storage.envelope import CorruptValue, Sealer
from raftsman.services.apiserver.storage.store import Compacted, Store, translate

from .kind_cache import KindCache
from .object import CachedObject
from .watcher import Over

RETRY_MIN_S = 0.05
RETRY_MAX_S = 1.0
COMPLAIN_EVERY_S = 10.0
PROGRESS_AFTER_S = 0.1
WAIT_MAX_S = 5.0
CATCH_UP_S = 1.0

log = logs.get(__name__)
# Not in grpc's type stubs.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]

OnOther = Callable[[bytes, bytes | None], None]
OnListed = Callable[[], None]
Key = tuple[str, str]


class Feed:
    """All kinds' caches and the revision they are at."""

    def __init__(
        self, store: Store, sealer: Sealer, kinds: dict[str, Kind], *, on_other: OnOther, on_listed: OnListed
    ) -> None:
        """`on_listed` before everything is taken in anew: what was derived from the cache is to be forgotten.

        `on_filled` is called after that.
        """
        self.caches = {qualified: KindCache(kind) for qualified, kind in kinds.items()}
        self.revision = 0
        self.synced = asyncio.Event()
        self._store, self._sealer, self._on_other, self._on_listed = store, sealer, on_other, on_listed
        self.listings = 0
        self.on_filled: Callable[[], None] = lambda: None
        self._unclaimed: dict[str, dict[Key, kv_pb2.KeyValue]] = {}
        self._stream: Any = None
        self._complain_after = 0.0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._next_round: asyncio.Future[int] | None = None
        self._rounds: asyncio.Task[None] | None = None

    def cache(self, kind: Kind) -> KindCache:
        """errors.NotFound if the kind went while somebody was using it."""
        found = self.caches.get(kind.resource.qualified)
        if found is None:
            raise errors.NotFound("the server could not find the requested resource")
        return found

    # Reading at a revision

    async def fresh(self) -> None:
        """Return when the cache has everything that was written before this call."""
        if self._next_round is None:
            self._next_round = asyncio.get_running_loop().create_future()
            if self._rounds is None or self._rounds.done():
                self._rounds = asyncio.create_task(self._ask())
        await self.reached(await asyncio.shield(self._next_round))

    async def _ask(self) -> None:
        while self._next_round is not None:
            round_, self._next_round = self._next_round, None
            try:
                round_.set_result(await self._store.revision())
            except Exception as error:
                round_.set_exception(error)
                round_.exception()

    async def reached(self, revision: int) -> None:
        """Return when the cache is at `revision` or later; errors.Timeout after WAIT_MAX_S."""
        if self.revision >= revision and self.synced.is_set():
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((revision, future))
        try:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(future), PROGRESS_AFTER_S)
            await self._ask_progress()
            async with asyncio.timeout(WAIT_MAX_S):
                await future
        except TimeoutError:
            error = errors.Timeout(f"Too large resource version: {revision}, current: {self.revision}")
            error.status.details.retry_after_seconds = 1
            raise error from None
        finally:
            self._waiters = [(r, f) for r, f in self._waiters if f is not future]

    async def caught_up(self, revision: int) -> None:
        """As `reached`, but gives up after CATCH_UP_S without a word."""
        with contextlib.suppress(TimeoutError, errors.Timeout):
            async with asyncio.timeout(CATCH_UP_S):
                await self.reached(revision)

    async def _ask_progress(self) -> None:
        if self._stream is not None:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self._stream.write(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))

    def _advance(self, revision: int) -> None:
        if revision > self.revision:
            self.revision = revision
        if self._waiters:
            for wanted, future in self._waiters:
                if wanted <= self.revision and not future.done():
                    future.set_result(None)

    # Following the store

    async def run(self) -> None:
        """Until cancelled."""
        delay = RETRY_MIN_S
        while True:
            try:
                if not self.synced.is_set():
                    await self._list()
                    delay = RETRY_MIN_S
                await self._follow()
            except Compacted as gone:
                log.warning("the store has forgotten what was not read yet; listing anew", detail=gone)
                self._reset()
            except (errors.ApiError, grpc.aio.AioRpcError) as error:
                self._complain(error)
                await asyncio.sleep(delay)
                # At start the store is about to come up, and everything waits for it.
                delay = min(delay * 2, RETRY_MAX_S) if self.revision else RETRY_MIN_S

    def _complain(self, error: Exception) -> None:
        """Once in COMPLAIN_EVERY_S, however often it is tried."""
        now = asyncio.get_running_loop().time()
        if now >= self._complain_after:
            self._complain_after = now + COMPLAIN_EVERY_S
            log.warning("the store cannot be watched; trying again and again", error=error)

    def _reset(self) -> None:
        self.synced.clear()
        self.revision = 0
        for cache in self.caches.values():
            cache.close_watchers(errors.Expired("the changes since then are gone; list anew"))

    async def _list(self) -> None:
        found: dict[str, list[CachedObject]] = {name: [] for name in self.caches}
        others: list[kv_pb2.KeyValue] = []
        self._unclaimed.clear()
        revision = 0
        async for page_revision, page in self._store.pages(keys.ROOT, keys.ROOT_END):
            revision = page_revision
            for pair in page:
                self._listed(pair, found, others)
        self._on_listed()
        for pair in others:
            self._on_other(pair.key, pair.value)
        for name, cache in self.caches.items():
            cache.replace(found[name], revision)
        self.revision = revision
        self.on_filled()
        self.listings += 1
        self.synced.set()
        self._advance(revision)

    def _listed(
        self, pair: kv_pb2.KeyValue, found: dict[str, list[CachedObject]], others: list[kv_pb2.KeyValue]
    ) -> None:
        qualified, namespace, name = keys.parse(pair.key)
        if qualified not in found:
            if "." in qualified:
                self._unclaimed.setdefault(qualified, {})[namespace, name] = pair
            else:
                others.append(pair)
            return
        opened = self._opened(pair, self.caches[qualified].kind, namespace, name)
        if opened is not None:
            found[qualified].append(opened)

    async def _follow(self) -> None:
        stream = self._stream = self._store.watch()
        try:
            await stream.write(
                rpc_pb2.WatchRequest(
                    create_request=rpc_pb2.WatchCreateRequest(
                        key=keys.ROOT, range_end=keys.ROOT_END, start_revision=self.revision + 1
                    )
                )
            )
            while True:
                answer = await stream.read()
                if answer is _EOF:
                    raise errors.Unavailable("the store ended the watch")
                if answer.created and answer.header.revision < self.revision:
                    await self._check_not_behind()
                self._take(answer)
        except grpc.aio.AioRpcError as error:
            raise translate(error) from None
        finally:
            self._stream = None
            stream.cancel()

    async def _check_not_behind(self) -> None:
        """One member may lag; a store that as a whole is behind what was read is another one, or an older copy."""
        newest = await self._store.revision()
        if newest < self.revision:
            raise Compacted(f"the store is at {newest}, behind {self.revision}")

    def _take(self, answer: rpc_pb2.WatchResponse) -> None:
        if answer.canceled:
            if answer.compact_revision:
                raise Compacted(f"compacted at {answer.compact_revision}")
            raise errors.Unavailable(f"the store cancelled the watch: {answer.cancel_reason}")
        if answer.created:
            return
        for event in answer.events:
            self._event(event)
        if answer.events:
            self._advance(answer.events[-1].kv.mod_revision)
        else:
            self._advance(answer.header.revision)

    def _event(self, event: kv_pb2.Event) -> None:
        qualified, namespace, name = keys.parse(event.kv.key)
        cache = self.caches.get(qualified)
        gone = event.type == kv_pb2.Event.DELETE
        if cache is None:
            if "." in qualified:
                self._keep_unclaimed(qualified, (namespace, name), None if gone else event.kv)
            else:
                self._on_other(event.kv.key, None if gone else event.kv.value)
            return
        new = None if gone else self._opened(event.kv, cache.kind, namespace, name)
        cache.apply(namespace, name, new, revision=event.kv.mod_revision)

    def _keep_unclaimed(self, qualified: str, key: Key, pair: kv_pb2.KeyValue | None) -> None:
        if pair is not None:
            self._unclaimed.setdefault(qualified, {})[key] = pair
        elif qualified in self._unclaimed:
            self._unclaimed[qualified].pop(key, None)

    # Kinds that come and go

    def adopt(self, kind: Kind) -> KindCache:
        """The cache of a kind that is served from now on, or is served in another way."""
        qualified = kind.resource.qualified
        cache = self.caches.get(qualified)
        if cache is not None:
            cache.become(kind)
            return cache
        cache = self.caches[qualified] = KindCache(kind)
        pairs = self._unclaimed.pop(qualified, {})
        found = (self._opened(pair, kind, *key) for key, pair in pairs.items())
        cache.replace(filter(None, found), self.revision)
        return cache

    def drop(self, qualified: str) -> None:
        """A kind is gone: its watches end, and what the store may still have of it is nobody's."""
        cache = self.caches.pop(qualified, None)
        if cache is None:
            return
        cache.close_watchers(Over("the resource is not served any more"))
        for found in cache.values():
            key = keys.of(cache.kind.resource, found.namespace, found.name)
            value = self._sealer.seal(cache.kind.resource, key, found.stored(), codec=cache.kind.form.codec)
            pair = kv_pb2.KeyValue(key=key, value=value, mod_revision=found.revision)
            self._keep_unclaimed(qualified, (found.namespace, found.name), pair)

    def _opened(self, pair: kv_pb2.KeyValue, kind: Kind, namespace: str, name: str) -> CachedObject | None:
        try:
            return CachedObject(kind, namespace, name, self._sealer.open(pair.key, pair.value), pair.mod_revision)
        except CorruptValue as error:
            log.error("an object cannot be read and is hidden", key=pair.key.decode(), error=error)
            return None
