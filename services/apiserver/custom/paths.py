"""Simple paths into a document (`.spec.replicas`), as scale and selectable fields have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raftsman import errors
from raftsman.apiextensions import v1 as apiextensions
from raftsman.autoscaling import v1 as autoscaling

from .document import Document

_SIMPLE = re.compile(r"(\.[^.\[\]]+)+")


def is_simple(path: str) -> bool:
    return _SIMPLE.fullmatch(path) is not None


def at(content: Any, path: str) -> Any:
    """What stands at a path; None if nothing does."""
    for name in path.strip(".").split("."):
        if not isinstance(content, Mapping):
            return None
        content = content.get(name)
    return content


def text_at(content: Any, path: str) -> str:
    """The same as field selectors compare it."""
    found = at(content, path)
    if isinstance(found, bool):
        return "true" if found else "false"
    return "" if found is None or isinstance(found, (dict, list)) else str(found)


def put(content: dict[str, Any], path: str, value: Any) -> None:
    """Set what stands at a path, making the objects above it. ValueError if one of them is none."""
    *above, last = path.strip(".").split(".")
    for name in above:
        content = content.setdefault(name, {})
        if not isinstance(content, dict):
            raise ValueError(f"{name} is no object")
    content[last] = value


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scale subresource finds what it tells."""

    spec_replicas: str
    status_replicas: str
    selector: str

    @classmethod
    def of(cls, scale: apiextensions.CustomResourceSubresourceScale) -> Scale:
        return cls(scale.spec_replicas_path, scale.status_replicas_path, scale.label_selector_path)

    def read(self, obj: Document, scale: autoscaling.Scale) -> None:
        scale.spec.replicas = _count(at(obj.content, self.spec_replicas))
        scale.status.replicas = _count(at(obj.content, self.status_replicas))
        if self.selector:
            scale.status.selector = text_at(obj.content, self.selector)

    def write(self, obj: Document, replicas: int) -> None:
        """errors.BadRequest if there is no place for it in the object."""
        try:
            put(obj.content, self.spec_replicas, replicas)
        except ValueError as error:
            raise errors.BadRequest(f"{self.spec_replicas} cannot be set: {error}") from None


def _count(value: Any) -> int:
    """A number of replicas; 0 where there is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 31 else 0
