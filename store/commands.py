"""A log entry of ours: the operations that waited together, in the order in which they take effect.

    one type byte (0, the library's "regular"), one version byte, then msgpack
    [[request id, kind, payload, session, sequence, user, auth revision], ...]

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


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """One request on its way into the log.

    `session` and `sequence` name a request that its client may send again (see mvcc.sessions), 0 one that it does not.
    `user` asked for it, as allowed at `auth_revision`; "" while nobody is told apart.
    """

    request_id: int
    kind: int
    payload: bytes
    session: int = 0
    sequence: int = 0
    user: str = ""
    auth_revision: int = 0


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
