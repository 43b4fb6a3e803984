"""The store as the API server sees it: etcd v3 calls over one gRPC channel.

Writes and small reads travel on the batching stream (`stream`) where the store has one, listings and everything to a
real etcd as calls of their own. Calls are bounded by CALL_TIMEOUT_S and fail at once with errors.Unavailable while no
store answers; the channel reconnects by itself. On the stream a write whose answer was lost is found out about, and
happens once. Every value travels as given: envelopes and encryption are the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from raftsman import errors
from raftsman.etcd import kv_pb2, rpc_pb2
from raftsman.kv import v1 as kv

from .stream import CALL_TIMEOUT_S, Refused, Stream, Unsupported

PAGE_KEYS = 500
MESSAGE_BYTES_MAX = 64 << 20

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.keepalive_time_ms", 30000),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.use_local_subchannel_pool", 1),
)


class Compacted(Exception):
    """The revision asked for is gone from the store."""


class Store:
    """One store cluster."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._stream = Stream(channel)
        self._range = _method(channel, "KV/Range", rpc_pb2.RangeRequest, rpc_pb2.RangeResponse)
        self._put = _method(channel, "KV/Put", rpc_pb2.PutRequest, rpc_pb2.PutResponse)
        self._txn = _method(channel, "KV/Txn", rpc_pb2.TxnRequest, rpc_pb2.TxnResponse)
        self._compact = _method(channel, "KV/Compact", rpc_pb2.CompactionRequest, rpc_pb2.CompactionResponse)
        self._grant = _method(channel, "Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest, rpc_pb2.LeaseGrantResponse)
        self._watch = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc_pb2.WatchRequest.SerializeToString,
            response_deserializer=rpc_pb2.WatchResponse.FromString,
        )

    @classmethod
    def connect(cls, endpoints: Sequence[str], *, ca: str = "", cert: str = "", key: str = "") -> Store:
        """A client of `endpoints` (URLs); https needs the CA, and the client's certificate and key."""
        urls = [urlsplit(endpoint) for endpoint in endpoints]
        hosts = [url.netloc for url in urls]
        target = hosts[0] if len(hosts) == 1 else "ipv4:" + ",".join(hosts)
        options: list[tuple[str, int | str]] = list(_OPTIONS)
        if len(hosts) > 1:
            options += (("grpc.lb_policy_name", "round_robin"), ("grpc.default_authority", hosts[0]))
        if urls[0].scheme != "https":
            return cls(grpc.aio.insecure_channel(target, options=options))
        credentials = grpc.ssl_channel_credentials(
            *(Path(path).read_bytes() if path else None for path in (ca, key, cert))
        )
        return cls(grpc.aio.secure_channel(target, credentials, options=options))

    async def close(self) -> None:
        await self._stream.close()
        await self._channel.close()

    async def _ask(self, kind: int, unary: Any, request: Any, answer_type: Any) -> Any:
        """By the stream, or by the unary call where there is none."""
        answer = await self._asked(kind, request)
        if answer is None:
            return await _call(unary, request)
        parsed = answer_type.FromString(answer.response)
        parsed.header.revision = answer.revision
        return parsed

    async def _asked(self, kind: int, request: Any) -> kv.Answer | None:
        """By the stream; None where there is none."""
        if self._stream.usable:
            try:
                return await self._stream.call(kind, request.SerializeToString())
            except Unsupported:
                pass
            except Refused as refused:
                raise translate(refused) from None
        return None

    async def range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        answer: rpc_pb2.RangeResponse
        if request.range_end and request.limit != 1:
            answer = await _call(self._range, request)
        else:
            answer = await self._ask(kv.OPERATION_KIND_RANGE, self._range, request, rpc_pb2.RangeResponse)
        return answer

    async def get(self, key: bytes) -> kv_pb2.KeyValue | None:
        """The key's value, linearizably."""
        answer = await self.range(rpc_pb2.RangeRequest(key=key))
        return answer.kvs[0] if answer.kvs else None

    async def revision(self) -> int:
        """The newest revision, confirmed by a majority."""
        answer = await self.range(rpc_pb2.RangeRequest(key=b"/registry", limit=1, keys_only=True))
        return answer.header.revision

    async def pages(
        self, start: bytes, end: bytes, *, revision: int = 0
    ) -> AsyncIterator[tuple[int, list[kv_pb2.KeyValue]]]:
        """All of [start, end) at one revision, PAGE_KEYS at a time, each page with that revision."""
        while True:
            answer = await self.range(
                rpc_pb2.RangeRequest(key=start, range_end=end, limit=PAGE_KEYS, revision=revision)
            )
            revision = revision or answer.header.revision
            yield revision, list(answer.kvs)
            if not answer.more:
                return
            start = answer.kvs[-1].key + b"\0"

    async def txn(
        self,
        compare: Sequence[rpc_pb2.Compare],
        success: Sequence[rpc_pb2.RequestOp],
        failure: Sequence[rpc_pb2.RequestOp] = (),
    ) -> rpc_pb2.TxnResponse:
        request = rpc_pb2.TxnRequest(compare=compare, success=success, failure=failure)
        answer: rpc_pb2.TxnResponse = await self._ask(kv.OPERATION_KIND_TXN, self._txn, request, rpc_pb2.TxnResponse)
        return answer

    async def put(self, key: bytes, value: bytes) -> int:
        """Write a key whatever it is; the revision."""
        request = rpc_pb2.PutRequest(key=key, value=value)
        asked = await self._asked(kv.OPERATION_KIND_PUT, request)
        if asked is not None:
            return asked.revision
        answer: rpc_pb2.PutResponse = await _call(self._put, request)
        revision: int = answer.header.revision
        return revision

    async def compact(self, revision: int) -> None:
        """Forget what was overwritten before `revision`. Compacting twice to one revision is no error."""
        try:
            request = rpc_pb2.CompactionRequest(revision=revision)
            await self._ask(kv.OPERATION_KIND_COMPACT, self._compact, request, rpc_pb2.CompactionResponse)
        except Compacted:
            pass

    async def grant(self, ttl_s: int) -> int:
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_s)
        answer = await self._ask(kv.OPERATION_KIND_LEASE_GRANT, self._grant, request, rpc_pb2.LeaseGrantResponse)
        lease: int = answer.ID
        return lease

    def watch(self) -> Any:
        """A new watch stream: `write` requests, `read` responses."""
        return self._watch()


def _method(channel: Any, name: str, request: Any, response: Any) -> Any:
    return channel.unary_unary(
        f"/etcdserverpb.{name}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )


async def _call(method: Any, request: Any) -> Any:
    try:
        return await method(request, timeout=CALL_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise translate(error) from None


def translate(error: grpc.aio.AioRpcError | Refused) -> Exception:
    """What a failed store call means to a caller of the API."""
    detail = error.details() or ""
    if error.code() is grpc.StatusCode.OUT_OF_RANGE and "compacted" in detail:
        return Compacted(detail)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return errors.TooManyRequests(f"the store is overloaded or full: {detail}")
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        return errors.Unavailable(f"the store does not answer: {detail}")
    return errors.InternalError(f"store: {error.code().name}: {detail}")


class LeasePool:
    """Store leases shared by what expires at about the same time: one lease per SHARE_S seconds or SHARE_MAX keys."""

    SHARE_S = 60
    SHARE_MAX = 1000

    def __init__(self, store: Store, ttl_s: int) -> None:
        self._store, self._ttl_s = store, ttl_s
        self._lease, self._used, self._until = 0, 0, 0.0
        self._lock = asyncio.Lock()

    async def take(self) -> int:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if not self._lease or self._used >= self.SHARE_MAX or now >= self._until:
                self._lease = await self._store.grant(self._ttl_s + self.SHARE_S)
                self._used, self._until = 0, now + self.SHARE_S
            self._used += 1
            return self._lease


def absent(key: bytes) -> rpc_pb2.Compare:
    return rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.VERSION, result=rpc_pb2.Compare.EQUAL, version=0)


def at_revision(key: bytes, revision: int) -> rpc_pb2.Compare:
    return rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.MOD, result=rpc_pb2.Compare.EQUAL, mod_revision=revision)


def put(key: bytes, value: bytes, *, lease: int = 0) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=value, lease=lease))


def remove(key: bytes) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key))


def read(key: bytes) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=key))
