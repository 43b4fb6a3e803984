"""One object as the cache holds it: its bytes with the resourceVersion in them, indexed when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftsman.meta import v1 as meta
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.storage import wire


class CachedObject:
    """Immutable. `data` is what Get, List and Watch hand out; `parsed()` is a fresh message each time."""

    __slots__ = ("_fields", "_labels", "data", "kind", "name", "namespace", "node", "revision")

    def __init__(self, kind: Kind, namespace: str, name: str, stored: bytes, revision: int) -> None:
        self.kind, self.namespace, self.name, self.revision = kind, namespace, name, revision
        self.data = wire.with_revision(stored, revision)
        self._labels: dict[str, str] | None = None
        self._fields: dict[str, str] | None = None
        self.node = kind.node_of(self.parsed()) if kind.node_of else ""

    def parsed(self) -> Any:
        return self.kind.message.FromString(self.data)

    def stored(self) -> bytes:
        """The bytes without the resourceVersion."""
        return wire.without_revision(self.data, self.revision)

    def data_at(self, revision: int) -> bytes:
        """The same state under a later revision, as a removal reports it."""
        return wire.with_revision(self.stored(), revision)

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
