"""Answers that are bytes already, or become bytes in slices so that a long list holds nobody up.

Messages that follow each other in bytes are one message: what is the same for many is made once, what is long in parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from google.protobuf.message import Message
from raftsman.etcd import rpc_pb2
from raftsman.store.mvcc.records import Record

SLICE_RECORDS = 200


class Ready:
    """A message in parts. It can do what gRPC asks of one."""

    __slots__ = ("_parts",)
    message: ClassVar[type[Message]]

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts

    def SerializeToString(self) -> bytes:
        return b"".join(self._parts)

    @classmethod
    def FromString(cls, wire: bytes) -> Any:
        return cls.message.FromString(wire)


class RangeResponse(Ready):
    __slots__ = ()
    message = rpc_pb2.RangeResponse


class WatchResponse(Ready):
    __slots__ = ()
    message = rpc_pb2.WatchResponse


def serialize(answer: Message | Ready) -> bytes:
    return answer.SerializeToString()


async def listed(
    head: rpc_pb2.RangeResponse, records: Sequence[Record], *, keys_only: bool
) -> rpc_pb2.RangeResponse | RangeResponse:
    """An answer with its records."""
    if len(records) <= SLICE_RECORDS:
        _fill(head, records, keys_only)
        return head
    parts = [head.SerializeToString()]
    for start in range(0, len(records), SLICE_RECORDS):
        part = rpc_pb2.RangeResponse()
        _fill(part, records[start : start + SLICE_RECORDS], keys_only)
        parts.append(part.SerializeToString())
        await asyncio.sleep(0)
    return RangeResponse(*parts)


def _fill(answer: rpc_pb2.RangeResponse, records: Iterable[Record], keys_only: bool) -> None:
    for record in records:
        record.fill(answer.kvs.add(), keys_only=keys_only)
