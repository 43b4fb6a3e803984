"""What is kept of one key at one revision.

Records and changes are what memory is full of: they are small, hold nothing that could lead back to them, and are left
out of the garbage collector's rounds, which would otherwise stop everything for longer the more keys there are.
"""

from __future__ import annotations

import msgspec
from raftsman.etcd import kv_pb2

OVERHEAD_BYTES = 256
"""What a record counts beside its key and value: about what it takes in memory."""


class Record(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A key as one write left it. A tombstone (what a delete leaves) has version 0 and no value.

    `sub` orders the writes of one transaction, which share `mod_revision`. The order of the fields is on disk.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    sub: int
    version: int
    lease: int

    @property
    def deleted(self) -> bool:
        return self.version == 0

    @property
    def size(self) -> int:
        """Bytes that this record counts, the same on every member."""
        return len(self.key) + len(self.value) + OVERHEAD_BYTES

    def message(self, *, keys_only: bool = False) -> kv_pb2.KeyValue:
        """The record as etcd's clients see it."""
        message = kv_pb2.KeyValue()
        self.fill(message, keys_only=keys_only)
        return message

    def fill(self, message: kv_pb2.KeyValue, *, keys_only: bool = False) -> None:
        """Write the record into an empty message, as etcd's clients see it."""
        message.key = self.key
        message.mod_revision = self.mod_revision
        if self.version:
            if not keys_only:
                message.value = self.value
            message.create_revision = self.create_revision
            message.version = self.version
            message.lease = self.lease


class Change(msgspec.Struct, frozen=True, gc=False):
    """One event: the record that a write left, and the one before it (None: created, or compacted away)."""

    record: Record
    previous: Record | None
