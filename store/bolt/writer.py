"""A whole database in one pass: buckets of keys in order, no page written twice but the two metas.

Memory is bounded by one open page a level of the tree, whatever the size of the database: a page is written when the
next element does not fit, and only its first key and number are kept, by the level above.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from .pages import (
    BRANCH,
    BRANCH_ELEMENT,
    BUCKET,
    FREELIST,
    IS_BUCKET,
    KEY_BYTES_MAX,
    LEAF,
    LEAF_ELEMENT,
    META,
    PAGE,
    PAGE_BYTES,
    Meta,
)

Item = tuple[bytes, bytes]
LEAF_BYTES = 4 * PAGE_BYTES
"""Leaves share overflow pages: with values of half a page, a leaf a page would be half empty."""
_META_PAGES = 2
_BRANCH_MIN = 2
"""bbolt takes it for granted that no branch has an only child."""


def write(file: BinaryIO, buckets: Iterable[tuple[bytes, Iterable[Item]]]) -> int:
    """Write a database to an empty file; answers its size. Items come in ascending order of their keys."""
    pages = _Pages(file)
    freelist = pages.append(FREELIST, 0, b"")
    roots = {name: _tree(pages, ((0, key, value) for key, value in items)) for name, items in buckets}
    root = _tree(pages, ((IS_BUCKET, name, BUCKET.pack(page, 0)) for name, page in sorted(roots.items())))
    end = pages.end
    file.seek(0)
    for number in range(_META_PAGES):
        meta = Meta(PAGE_BYTES, root, freelist, end, _META_PAGES + number)
        file.write((PAGE.pack(number, META, 0, 0) + meta.packed()).ljust(PAGE_BYTES, b"\0"))
    file.flush()
    return end * PAGE_BYTES


class _Pages:
    """The file behind its meta pages. `end` is the number that the next page gets."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.end = _META_PAGES
        file.write(bytes(_META_PAGES * PAGE_BYTES))

    def append(self, flags: int, count: int, elements: bytes) -> int:
        """Write a page, with as many more as its elements need; answers its number."""
        number = self.end
        needed = max(1, -(-(PAGE.size + len(elements)) // PAGE_BYTES))
        self._file.write(PAGE.pack(number, flags, count, needed - 1))
        self._file.write(elements.ljust(needed * PAGE_BYTES - PAGE.size, b"\0"))
        self.end += needed
        return number


def _tree(pages: _Pages, items: Iterable[tuple[int, bytes, bytes]]) -> int:
    """Write a bucket's pages, leaves first; answers its root's number."""
    above = _Branches(pages)
    open_page: list[tuple[int, bytes, bytes]] = []
    size = PAGE.size
    last = None
    for item in items:
        _, key, value = item
        assert 0 < len(key) <= KEY_BYTES_MAX, f"a key of {len(key)} bytes"
        assert last is None or last < key, (last, key)
        last = key
        needed = LEAF_ELEMENT.size + len(key) + len(value)
        if open_page and size + needed > LEAF_BYTES:
            above.add(open_page[0][1], _leaf(pages, open_page))
            open_page, size = [], PAGE.size
        open_page.append(item)
        size += needed
    first = open_page[0][1] if open_page else b""
    above.add(first, _leaf(pages, open_page))
    return above.close()


def _leaf(pages: _Pages, items: list[tuple[int, bytes, bytes]]) -> int:
    place = len(items) * LEAF_ELEMENT.size
    heads: list[bytes] = []
    bodies: list[bytes] = []
    for number, (flags, key, value) in enumerate(items):
        # An element's place counts from the element itself.
        heads.append(LEAF_ELEMENT.pack(flags, place - number * LEAF_ELEMENT.size, len(key), len(value)))
        bodies += (key, value)
        place += len(key) + len(value)
    return pages.append(LEAF, len(items), b"".join((*heads, *bodies)))


class _Branches:
    """One level of branches over the pages that are added, and through `_above` all levels over it."""

    def __init__(self, pages: _Pages) -> None:
        self._pages = pages
        self._children: list[tuple[bytes, int]] = []
        self._size = PAGE.size
        self._above: _Branches | None = None

    def add(self, first_key: bytes, page: int) -> None:
        needed = BRANCH_ELEMENT.size + len(first_key)
        if self._size + needed > PAGE_BYTES and len(self._children) > _BRANCH_MIN:
            # The newest child stays, so that the next branch never ends with one alone.
            *full, kept = self._children
            self._write(full)
            self._children = [kept]
            self._size = PAGE.size + BRANCH_ELEMENT.size + len(kept[0])
        self._children.append((first_key, page))
        self._size += needed

    def close(self) -> int:
        """Write what is open; answers the number of the tree's root."""
        if self._above is None and len(self._children) == 1:
            return self._children[0][1]
        self._write(self._children)
        assert self._above is not None
        return self._above.close()

    def _write(self, children: list[tuple[bytes, int]]) -> None:
        place = len(children) * BRANCH_ELEMENT.size
        heads: list[bytes] = []
        keys: list[bytes] = []
        for number, (key, page) in enumerate(children):
            heads.append(BRANCH_ELEMENT.pack(place - number * BRANCH_ELEMENT.size, len(key), page))
            keys.append(key)
            place += len(key)
        written = self._pages.append(BRANCH, len(children), b"".join((*heads, *keys)))
        if self._above is None:
            self._above = _Branches(self._pages)
        self._above.add(children[0][0], written)
