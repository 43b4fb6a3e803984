"""Taking an object in and letting it go: the patches, and the index by which a controller finds what is its own.

Both patches name the uid of the object that was looked at, so that another one of the same name is left alone.
"""

from __future__ import annotations

from typing import Any

from raftsman import metadata, resources

CONTROLLER = "controller"
"""The name of the index."""


def controller_uid(obj: Any) -> str:
    """The uid of the controlling owner; `NAMESPACE/` for an object that nobody controls."""
    owner = metadata.controller_of(obj)
    return owner.uid if owner is not None else f"{obj.metadata.namespace}/"


def adopted(obj: Any, owner: Any) -> dict[str, Any]:
    """The strategic merge patch that makes `owner` the controller of `obj`."""
    reference = {
        "apiVersion": resources.by_message(type(owner)).api_version,
        "kind": resources.by_message(type(owner)).kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {"metadata": {"uid": obj.metadata.uid, "ownerReferences": [reference]}}


def released(obj: Any, owner: Any) -> dict[str, Any]:
    """The strategic merge patch that takes `owner` from the owners of `obj`."""
    gone = {"$patch": "delete", "uid": owner.metadata.uid}
    return {"metadata": {"uid": obj.metadata.uid, "ownerReferences": [gone]}}
