"""Custom resources as kinds of the client.

`CronTab = await custom.kind(client, "stable.example.com", "v1", "crontabs")`; then `client.get(CronTab, "my")`,
`client.watch(CronTab)`, informers, patches: everything that takes a message takes it. An object has `metadata`, as
every message has, and `content`, all else as JSON. `learn` makes every custom resource known to `resources`, by its
names; the server is asked once a call.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Protocol

import orjson
from raftsman import errors, resources
from raftsman.client.types import PatchType
from raftsman.dynamic import v1 as dynamic
from raftsman.meta import v1 as meta
from raftsman.options import v1 as options
from raftsman.resources import Resource

SERVICE = "raftsman.custom"


class Lists(Protocol):
    """A client."""

    async def resources(self) -> dynamic.ListResourcesResponse: ...


class Object:
    """One object of a custom resource; each resource has a class of its own."""

    RESOURCE: ClassVar[Resource]
    COLUMNS: ClassVar[tuple[dynamic.Column, ...]] = ()

    def __init__(self, metadata: meta.ObjectMeta | None = None, content: dict[str, Any] | None = None) -> None:
        self.metadata = metadata if metadata is not None else meta.ObjectMeta()
        self.content: dict[str, Any] = content if content is not None else {}

    @classmethod
    def FromString(cls, data: bytes) -> Any:
        return cls.of(orjson.loads(data))

    @classmethod
    def of(cls, tree: dict[str, Any]) -> Any:
        """The object that a JSON tree says."""
        from raftsman import codec

        rest = {name: value for name, value in tree.items() if name not in ("apiVersion", "kind", "metadata")}
        return cls(codec.from_json(tree.get("metadata") or {}, meta.ObjectMeta).message, rest)

    def to_json(self, *, type_meta: bool = True) -> dict[str, Any]:
        from raftsman import codec

        named = {"apiVersion": self.RESOURCE.api_version, "kind": self.RESOURCE.kind} if type_meta else {}
        return {**named, "metadata": codec.to_json(self.metadata), **self.content}

    def SerializeToString(self) -> bytes:
        return orjson.dumps(self.to_json())

    def CopyFrom(self, other: Any) -> None:
        self.metadata.CopyFrom(other.metadata)
        self.content = copy.deepcopy(other.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Object) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.RESOURCE.kind} {self.metadata.namespace}/{self.metadata.name}>"


class Items:
    """A list of objects."""

    KIND: ClassVar[type[Object]]

    def __init__(self, metadata: meta.ListMeta, items: list[Object]) -> None:
        self.metadata, self.items = metadata, items

    @classmethod
    def FromString(cls, data: bytes) -> Any:
        found = dynamic.ListResponse.FromString(data)
        return cls(found.metadata, [cls.KIND.FromString(item) for item in found.items])


def is_custom(message: Any) -> bool:
    """Whether a kind's class, or an object, is of a custom resource."""
    return isinstance(message, Object) or (isinstance(message, type) and issubclass(message, Object))


def patch_type(message: Any) -> PatchType:
    """How a change that was computed from a kind's schema is sent: custom resources know no strategic merge."""
    return PatchType.MERGE if is_custom(message) else PatchType.STRATEGIC


def made(found: dynamic.ResourceFacts) -> type[Object]:
    """The class of a resource that the server tells of."""
    name = found.resource
    facts = options.Resource(
        group=name.group, version=name.version, kind=found.kind, name=name.name, singular=found.singular,
        short_names=found.short_names, categories=found.categories, namespaced=found.namespaced, verbs=found.verbs,
        service=f"{SERVICE}.{name.group}.{name.version}.{name.name}",
    )  # fmt: skip
    for part in found.subresources:
        facts.subresources.add(name=part)
    kind: Any = type(found.kind, (Object,), {"COLUMNS": tuple(found.columns)})
    kind.RESOURCE = Resource(kind, type(f"{found.kind}List", (Items,), {"KIND": kind}), facts)
    own: type[Object] = kind
    return own


async def kind(client: Lists, group: str, version: str, name: str) -> type[Object]:
    """The class of one resource. errors.NotFound if the server has none of that name."""
    for found in (await client.resources()).resources:
        if found.custom and (found.resource.group, found.resource.version, found.resource.name) == (
            group, version, name,
        ):  # fmt: skip
            return made(found)
    raise errors.NotFound(f'the server could not find the custom resource "{name}" in {group}/{version}')


async def learn(client: Lists) -> bool:
    """Make all custom resources known to `resources`; whether there are others than before."""
    told = (await client.resources()).resources
    return resources.know([made(found).RESOURCE for found in told if found.custom])
