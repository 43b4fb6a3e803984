"""What a list or a watch asks for: a namespace, labels and fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raftsman import errors
from raftsman.services.apiserver.kinds import Kind

from .object import CachedObject


@dataclass(frozen=True, slots=True)
class Selection:
    """Matches objects. `node` and `name` are set when the fields ask for exactly one, so that an index can be used."""

    namespace: str = ""
    labels: Any = None
    fields: Any = None
    node: str = ""
    name: str = ""

    @property
    def everything(self) -> bool:
        """Whether the namespace alone decides."""
        return self.labels is None and self.fields is None and not self.node and not self.name

    def matches(self, found: CachedObject) -> bool:
        if self.namespace and found.namespace != self.namespace:
            return False
        if self.node and found.node != self.node:
            return False
        if self.name and found.name != self.name:
            return False
        if self.labels is not None and not self.labels.matches(found.labels):
            return False
        return self.fields is None or self.fields.matches(found.fields)


def parse(kind: Kind, namespace: str, *, label_selector: str, field_selector: str) -> Selection:
    """errors.BadRequest if a selector cannot be read or names a field that the kind cannot be selected by."""
    if not label_selector and not field_selector:
        return Selection(namespace)
    node = name = ""
    rest = []
    for term in filter(None, field_selector.split(",")):
        field, equals, value = term.partition("=")
        value = value.removeprefix("=")
        if equals and not field.endswith("!") and value:
            if field == "spec.nodeName" and kind.node_of:
                node = value
                continue
            if field == "metadata.name":
                name = value
                continue
        rest.append(term)
        _check_field(kind, field.rstrip("!"))
    from raftsman import selectors

    labels = selectors.parse_labels(label_selector) if label_selector else None
    fields = selectors.parse_fields(",".join(rest)) if rest else None
    return Selection(namespace, labels, fields, node, name)


def _check_field(kind: Kind, field: str) -> None:
    if field in ("metadata.name", "metadata.namespace") or field in kind.selectable:
        return
    raise errors.BadRequest(
        f'"{field}" is not a known field selector for {kind.resource.qualified}: only '
        f"{', '.join(('metadata.name', 'metadata.namespace', *sorted(kind.selectable)))}"
    )
