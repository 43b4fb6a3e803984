"""Objects of custom resources: metadata as a message, all else a JSON tree; stored as JSON.

    {"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"creationTimestamp":…},"spec":{…}}
                                                                      ^ "resourceVersion":"7", goes in here

apiVersion, kind and metadata come first, so the place where a reader's resourceVersion goes is known from the first
bytes. Integers that JSON could not carry exactly in 64 bits are doubles, as Go reads them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import orjson
from raftsman import codec, errors
from raftsman.codec import Decoded
from raftsman.meta import v1 as meta
from raftsman.resources import Resource
from raftsman.services.apiserver.managedfields import documents
from raftsman.services.apiserver.managedfields.messages import Changes
from raftsman.services.apiserver.managedfields.sets import FieldSet
from raftsman.services.apiserver.managedfields.shapes import Source
from raftsman.services.apiserver.storage import envelope

from . import pruning
from .schema import Schema

_METADATA = b'"metadata":{'
_INT64 = 1 << 63
_SORTED = orjson.OPT_SORT_KEYS


class Document:
    """One object. `content` is everything but apiVersion, kind and metadata."""

    __slots__ = ("content", "metadata")

    def __init__(self, metadata: meta.ObjectMeta | None = None, content: dict[str, Any] | None = None) -> None:
        self.metadata = metadata if metadata is not None else meta.ObjectMeta()
        self.content: dict[str, Any] = content if content is not None else {}


class Documents:
    """The representation of one version of a custom resource."""

    codec = envelope.CODEC_JSON
    strategic: type[Any] | None = None
    binary = False

    def __init__(self, resource: Resource, schema: Schema) -> None:
        self._resource, self._schema = resource, schema
        self._named = {"apiVersion": resource.api_version, "kind": resource.kind}
        self._root = documents.Root(schema)
        self.shapes: Source = self._root

    def empty(self) -> Document:
        return Document()

    def parse(self, data: bytes) -> Document:
        tree = orjson.loads(data)
        metadata = codec.from_json(tree.pop("metadata", {}), meta.ObjectMeta).message
        tree.pop("apiVersion", None)
        tree.pop("kind", None)
        return Document(metadata, tree)

    def copy(self, obj: Document) -> Document:
        metadata = meta.ObjectMeta()
        metadata.CopyFrom(obj.metadata)
        return Document(metadata, copy.deepcopy(obj.content))

    def serialise(self, obj: Document) -> bytes:
        obj.metadata.ClearField("resource_version")
        head = orjson.dumps({**self._named, "metadata": codec.to_json(obj.metadata)})
        return head[:-1] + b"," + orjson.dumps(obj.content, option=_SORTED)[1:] if obj.content else head

    def opened(self, stored: bytes, revision: int) -> bytes:
        return with_revision(stored, revision)

    def closed(self, data: bytes, revision: int) -> bytes:
        return without_revision(data, revision)

    def decode(self, tree: Mapping[str, Any]) -> Decoded[Document]:
        """Pruned by the schema; what was pruned is named as unknown."""
        content = {
            name: carried(value) for name, value in tree.items() if name not in ("apiVersion", "kind", "metadata")
        }
        found = tree.get("metadata")
        decoded = codec.from_json({} if found is None else found, meta.ObjectMeta, path="metadata")
        unknown = pruning.prune(content, self._schema)
        problems = [errors.Cause(path, codec.UNKNOWN, "unknown field") for path in unknown]
        problems += pruning.settle_embedded(content, self._schema)
        return Decoded(Document(decoded.message, content), (*decoded.problems, *problems))

    def tree(self, obj: Document, *, type_meta: bool = True) -> dict[str, Any]:
        """With apiVersion and kind also in lists, as other servers have it. The parts are the object's own."""
        return {**self._named, "metadata": codec.to_json(obj.metadata), **obj.content}

    def item(self, data: bytes) -> bytes:
        return data

    def whole(self, item: bytes) -> bytes:
        return item

    def normal(self, obj: Document) -> Document:
        return obj

    def take_status(self, into: Document, source: Document) -> None:
        into.content.pop("status", None)
        if "status" in source.content:
            into.content["status"] = copy.deepcopy(source.content["status"])

    def same_wish(self, new: Document, old: Document, *, status: bool) -> bool:
        left_out = ("status",) if status else ()
        ours = {name: value for name, value in new.content.items() if name not in left_out}
        return ours == {name: value for name, value in old.content.items() if name not in left_out}

    def fields(self, obj: Document) -> FieldSet:
        return documents.fields(obj.metadata, obj.content, self._root)

    def compared(self, old: Document, new: Document) -> Changes:
        return documents.compared((old.metadata, old.content), (new.metadata, new.content), self._root)


def carried(value: Any) -> Any:
    """A JSON value, copied, of which every number fits what readers hold it in; errors.BadRequest if one does not."""
    if isinstance(value, dict):
        return {name: carried(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [carried(inner) for inner in value]
    if type(value) is int and not -_INT64 <= value < _INT64:
        try:
            return float(value)
        except OverflowError:
            raise errors.BadRequest("a number is larger than any that can be kept") from None
    return value


def with_revision(stored: bytes, revision: int) -> bytes:
    """A stored document with its resourceVersion."""
    at = stored.index(_METADATA) + len(_METADATA)
    comma = b"" if stored[at : at + 1] == b"}" else b","
    return b'%b"resourceVersion":"%d"%b%b' % (stored[:at], revision, comma, stored[at:])


def without_revision(data: bytes, revision: int) -> bytes:
    """The stored form of what `with_revision` made."""
    at = data.index(_METADATA) + len(_METADATA)
    end = at + len(b'"resourceVersion":"%d"' % revision)
    return data[:at] + data[end + (data[end : end + 1] == b",") :]
