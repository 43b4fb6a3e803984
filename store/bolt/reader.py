"""A database as it stands in a file: buckets by name, items in order; nothing that a file says is believed unchecked.

Every page is used at most once, lies inside the file, carries its own number and a fitting type, and holds its elements
whole; keys ascend through a bucket. Whatever does not is Damaged, at the page that shows it. Memory: one path of pages,
and a bit a page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from .pages import (
    BRANCH,
    BRANCH_ELEMENT,
    BUCKET,
    IS_BUCKET,
    LEAF,
    LEAF_ELEMENT,
    META_BYTES,
    PAGE,
    Damaged,
    Meta,
    NotABolt,
)

Item = tuple[bytes, bytes]
_PAGE_BYTES_MIN, _PAGE_BYTES_MAX = 1 << 10, 1 << 16
_Element = tuple[int, bytes, bytes]


class Database:
    """A context: `with Database(path) as database: database.items(b"key")`. Raises NotABolt and Damaged.

    `trailer` is how many bytes behind the pages are not the database's own (etcd appends a hash).
    """

    def __init__(self, path: Path, *, trailer: int = 0) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        try:
            self.bytes = os.fstat(self._file).st_size - trailer
            self.meta = self._newest_meta()
            self._check_meta()
            self._used = bytearray(self.meta.end)
            self._buckets = dict(self._bucket_values())
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    @property
    def buckets(self) -> list[bytes]:
        return sorted(self._buckets)

    def items(self, bucket: bytes) -> Iterator[Item]:
        """Keys and values of a bucket in order, nothing when there is no such bucket. Once each."""
        value = self._buckets.get(bucket)
        if value is None:
            return
        root, _ = BUCKET.unpack_from(value)
        where = f"bucket {bucket!r}"
        elements = self._tree(root) if root else _leaf_elements(value[BUCKET.size :], f"{self.path}: {where}")
        for flags, key, found in _ascending(elements, f"{self.path}: {where}"):
            if flags & IS_BUCKET:
                raise Damaged(f"{self.path}: {where} holds a bucket, {key!r}")
            yield key, found

    # -- the two metas

    def _newest_meta(self) -> Meta:
        first = Meta.parsed(self._read(0, META_BYTES))
        sizes = [first.page_bytes] if first else [_PAGE_BYTES_MIN << shift for shift in range(7)]
        seconds = (Meta.parsed(self._read(size, META_BYTES)) for size in sizes)
        metas = [meta for meta in (first, *seconds) if meta is not None]
        if not metas:
            raise NotABolt(f"{self.path} is not a bbolt database, or not even its first pages are whole")
        return max(metas, key=lambda meta: meta.transaction)

    def _check_meta(self) -> None:
        meta = self.meta
        size = meta.page_bytes
        if not _PAGE_BYTES_MIN <= size <= _PAGE_BYTES_MAX or size & (size - 1):
            raise Damaged(f"{self.path}: pages of {size} bytes")
        if meta.end * size > self.bytes:
            raise Damaged(f"{self.path} is cut off: {meta.end * size} bytes are missing {meta.end * size - self.bytes}")

    # -- pages

    def _bucket_values(self) -> Iterator[Item]:
        for flags, name, value in _ascending(self._tree(self.meta.root), f"{self.path}: the root bucket"):
            if not flags & IS_BUCKET or len(value) < BUCKET.size:
                raise Damaged(f"{self.path}: {name!r} in the root bucket is no bucket")
            yield name, value

    def _tree(self, root: int) -> Iterator[_Element]:
        """The leaf elements under a page, in order, without recursion: depth is the file's word."""
        stack = [root]
        while stack:
            number = stack.pop()
            where, flags, page = self._page(number)
            if flags == LEAF:
                yield from _leaf_elements(page, where)
            elif flags == BRANCH:
                stack += reversed(_children(page, where))
            else:
                raise Damaged(f"{where} is of type {flags:#x}, neither branch nor leaf")

    def _page(self, number: int) -> tuple[str, int, bytes]:
        """Where it is in words, flags, and the page with its overflow."""
        where = f"{self.path}: page {number}"
        end, size = self.meta.end, self.meta.page_bytes
        if not 2 <= number < end:
            raise Damaged(f"{where} is referred to, pages are 2 to {end - 1}")
        own, flags, _, overflow = PAGE.unpack(self._read(number * size, PAGE.size))
        if own != number:
            raise Damaged(f"{where} says that it is page {own}")
        if number + overflow >= end:
            raise Damaged(f"{where} has {overflow} pages more, beyond the file's end")
        taken = slice(number, number + overflow + 1)
        if any(self._used[taken]):
            raise Damaged(f"{where} is used twice")
        self._used[taken] = b"\1" * (overflow + 1)
        return where, flags, self._read(number * size, (overflow + 1) * size)

    def _read(self, offset: int, length: int) -> bytes:
        """As much as there is, within the database."""
        length = max(0, min(length, self.bytes - offset))
        return os.pread(self._file, length, offset)


def _leaf_elements(page: bytes, where: str) -> Iterator[_Element]:
    count = _count(page, where, LEAF_ELEMENT.size)
    for element in range(PAGE.size, PAGE.size + count * LEAF_ELEMENT.size, LEAF_ELEMENT.size):
        flags, place, key_bytes, value_bytes = LEAF_ELEMENT.unpack_from(page, element)
        key = element + place
        value = key + key_bytes
        if not key_bytes or value + value_bytes > len(page):
            raise Damaged(f"{where} has an element outside of itself")
        yield flags, page[key:value], page[value : value + value_bytes]


def _children(page: bytes, where: str) -> list[int]:
    count = _count(page, where, BRANCH_ELEMENT.size)
    if not count:
        raise Damaged(f"{where} is an empty branch")
    elements = range(PAGE.size, PAGE.size + count * BRANCH_ELEMENT.size, BRANCH_ELEMENT.size)
    return [BRANCH_ELEMENT.unpack_from(page, element)[2] for element in elements]


def _count(page: bytes, where: str, element_bytes: int) -> int:
    if len(page) < PAGE.size:
        raise Damaged(f"{where} is cut off")
    count: int = PAGE.unpack_from(page)[2]
    if PAGE.size + count * element_bytes > len(page):
        raise Damaged(f"{where} has {count} elements, more than it can hold")
    return count


def _ascending(elements: Iterator[_Element], where: str) -> Iterator[_Element]:
    last = b""
    for element in elements:
        if element[1] <= last:
            raise Damaged(f"{where} has its keys out of order at {element[1][:64]!r}")
        last = element[1]
        yield element
