"""How objects of a kind are held: as a message in memory and protobuf bytes, or as a document and JSON bytes.

Verbs reach an object's metadata as `obj.metadata`, a meta.ObjectMeta either way; all else goes through here, so that
one pipeline serves both. Typed is the representation of built-in kinds, custom/document.py that of custom resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from raftsman.codec import Decoded
from raftsman.resources import Resource

from .managedfields import messages, shapes
from .managedfields.messages import Changes
from .managedfields.sets import FieldSet
from .storage import envelope, wire


class Representation(Protocol):
    """What the verbs, the cache and the store need to do with objects of one kind."""

    codec: int
    """How the envelope of a stored value names it."""

    strategic: type[Any] | None
    """The message that directs strategic merge patches; None if they are not supported."""

    binary: bool
    """Whether clients may have it as protobuf."""

    shapes: shapes.Source
    """The fields, as ownership sees them."""

    def empty(self) -> Any:
        """An object that says nothing."""

    def parse(self, data: bytes) -> Any:
        """A fresh object of what Get hands out or the store holds."""

    def copy(self, obj: Any) -> Any: ...

    def serialise(self, obj: Any) -> bytes:
        """The stored bytes: the same for equal objects, without resourceVersion."""

    def opened(self, stored: bytes, revision: int) -> bytes:
        """Stored bytes with their resourceVersion."""

    def closed(self, data: bytes, revision: int) -> bytes:
        """The stored form of what `opened` made."""

    def decode(self, tree: Mapping[str, Any]) -> Decoded[Any]:
        """The object that a JSON tree says, and what is wrong with the tree."""

    def tree(self, obj: Any, *, type_meta: bool = True) -> dict[str, Any]:
        """The JSON of an object."""

    def item(self, data: bytes) -> bytes:
        """The JSON of an object as it stands in a list."""

    def whole(self, item: bytes) -> bytes:
        """The same as it stands alone."""

    def normal(self, obj: Any) -> Any:
        """The same object as a manifest would say it."""

    def take_status(self, into: Any, source: Any) -> None:
        """Let `into` have the status of `source`, or none."""

    def same_wish(self, new: Any, old: Any, *, status: bool) -> bool:
        """Whether all but metadata (and, with `status`, the status) is equal."""

    def fields(self, obj: Any) -> FieldSet:
        """Every field that is set."""

    def compared(self, old: Any, new: Any) -> Changes:
        """The fields that differ."""


class Typed:
    """Messages. A kind's JSON is the codec's."""

    codec = envelope.CODEC_PROTOBUF
    binary = True

    def __init__(self, resource: Resource) -> None:
        self._resource, self._message = resource, resource.message
        self._named = f'{{"kind":"{resource.kind}","apiVersion":"{resource.api_version}"'.encode()
        self.strategic = resource.message
        self.shapes: shapes.Source = resource.message.DESCRIPTOR

    def empty(self) -> Any:
        return self._message()

    def parse(self, data: bytes) -> Any:
        return self._message.FromString(data)

    def copy(self, obj: Any) -> Any:
        made = self._message()
        made.CopyFrom(obj)
        return made

    def serialise(self, obj: Any) -> bytes:
        obj.metadata.ClearField("resource_version")
        body: bytes = obj.SerializeToString(deterministic=True)
        return body

    def opened(self, stored: bytes, revision: int) -> bytes:
        return wire.with_revision(stored, revision)

    def closed(self, data: bytes, revision: int) -> bytes:
        return wire.without_revision(data, revision)

    def decode(self, tree: Mapping[str, Any]) -> Decoded[Any]:
        from raftsman import codec

        return codec.from_json(tree, self._message)

    def tree(self, obj: Any, *, type_meta: bool = True) -> dict[str, Any]:
        from raftsman import codec

        return codec.to_json(obj, type_meta=type_meta)

    def item(self, data: bytes) -> bytes:
        return orjson.dumps(self.tree(self.parse(data), type_meta=False))

    def whole(self, item: bytes) -> bytes:
        return self._named + (b"," if item != b"{}" else b"") + item[1:]

    def normal(self, obj: Any) -> Any:
        """With set to its zero value what a manifest would leave out left out, and the like.

        Else a patch, which goes through JSON, would change an object in more than what it names.
        """
        again = self.decode(self.tree(obj))
        # What cannot be read back (a bad quantity) is for validation to tell.
        return obj if again.problems else again.message

    def take_status(self, into: Any, source: Any) -> None:
        into.ClearField("status")
        if source.HasField("status"):
            into.status.CopyFrom(source.status)

    def same_wish(self, new: Any, old: Any, *, status: bool) -> bool:
        ours, theirs = self.copy(new), self.copy(old)
        for one in (ours, theirs):
            one.ClearField("metadata")
            if status:
                one.ClearField("status")
        return bool(ours == theirs)

    def fields(self, obj: Any) -> FieldSet:
        return messages.fields(obj)

    def compared(self, old: Any, new: Any) -> Changes:
        return messages.compared(old, new)
