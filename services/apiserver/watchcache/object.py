"""One object as the cache holds it: its bytes with the resourceVersion in them, indexed when somebody asks.

Its JSON is made when a reader first asks for it at that revision, and kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from raftsman.meta import v1 as meta
from raftsman.services.apiserver.kinds import Kind

SLICE_OBJECTS = 64
"""So many are encoded at a time, some milliseconds, before others get their turn."""


class CachedObject:
    """Immutable. `data` is what Get, List and Watch hand out; `parsed()` is a fresh message each time."""

    __slots__ = ("_fields", "_json", "_labels", "converted", "data", "kind", "name", "namespace", "node", "revision")

    def __init__(self, kind: Kind, namespace: str, name: str, stored: bytes, revision: int) -> None:
        self.kind, self.namespace, self.name, self.revision = kind, namespace, name, revision
        self.data = kind.form.opened(stored, revision)
        # What Kind.conversions made of it, by the kind's form: None if it is shown as it is.
        self.converted: dict[object, CachedObject | None] | None = None
        self._labels: dict[str, str] | None = None
        self._fields: dict[str, str] | None = None
        self._json: bytes | None = None
        self.node = kind.node_of(self.parsed()) if kind.node_of else ""

    def parsed(self) -> Any:
        return self.kind.form.parse(self.data)

    def stored(self) -> bytes:
        """The bytes without the resourceVersion."""
        return self.kind.form.closed(self.data, self.revision)

    def of(self, kind: Kind) -> CachedObject:
        """The same, seen as of another kind."""
        return CachedObject(kind, self.namespace, self.name, self.stored(), self.revision)

    @property
    def encoded(self) -> bool:
        """Whether its JSON was made already."""
        return self._json is not None

    @property
    def json(self) -> bytes:
        """As it stands in a list: a built-in kind's without apiVersion and kind."""
        if self._json is None:
            self._json = self.kind.form.item(self.data)
        return self._json

    def data_at(self, revision: int) -> bytes:
        """The same state under a later revision, as a removal reports it."""
        return self.kind.form.opened(self.stored(), revision)

    @property
    def labels(self) -> Mapping[str, str]:
        if self._labels is None:
            self._index()
        assert self._labels is not None
        return self._labels

    @property
    def fields(self) -> Mapping[str, str]:
        """The kind's selectable fields, metadata.name and metadata.namespace among them."""
        if self._fields is None:
            self._index()
        assert self._fields is not None
        return self._fields

    def _index(self) -> None:
        parsed = self.parsed()
        metadata: meta.ObjectMeta = parsed.metadata
        self._labels = dict(metadata.labels)
        self._fields = {"metadata.name": self.name, "metadata.namespace": self.namespace}
        if self.kind.fields_of:
            self._fields.update(self.kind.fields_of(parsed))


async def encode_all(objects: Iterable[CachedObject]) -> None:
    """Make the JSON of many objects before it is needed all at once: nobody else waits for all of it."""
    made = 0
    for found in objects:
        if not found.encoded:
            _ = found.json
            made += 1
            if made % SLICE_OBJECTS == 0:
                await asyncio.sleep(0)
