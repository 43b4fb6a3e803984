"""What is kept of one key at one revision."""

from __future__ import annotations

from dataclasses import dataclass

from raftsman.etcd import kv_pb2


@dataclass(frozen=True, slots=True)
class Record:
    """A key as one write left it. A tombstone (what a delete leaves) has version 0 and no value.

    `sub` orders the writes of one transaction, which share `mod_revision`.
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

    def message(self, *, keys_only: bool = False) -> kv_pb2.KeyValue:
        """The record as etcd's clients see it."""
        if self.version == 0:
            return kv_pb2.KeyValue(key=self.key, mod_revision=self.mod_revision)
        return kv_pb2.KeyValue(
            key=self.key,
            value=b"" if keys_only else self.value,
            create_revision=self.create_revision,
            mod_revision=self.mod_revision,
            version=self.version,
            lease=self.lease,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One event: the record that a write left, and the one before it (None: created, or compacted away)."""

    record: Record
    previous: Record | None
