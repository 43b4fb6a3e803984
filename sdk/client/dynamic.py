"""Objects of any resource, by group, version and name: dicts of JSON shape in and out.

`namespace` defaults to "default" for verbs on one object, to all namespaces for lists; cluster-wide resources ignore
it. Raises errors.ApiError, NotFound also where there is no such resource.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson
from raftsman.dynamic import v1 as dynamic
from raftsman.meta import v1 as meta

from .transport import Transport
from .types import Event, EventType, PatchType

SERVICE = "raftsman.dynamic.v1.Objects"

Tree = dict[str, Any]


class Dynamic:
    """The objects of one resource."""

    def __init__(self, transport: Transport, group: str, version: str, name: str) -> None:
        self._transport = transport
        self._resource = dynamic.Resource(group=group, version=version, name=name)

    async def get(self, name: str, *, namespace: str = "default", timeout_s: float | None = None) -> Tree:
        request = dynamic.GetRequest(resource=self._resource, request=meta.GetRequest(namespace=namespace, name=name))
        return await self._one("Get", request, read=True, timeout_s=timeout_s)

    async def list(
        self, *, namespace: str = "", label_selector: str = "", field_selector: str = "", limit: int = 0,
        continue_token: str = "", timeout_s: float | None = None,
    ) -> tuple[Sequence[Tree], meta.ListMeta]:  # fmt: skip
        """The objects, and what is said of the list: its resourceVersion, and how it goes on."""
        asked = meta.ListRequest(
            namespace=namespace, label_selector=label_selector, field_selector=field_selector, limit=limit,
            continue_token=continue_token,
        )  # fmt: skip
        request = dynamic.ListRequest(resource=self._resource, request=asked)
        found = await self._transport.unary(
            f"/{SERVICE}/List", request, dynamic.ListResponse, read=True, timeout_s=timeout_s
        )
        return [orjson.loads(item) for item in found.items], found.metadata

    async def watch(
        self, *, namespace: str = "", label_selector: str = "", field_selector: str = "", resource_version: str = "",
    ) -> AsyncGenerator[Event[Tree], None]:  # fmt: skip
        """Changes after `resource_version`; without one, first an ADDED for each object there is. Ends with an error
        when the connection does: resume from the last object's resourceVersion. errors.Expired if that is gone."""
        asked = meta.WatchRequest(
            namespace=namespace, label_selector=label_selector, field_selector=field_selector,
            resource_version=resource_version,
        )  # fmt: skip
        request = dynamic.WatchRequest(resource=self._resource, request=asked)
        stream = self._transport.stream(f"/{SERVICE}/Watch", request, meta.WatchResponse)
        async with contextlib.aclosing(stream) as answers:
            async for answer in answers:
                for event in answer.events:
                    if event.type != meta.EVENT_TYPE_BOOKMARK:
                        yield Event(EventType(event.type), orjson.loads(event.object))

    async def create(
        self, obj: Tree, *, namespace: str = "", options: meta.WriteOptions | None = None,
        timeout_s: float | None = None,
    ) -> Tree:  # fmt: skip
        return await self._write("Create", obj, namespace, options, timeout_s)

    async def update(
        self, obj: Tree, *, namespace: str = "", options: meta.WriteOptions | None = None,
        timeout_s: float | None = None,
    ) -> Tree:  # fmt: skip
        """Replace all but the status. errors.Conflict if the object's resourceVersion is not the current one."""
        return await self._write("Update", obj, namespace, options, timeout_s)

    async def update_status(
        self, obj: Tree, *, namespace: str = "", options: meta.WriteOptions | None = None,
        timeout_s: float | None = None,
    ) -> Tree:  # fmt: skip
        """Replace the status and nothing else."""
        return await self._write("UpdateStatus", obj, namespace, options, timeout_s)

    async def _write(
        self, verb: str, obj: Tree, namespace: str, options: meta.WriteOptions | None, timeout_s: float | None
    ) -> Tree:
        where = namespace or (obj.get("metadata") or {}).get("namespace") or "default"
        written = meta.WriteRequest(manifest=orjson.dumps(obj), namespace=where, options=options)
        request = dynamic.WriteRequest(resource=self._resource, request=written)
        return await self._one(verb, request, timeout_s=timeout_s)

    async def patch(
        self, name: str, patch: Any, *, namespace: str = "default", type: PatchType = PatchType.MERGE,
        subresource: str = "", options: meta.WriteOptions | None = None, timeout_s: float | None = None,
    ) -> Tree:  # fmt: skip
        """Change a part; custom resources take JSON, MERGE and APPLY."""
        asked = meta.PatchRequest(
            namespace=namespace, name=name, type=type.value, subresource=subresource, options=options,
            patch=patch if isinstance(patch, bytes) else orjson.dumps(patch),
        )  # fmt: skip
        return await self._one(
            "Patch", dynamic.PatchRequest(resource=self._resource, request=asked), timeout_s=timeout_s
        )

    async def apply(
        self, name: str, config: Tree, *, field_manager: str, namespace: str = "default", force: bool = False,
        subresource: str = "", timeout_s: float | None = None,
    ) -> Tree:  # fmt: skip
        """Server-side apply; see `Client.apply`."""
        options = meta.WriteOptions(field_manager=field_manager, force=force)
        return await self.patch(
            name, config, namespace=namespace, type=PatchType.APPLY, subresource=subresource, options=options,
            timeout_s=timeout_s,
        )  # fmt: skip

    async def delete(
        self, name: str, *, namespace: str = "default", options: meta.DeleteOptions | None = None,
        timeout_s: float | None = None,
    ) -> Tree:  # fmt: skip
        """Ask for an object's end; its last state."""
        asked = meta.DeleteRequest(namespace=namespace, name=name, options=options)
        request = dynamic.DeleteRequest(resource=self._resource, request=asked)
        return await self._one("Delete", request, timeout_s=timeout_s)

    async def delete_collection(
        self, *, namespace: str, label_selector: str = "", field_selector: str = "",
        options: meta.DeleteOptions | None = None, timeout_s: float | None = None,
    ) -> Sequence[Tree]:  # fmt: skip
        asked = meta.DeleteCollectionRequest(
            namespace=namespace, label_selector=label_selector, field_selector=field_selector, options=options
        )
        request = dynamic.DeleteCollectionRequest(resource=self._resource, request=asked)
        found = await self._transport.unary(
            f"/{SERVICE}/DeleteCollection", request, dynamic.ListResponse, timeout_s=timeout_s
        )
        return [orjson.loads(item) for item in found.items]

    async def get_scale(self, name: str, *, namespace: str = "default", timeout_s: float | None = None) -> Tree:
        """The number of replicas, as autoscaling/v1 Scale."""
        asked = meta.GetRequest(namespace=namespace, name=name)
        request = dynamic.GetRequest(resource=self._resource, request=asked)
        return await self._one("GetScale", request, read=True, timeout_s=timeout_s)

    async def _one(self, verb: str, request: Any, *, read: bool = False, timeout_s: float | None = None) -> Tree:
        answer = await self._transport.unary(
            f"/{SERVICE}/{verb}", request, dynamic.ObjectResponse, read=read, timeout_s=timeout_s
        )
        found: Tree = orjson.loads(answer.object)
        return found


__all__ = ["SERVICE", "Dynamic"]
