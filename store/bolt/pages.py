"""How pages look: the structures that reader and writer share, and what may be wrong with a file.

BoltError
├── NotABolt     no meta page checks out: another kind of file, or nothing left of this one
└── Damaged      it began as a database; the sentence says which page does not check out
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PAGE_BYTES = 4096
MAGIC = 0xED0CDAED
VERSION = 2
BRANCH, LEAF, META, FREELIST = 0x01, 0x02, 0x04, 0x10
IS_BUCKET = 0x01
KEY_BYTES_MAX = 32768

PAGE = struct.Struct("<QHHI")
"""Number, flags, count of elements, overflow pages."""
BRANCH_ELEMENT = struct.Struct("<IIQ")
LEAF_ELEMENT = struct.Struct("<IIII")
BUCKET = struct.Struct("<QQ")
"""The page of its root (0: inline), sequence."""
_META = struct.Struct("<IIIIQQQQQ")
_CHECKSUM = struct.Struct("<Q")
META_BYTES = PAGE.size + _META.size + _CHECKSUM.size


class BoltError(Exception):
    """A file that cannot be read as a database, with a sentence that says why."""


class NotABolt(BoltError):
    """Another kind of file."""


class Damaged(BoltError):
    """A database that is not whole."""


@dataclass(frozen=True, slots=True)
class Meta:
    """`root` is the root bucket's page, `end` the first page that was never used."""

    page_bytes: int
    root: int
    freelist: int
    end: int
    transaction: int

    def packed(self) -> bytes:
        """As it stands behind the head of a meta page."""
        body = _META.pack(MAGIC, VERSION, self.page_bytes, 0, self.root, 0, self.freelist, self.end, self.transaction)
        return body + _CHECKSUM.pack(_fnv64a(body))

    @classmethod
    def parsed(cls, page: bytes) -> Meta | None:
        """The meta that a page holds, None when it does not check out."""
        if len(page) < META_BYTES:
            return None
        body = page[PAGE.size : PAGE.size + _META.size]
        magic, version, page_bytes, _, root, _, freelist, end, transaction = _META.unpack(body)
        (checksum,) = _CHECKSUM.unpack_from(page, PAGE.size + _META.size)
        if magic != MAGIC or version != VERSION or checksum != _fnv64a(body):
            return None
        return cls(page_bytes, root, freelist, end, transaction)


def _fnv64a(data: bytes) -> int:
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return digest
