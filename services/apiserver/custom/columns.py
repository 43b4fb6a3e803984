"""The table of a custom resource: its name, what additionalPrinterColumns say, or else its age."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from raftsman import codec, times
from raftsman.apiextensions import v1 as apiextensions
from raftsman.meta import v1 as meta
from raftsman.printers import paths

from .document import Document

_NAME = {
    "name": "Name", "type": "string", "format": "name", "priority": 0,
    "description": "The name, unique among objects of the kind in a namespace.",
}  # fmt: skip
_AGE = apiextensions.CustomResourceColumnDefinition(
    name="Age", type="date", json_path=".metadata.creationTimestamp", description="When the object was created."
)


def of(version: apiextensions.CustomResourceDefinitionVersion) -> Columns:
    """The columns of one version."""
    return Columns(list(version.additional_printer_columns) or [_AGE])


class Columns:
    def __init__(self, wanted: list[apiextensions.CustomResourceColumnDefinition]) -> None:
        self._wanted = wanted

    def definitions(self) -> list[dict[str, Any]]:
        return [dict(_NAME), *map(_definition, self._wanted)]

    def cells(self, obj: Document) -> list[Any]:
        tree = {"metadata": codec.to_json(obj.metadata), **obj.content}
        return [obj.metadata.name, *(_cell(column, tree) for column in self._wanted)]

    def path(self, name: str) -> str:
        return next((column.json_path for column in self._wanted if column.name == name), "")


def _definition(column: apiextensions.CustomResourceColumnDefinition) -> dict[str, Any]:
    return {
        "name": column.name, "type": column.type, "format": column.format, "priority": column.priority,
        "description": column.description or f"What stands at {column.json_path}.",
    }  # fmt: skip


def _cell(column: apiextensions.CustomResourceColumnDefinition, tree: dict[str, Any]) -> Any:
    """None where there is nothing to show, or nothing of the column's type."""
    found = paths.find(column.json_path, tree)
    if not found:
        return None
    value = found[0]
    match column.type:
        case "integer":
            return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "number":
            return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age(value)
    return _text(found)


def _text(found: list[Any]) -> str | None:
    texts = [paths.text(value) for value in found if value is not None]
    return ",".join(texts) if texts else None


def _age(value: Any) -> str:
    if not isinstance(value, str):
        return "<unknown>"
    try:
        seconds, _ = times.parse_rfc3339(value)
    except ValueError:
        return "<invalid>"
    return times.age(meta.Time(seconds=seconds), now=datetime.now(UTC))
