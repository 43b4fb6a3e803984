"""bbolt's file format, which etcd's backups are: written in one go, read with every reference checked.

A database is a file of pages, PAGE_BYTES each, little-endian:

    page 0, 1   meta: magic, version, page size, root bucket, freelist, first page after the end, transaction, FNV-64a
    leaf        elements (flags, place, key length, value length), then keys and values; in order of keys
    branch      elements (place, key length, page), each key the first of the page below
    freelist    pages that nothing uses; a file written here has none

A page whose elements need more than PAGE_BYTES goes on in the pages after it (`overflow`). The root bucket's values are
buckets: the page of their root, or 0 and the whole (small) leaf page behind it. The valid meta page with the higher
transaction number counts.
"""

from .pages import BoltError, Damaged, NotABolt
from .reader import Database
from .writer import write

__all__ = ["BoltError", "Damaged", "Database", "NotABolt", "write"]
