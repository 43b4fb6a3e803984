"""What requests touch and what answers show, whatever they are nested in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import Message
from raftsman.etcd import kv_pb2, rpc_pb2

from .model import inside

Span = tuple[bytes, bytes]
EVERYTHING: Span = (b"", b"\0")


def bare(answer: Any) -> Message:
    """An answer without headers, nested ones too, and without the granted TTL, which the store may raise."""
    without_header = type(answer)()
    without_header.CopyFrom(answer)
    without_header.ClearField("header")
    for one in getattr(without_header, "responses", ()):
        kind = one.WhichOneof("response")
        if kind is not None:
            getattr(one, kind).CopyFrom(bare(getattr(one, kind)))
    if isinstance(without_header, rpc_pb2.LeaseGrantResponse):
        without_header.ClearField("TTL")
    return without_header  # type: ignore[no-any-return]


def observed(request: Any, answer: Any) -> Iterator[kv_pb2.KeyValue]:
    """Every key that an answer shows whole."""
    if isinstance(answer, rpc_pb2.RangeResponse):
        if isinstance(request, rpc_pb2.RangeRequest) and not request.keys_only:
            yield from answer.kvs
    elif isinstance(answer, rpc_pb2.PutResponse) and answer.HasField("prev_kv"):
        yield answer.prev_kv
    elif isinstance(answer, rpc_pb2.DeleteRangeResponse):
        yield from answer.prev_kvs
    elif isinstance(answer, rpc_pb2.TxnResponse) and isinstance(request, rpc_pb2.TxnRequest):
        asked = request.success if answer.succeeded else request.failure
        for one, said in zip(asked, answer.responses, strict=False):
            inner, response = one.WhichOneof("request"), said.WhichOneof("response")
            if inner is not None and response is not None:
                yield from observed(getattr(one, inner), getattr(said, response))


def _operations(request: rpc_pb2.TxnRequest) -> Iterator[Any]:
    for one in (*request.success, *request.failure):
        kind = one.WhichOneof("request")
        if kind is not None:
            yield getattr(one, kind)


def puts(request: Any) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(request, rpc_pb2.PutRequest):
        yield request.key, request.value
    elif isinstance(request, rpc_pb2.TxnRequest):
        for one in _operations(request):
            yield from puts(one)


def leases_used(request: Any) -> Iterator[int]:
    if isinstance(request, rpc_pb2.PutRequest):
        if request.lease:
            yield request.lease
    elif isinstance(request, rpc_pb2.LeaseRevokeRequest):
        yield request.ID
    elif isinstance(request, rpc_pb2.TxnRequest):
        for one in _operations(request):
            yield from leases_used(one)


def spans(request: Any) -> list[Span]:
    """The keys that a request reads or writes."""
    if isinstance(request, rpc_pb2.TxnRequest):
        found = [(condition.key, condition.range_end) for condition in request.compare]
        return [*found, *(span for one in _operations(request) for span in spans(one))]
    if isinstance(request, rpc_pb2.PutRequest):
        return [(request.key, b"")]
    if isinstance(request, rpc_pb2.RangeRequest | rpc_pb2.DeleteRangeRequest):
        return [(request.key, request.range_end)]
    return [EVERYTHING]


def touch(some: Sequence[Span], others: Sequence[Span]) -> bool:
    return any(_overlap(one, other) for one in some for other in others)


def _overlap(one: Span, other: Span) -> bool:
    return inside(one[0], *other) or inside(other[0], *one)


def line(message: Message) -> str:
    """A message on one line."""
    return " ".join(str(message).split())
