"""A log entry of ours: the operations that waited together, in the order in which they take effect.

    entry   one type byte (0, the library's "regular"), one version byte, then chunks
    chunk   length (4 bytes, little-endian), msgpack
            [[request id, kind, payload, session, sequence, user, auth revision, received], ...]

    change  the type byte, the byte CHANGE, the msgpack of one operation: a change of the members

A chunk is what one member proposed at once: encoded there, moved about and joined with others as it is, decoded where
it is applied. Entries of version 1 hold the msgpack of one chunk without a length. The request id is the proposing
member's number and its counter: whoever proposed it knows its own when it is applied. The payload is the etcd request
as protobuf bytes.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

VERSION = 2
CHANGE = 0x40
_PREFIX = bytes((0, VERSION))
_CHANGE_PREFIX = bytes((0, CHANGE))
_LENGTH = struct.Struct("<I")


class Kind(enum.IntEnum):
    """What an operation is; the numbers are on disk."""

    PUT = 1
    DELETE_RANGE = 2
    TXN = 3
    COMPACT = 4
    LEASE_GRANT = 5
    LEASE_REVOKE = 6
    ALARM = 7
    CLUSTER_MEMBER = 8
    CLUSTER_PUBLISH = 9
    AUTH_ENABLE = 20
    AUTH_DISABLE = 21
    AUTHENTICATE = 22
    USER_ADD = 23
    USER_DELETE = 24
    USER_CHANGE_PASSWORD = 25
    USER_GRANT_ROLE = 26
    USER_REVOKE_ROLE = 27
    ROLE_ADD = 28
    ROLE_DELETE = 29
    ROLE_GRANT_PERMISSION = 30
    ROLE_REVOKE_PERMISSION = 31
    SESSION_OPEN = 40


class Operation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request on its way into the log.

    `session` and `sequence` name a request that its client may send again (see mvcc.sessions), 0 one that it does not.
    Its client has the answers of everything up to `received`. `user` asked for it, as allowed at `auth_revision`; ""
    while nobody is told apart. `term` is set on what only a leader may decide: it takes effect in an entry of that
    term, and not when it reached a later leader.
    """

    request_id: int
    kind: int
    payload: bytes
    session: int = 0
    sequence: int = 0
    user: str = ""
    auth_revision: int = 0
    received: int = 0
    term: int = 0


_change_decoder = msgspec.msgpack.Decoder(Operation)


class Chunk(NamedTuple):
    """Operations that were encoded: how many, and their bytes as they stand in an entry."""

    operations: int
    data: bytes


class UnknownVersion(Exception):
    """The entry was written by a newer program."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Operation])


def pack(operations: Sequence[Operation]) -> Chunk:
    data = bytearray(_LENGTH.size)
    _encoder.encode_into(operations, data, _LENGTH.size)
    _LENGTH.pack_into(data, 0, len(data) - _LENGTH.size)
    return Chunk(len(operations), bytes(data))


def join(chunks: Iterable[Chunk]) -> bytes:
    """An entry."""
    return b"".join((_PREFIX, *(chunk.data for chunk in chunks)))


def encode(operations: Sequence[Operation]) -> bytes:
    """An entry of one chunk."""
    return join((pack(operations),))


def chunk_of(entry: bytes) -> Chunk:
    """Everything in an entry, checked, to be joined with more. Raises as `decode` does."""
    if is_change(entry):
        raise ValueError("a change of the members has an entry of its own")
    operations = decode(entry)
    return Chunk(len(operations), entry[len(_PREFIX) :]) if entry[1] == VERSION else pack(operations)


def encode_change(operation: Operation) -> bytes:
    """An entry of its own for a change of the members, which the Raft thread acts on itself."""
    return _CHANGE_PREFIX + _encoder.encode(operation)


def is_change(entry: bytes) -> bool:
    return entry[:2] == _CHANGE_PREFIX


def decode(entry: bytes) -> list[Operation]:
    """The operations of an entry; raises UnknownVersion, and ValueError for what is none."""
    view = memoryview(entry)
    if entry[1] == CHANGE:
        return [_change_decoder.decode(view[2:])]
    if entry[1] == 1:
        return _decoder.decode(view[2:])
    if entry[1] != VERSION:
        raise UnknownVersion(f"log entry of version {entry[1]}; this program reads version {VERSION}")
    operations: list[Operation] = []
    at = len(_PREFIX)
    while at < len(entry):
        if len(entry) - at < _LENGTH.size:
            raise ValueError(f"a chunk's length is cut at byte {at}")
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(entry, at)[0]
        operations += _decoder.decode(view[start:at])
    return operations
