"""What every object says of itself: its key, its owners, whether it is on its way out."""

from __future__ import annotations

from typing import Any, NamedTuple

from raftsman import resources
from raftsman.meta import v1 as meta


class Key(NamedTuple):
    """The identity of an object among those of its kind; `namespace` is "" for cluster-wide kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Any) -> Key:
    return Key(obj.metadata.namespace, obj.metadata.name)


def is_deleting(obj: Any) -> bool:
    return bool(obj.metadata.HasField("deletion_timestamp"))


def controller_of(obj: Any) -> meta.OwnerReference | None:
    """The owner that manages this object: at most one may be marked `controller`."""
    for reference in obj.metadata.owner_references:
        if reference.controller:
            found: meta.OwnerReference = reference
            return found
    return None


def is_controlled_by(obj: Any, owner: Any) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference.uid == owner.metadata.uid


def owner_reference(obj: Any, controller: bool = True) -> meta.OwnerReference:
    """A reference for the `owner_references` of an object that `obj` owns, and that blocks its foreground deletion."""
    resource = resources.by_message(type(obj))
    reference = meta.OwnerReference(
        api_version=resource.api_version,
        kind=resource.kind,
        name=obj.metadata.name,
        uid=obj.metadata.uid,
        block_owner_deletion=True,
    )
    if controller:
        reference.controller = True
    return reference
