"""Query and path parameters of operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from raftsman import comments
from raftsman.codec import plan

_TYPES = {
    "limit": "integer", "timeoutSeconds": "integer", "gracePeriodSeconds": "integer", "watch": "boolean",
    "force": "boolean", "allowWatchBookmarks": "boolean", "sendInitialEvents": "boolean",
    "orphanDependents": "boolean",
}  # fmt: skip
_SAID = {
    "allowWatchBookmarks": "Whether a watch may be sent BOOKMARK events, which tell only the revision reached.",
    "continue": "Where the next page begins, as the page before it said in `metadata.continue`.",
    "dryRun": "`All`: everything is checked and answered, nothing is stored.",
    "fieldManager": "Who writes, for managedFields; required for an apply patch.",
    "fieldSelector": "Only objects whose fields have these values, e.g. metadata.name=a,spec.nodeName!=b.",
    "fieldValidation": "What becomes of unknown and duplicate fields: `Ignore`, `Warn` (the default) or `Strict`.",
    "force": "Take over fields that another manager owns. Only for apply patches.",
    "gracePeriodSeconds": "Seconds until a pod is killed; 0 at once; the object's own period by default.",
    "labelSelector": "Only objects with such labels, e.g. app=web,tier in (a, b),!old.",
    "limit": "At most so many objects on a page; 0 is all of them.",
    "name": "The object's name.",
    "namespace": "The object's namespace.",
    "orphanDependents": "Whether what the object owns stays. Use propagationPolicy.",
    "path": "The path to ask for.",
    "pretty": "`true`: with line breaks and indentation.",
    "propagationPolicy": "What becomes of objects that it owns: `Orphan`, `Background` or `Foreground`.",
    "resourceVersion": "How new an answer has to be; 0 takes any, nothing means the newest.",
    "resourceVersionMatch": "How resourceVersion is meant: `Exact` or `NotOlderThan`.",
    "sendInitialEvents": "Whether a watch begins with the objects that are there, and a bookmark behind them.",
    "timeoutSeconds": "Seconds after which a watch ends.",
    "watch": "Send changes as they happen instead of a list.",
}
WRITING = ("dryRun", "fieldManager", "fieldValidation")
PATCHING = ("dryRun", "fieldManager", "fieldValidation", "force")
DELETING = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
LISTING = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
DELETING_MANY = (
    "continue", "dryRun", "fieldSelector", "gracePeriodSeconds", "labelSelector", "limit", "orphanDependents",
    "propagationPolicy", "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds",
)  # fmt: skip


def in_query(names: Iterable[str]) -> list[dict[str, Any]]:
    return [_parameter(name, "query") for name in names]


def in_path(names: Iterable[str]) -> list[dict[str, Any]]:
    return [_parameter(name, "path") | {"required": True} for name in names]


def of_options(message: Any) -> list[dict[str, Any]]:
    """The fields of a message that stands in the query: PodExecOptions and its like."""
    said = comments.of_fields(message.DESCRIPTOR)
    found = []
    for name, field in sorted(plan.fields(message.DESCRIPTOR).items()):
        one: dict[str, Any] = {"name": name, "in": "query", "schema": _schema(field)}
        found.append(one | ({"description": said[name]} if name in said else {}))
    return found


def _parameter(name: str, place: str) -> dict[str, Any]:
    schema = {"type": _TYPES.get(name, "string"), "uniqueItems": True}
    return {"name": name, "in": place, "description": _SAID[name], "schema": schema}


def _schema(field: plan.Field) -> dict[str, Any]:
    """What is repeated may be named several times, or stands there once for a client that knows no lists."""
    scalars = {FieldDescriptor.TYPE_BOOL: "boolean", FieldDescriptor.TYPE_INT64: "integer"}
    return {"type": scalars.get(field.scalar, "string"), "uniqueItems": True}
