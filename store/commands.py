"""A log entry of ours: the operations that waited together, in the order in which they take effect.

    one type byte (0, the library's "regular"), one version byte, then msgpack [[request id, kind, payload], ...]

The request id is the proposing member's number and its counter: whoever proposed it knows its own when it is applied.
The payload is the etcd request as protobuf bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

VERSION = 1
_PREFIX = bytes((0, VERSION))


class Kind(enum.IntEnum):
    """What an operation is; the numbers are on disk."""

    PUT = 1
    DELETE_RANGE = 2
    TXN = 3
    COMPACT = 4
    LEASE_GRANT = 5
    LEASE_REVOKE = 6


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """One request on its way into the log."""

    request_id: int
    kind: int
    payload: bytes


class UnknownVersion(Exception):
    """The entry was written by a newer program."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Operation])


def encode(operations: Sequence[Operation]) -> bytes:
    return _PREFIX + _encoder.encode(operations)


def decode(entry: bytes) -> list[Operation]:
    """The operations of an entry; raises UnknownVersion."""
    if entry[1] != VERSION:
        raise UnknownVersion(f"log entry of version {entry[1]}; this program reads version {VERSION}")
    return _decoder.decode(memoryview(entry)[2:])
