"""Digests by which members compare themselves. They find accidents, not attackers.

`RunningHash` follows every change: members that applied the same entries have the same one, whatever snapshot they
started from. `of_records` reads what a state holds: equal on members that compacted at the same revision.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

from .records import Record
from .view import View

SEED = 0x52_61_66_74_73_6D_61_6E
UNKNOWN = 0
_FACTOR = 0x9E37_79B9_7F4A_7C15
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_pack = struct.Struct("<QQQQq").pack
_pack_numbers = struct.Struct("<Qqq").pack


def mixed(digest: int, record: Record) -> int:
    """A digest, one record later."""
    numbers = _pack(record.mod_revision, record.sub, record.create_revision, record.version, record.lease)
    return (digest * _FACTOR + (crc32(record.value) << 32 | crc32(record.key, crc32(numbers)))) & _MASK


class RunningHash:
    """A digest of every change so far, `value`; a `state.Part`. UNKNOWN after a snapshot that did not say."""

    def __init__(self) -> None:
        self.value = SEED

    def add(self, record: Record) -> None:
        value = self.value
        if value:
            numbers = _pack(record.mod_revision, record.sub, record.create_revision, record.version, record.lease)
            digest = crc32(record.value) << 32 | crc32(record.key, crc32(numbers))  # `mixed`, without the call
            self.value = (value * _FACTOR + digest) & _MASK

    def note(self, kind: int, first: int, second: int = 0) -> None:
        """Take in a change that leaves no record."""
        if self.value:
            self.value = (self.value * _FACTOR + crc32(_pack_numbers(kind, first, second))) & _MASK

    def dump(self) -> int:
        return self.value

    def load(self, dumped: int) -> None:
        self.value = dumped


def folded(digest: int) -> int:
    """A digest in 32 bits, as etcd's answers have room for."""
    return digest >> 32 ^ digest & 0xFFFF_FFFF


def of_records(view: View) -> Iterator[int]:
    """The digest of everything that can be read in a view, after each slice; the last one is the whole."""
    digest = SEED
    yield digest
    for batch in view.batches():
        for record in batch:
            digest = mixed(digest, record)
        yield digest
