"""Sets of field paths, as managedFields writes them: a tree of path elements.

An element is `f:NAME` (a field, a key of a map), `k:{"name":"web"}` (an item of a list with keys) or `v:"x"` (an item
of a set). {spec.replicas, spec.ports[80], spec.ports[80].name} is

    {"f:spec": {"f:replicas": {}, "f:ports": {"k:{\"port\":80}": {".": {}, "f:name": {}}}}}

Sets are immutable once built; operations answer new ones and may share parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson


class FieldSet:
    """`member`: the path up to here is in the set; `children`: longer paths, by their next element."""

    __slots__ = ("children", "member")

    def __init__(self, *, member: bool = False, children: dict[str, FieldSet] | None = None) -> None:
        self.member = member
        self.children: dict[str, FieldSet] = children if children is not None else {}

    def __bool__(self) -> bool:
        return self.member or bool(self.children)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldSet):
            return NotImplemented
        return self.member == other.member and self.children == other.children

    __hash__ = None  # type: ignore[assignment]

    def union(self, other: FieldSet) -> FieldSet:
        """What is in either."""
        if not other:
            return self
        if not self:
            return other
        children = dict(self.children)
        for element, theirs in other.children.items():
            mine = children.get(element)
            children[element] = theirs if mine is None else mine.union(theirs)
        return FieldSet(member=self.member or other.member, children=children)

    def intersection(self, other: FieldSet) -> FieldSet:
        """What is in both."""
        children = {}
        for element, mine in self.children.items():
            theirs = other.children.get(element)
            if theirs is not None and (both := mine.intersection(theirs)):
                children[element] = both
        return FieldSet(member=self.member and other.member, children=children)

    def difference(self, other: FieldSet) -> FieldSet:
        """What is here and not there."""
        if not other:
            return self
        children = {}
        for element, mine in self.children.items():
            theirs = other.children.get(element)
            left = mine if theirs is None else mine.difference(theirs)
            if left:
                children[element] = left
        return FieldSet(member=self.member and not other.member, children=children)

    def without(self, other: FieldSet) -> FieldSet:
        """What is here and neither there nor below anything there."""
        if not other:
            return self
        if other.member:
            return EMPTY
        children = {}
        for element, mine in self.children.items():
            theirs = other.children.get(element)
            left = mine if theirs is None else mine.without(theirs)
            if left:
                children[element] = left
        return FieldSet(member=self.member, children=children)

    def paths(self) -> Iterator[tuple[str, ...]]:
        """Every member, as its elements."""
        if self.member:
            yield ()
        for element, child in self.children.items():
            for rest in child.paths():
                yield (element, *rest)

    # -- FieldsV1

    def to_json(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        if not self.children:
            return tree
        if self.member:
            tree["."] = {}
        for element in sorted(self.children):
            tree[element] = self.children[element].to_json()
        return tree

    @classmethod
    def from_json(cls, tree: Any) -> FieldSet:
        """ValueError if it is not a set's form."""
        if not isinstance(tree, Mapping):
            raise ValueError("a set of fields is a JSON object")
        return cls(children={element: cls._child(element, below) for element, below in tree.items() if element != "."})

    @classmethod
    def _child(cls, element: str, below: Any) -> FieldSet:
        if element[:2] not in ("f:", "k:", "v:", "i:"):
            raise ValueError(f"{element!r} is no element of a field path")
        if not isinstance(below, Mapping):
            raise ValueError(f"what is below {element!r} is no JSON object")
        children = {inner: cls._child(inner, tree) for inner, tree in below.items() if inner != "."}
        return cls(member=not below or "." in below, children=children)


EMPTY = FieldSet()
LEAF = FieldSet(member=True)


def item_key(keys: Mapping[str, Any]) -> str:
    """The element of a list's item that these fields identify."""
    return "k:" + orjson.dumps(dict(keys), option=orjson.OPT_SORT_KEYS).decode()


def set_item(value: Any) -> str:
    """The element of a set's item."""
    return "v:" + orjson.dumps(value).decode()


def text(path: tuple[str, ...]) -> str:
    """A path as conflicts name it: `.spec.containers[name="web"].image`."""
    parts = []
    for element in path:
        kind, value = element[0], element[2:]
        if kind == "f":
            parts.append(f".{value}")
        elif kind == "k":
            found = orjson.loads(value)
            parts.append("[" + ",".join(f"{key}={orjson.dumps(found[key]).decode()}" for key in sorted(found)) + "]")
        else:
            parts.append(f"[={value}]")
    return "".join(parts)
