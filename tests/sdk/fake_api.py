"""A tiny API server in the test's process: real gRPC on a unix socket, one dict of objects, one log of events.

It knows Create, Get, List, Watch, Update, Patch (merge), Delete with finalizers, Finalize and Bind well enough for
the SDK and the controllers; what the real one decides (defaults, validation, permissions) is not here. It can drop its
streams, refuse calls and forget its history, which a real one does when nobody wants it.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import orjson
from raftsman import Client, ClientConfig, codec, errors, resources
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.patch import merge_patch
from raftsman.resources import Resource


class FakeApi:
    """Start with `async with FakeApi() as api`; `api.client()` connects to it."""

    def __init__(self) -> None:
        self.revision = 1
        self.oldest = 1
        self.objects: dict[tuple[str, str, str], Any] = {}
        self.log: list[tuple[int, str, int, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self.refusals: list[errors.ApiError] = []
        self._changed = asyncio.Condition()
        self._epoch = 0
        self.streams = 0
        self._by_service = {resource.service: resource for resource in resources.served()}

    async def __aenter__(self) -> FakeApi:
        self._folder = tempfile.TemporaryDirectory(prefix="rm-fake-api-")
        self.path = Path(self._folder.name) / "api.sock"
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._folder.cleanup()

    async def start(self) -> None:
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Handler(self),))
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    def client(self) -> Client:
        return Client(ClientConfig(target=f"unix:{self.path}", plaintext=True, timeout_s=5.0))

    def written(self) -> list[tuple[str, str]]:
        """(verb, resource) of every call that was not a read."""
        return [call for call in self.calls if call[0] not in ("Get", "List", "Watch")]

    async def drop_streams(self) -> None:
        """End every watch as a server that goes away does."""
        async with self._changed:
            self._epoch += 1
            self._changed.notify_all()

    def forget_history(self) -> None:
        """As after a compaction: no watch resumes from before now."""
        self.oldest = self.revision
        self.log.clear()

    # ---- state

    async def put(self, obj: Any, kind: meta.EventType | None = None) -> Any:
        """Store without a call, as another client would."""
        resource = resources.by_message(type(obj))
        stored = _copy(obj)
        key = (resource.service, stored.metadata.namespace, stored.metadata.name)
        old = self.objects.get(key)
        self.revision += 1
        stored.metadata.resource_version = str(self.revision)
        stored.metadata.uid = stored.metadata.uid or (old.metadata.uid if old is not None else str(uuid.uuid4()))
        if not stored.metadata.HasField("creation_timestamp"):
            stored.metadata.creation_timestamp.seconds = 1_700_000_000
        self.objects[key] = stored
        await self._append(resource, kind or (2 if old is not None else 1), stored)
        return _copy(stored)

    async def remove(self, obj: Any) -> Any:
        resource = resources.by_message(type(obj))
        gone = self.objects.pop((resource.service, obj.metadata.namespace, obj.metadata.name))
        self.revision += 1
        gone = _copy(gone)
        gone.metadata.resource_version = str(self.revision)
        await self._append(resource, 3, gone)
        return gone

    def find(self, message: type[Any], name: str, namespace: str = "") -> Any | None:
        return self.objects.get((resources.by_message(message).service, namespace, name))

    def all(self, message: type[Any]) -> list[Any]:
        service = resources.by_message(message).service
        return [obj for key, obj in self.objects.items() if key[0] == service]

    async def _append(self, resource: Resource, kind: int, obj: Any) -> None:
        async with self._changed:
            self.log.append((self.revision, resource.service, kind, obj))
            self._changed.notify_all()

    # ---- verbs

    async def unary(self, resource: Resource, verb: str, data: bytes) -> Any:
        self.calls.append((verb, resource.qualified))
        if self.refusals:
            raise self.refusals.pop(0)
        return await getattr(self, f"_{verb.lower()}")(resource, data)

    async def _get(self, resource: Resource, data: bytes) -> Any:
        request = meta.GetRequest.FromString(data)
        return self._stored(resource, request.namespace, request.name)

    async def _list(self, resource: Resource, data: bytes) -> Any:
        request = meta.ListRequest.FromString(data)
        keys = sorted(k for k, v in self.objects.items() if k[0] == resource.service and _selected(request, v))
        start = int(request.continue_token or 0)
        page = keys[start : start + request.limit] if request.limit else keys
        answer = resource.list_message(items=[self.objects[key] for key in page])
        answer.metadata.resource_version = str(self.revision)
        if start + len(page) < len(keys):
            answer.metadata.continue_token = str(start + len(page))
        return answer

    async def _create(self, resource: Resource, data: bytes) -> Any:
        request = meta.WriteRequest.FromString(data)
        obj = resource.message.FromString(request.object)
        if resource.namespaced:
            obj.metadata.namespace = obj.metadata.namespace or request.namespace
        if obj.metadata.generate_name and not obj.metadata.name:
            obj.metadata.name = obj.metadata.generate_name + uuid.uuid4().hex[:5]
        if (resource.service, obj.metadata.namespace, obj.metadata.name) in self.objects:
            raise errors.AlreadyExists(f'{resource.qualified} "{obj.metadata.name}" already exists')
        return await self.put(obj)

    async def _update(self, resource: Resource, data: bytes) -> Any:
        request = meta.WriteRequest.FromString(data)
        obj = resource.message.FromString(request.object)
        old = self._stored(resource, obj.metadata.namespace, obj.metadata.name)
        wanted = obj.metadata.resource_version
        if wanted and wanted != old.metadata.resource_version:
            raise errors.Conflict("the object has been modified")
        if old.metadata.HasField("deletion_timestamp") and not _finalizers(obj):
            return await self.remove(old)
        return await self.put(obj)

    _updatestatus = _update
    _finalize = _update

    async def _patch(self, resource: Resource, data: bytes) -> Any:
        request = meta.PatchRequest.FromString(data)
        obj = _copy(self._stored(resource, request.namespace, request.name))
        wanted = orjson.loads(request.patch).get("metadata", {}).get("resourceVersion")
        if wanted and wanted != obj.metadata.resource_version:
            raise errors.Conflict("the object has been modified")
        obj = codec.from_json(merge_patch(codec.to_json(obj), orjson.loads(request.patch)), resource.message).message
        if obj.metadata.HasField("deletion_timestamp") and not _finalizers(obj):
            return await self.remove(obj)
        return await self.put(obj)

    async def _delete(self, resource: Resource, data: bytes) -> Any:
        request = meta.DeleteRequest.FromString(data)
        old = self._stored(resource, request.namespace, request.name)
        uid = request.options.preconditions.uid
        if uid and uid != old.metadata.uid:
            raise errors.Conflict("the uid is another")
        policy = request.options.propagation_policy
        obj = _copy(old)
        if policy in ("Foreground", "Orphan"):
            obj.metadata.finalizers.append("foregroundDeletion" if policy == "Foreground" else "orphan")
        if not _finalizers(obj):
            return await self.remove(old)
        obj.metadata.deletion_timestamp.seconds = 1_700_000_001
        return await self.put(obj)

    async def _deletecollection(self, resource: Resource, data: bytes) -> Any:
        request = meta.DeleteCollectionRequest.FromString(data)
        found = [v for k, v in self.objects.items() if k[0] == resource.service and _selected(request, v)]
        for obj in found:
            one = meta.DeleteRequest(namespace=request.namespace, name=obj.metadata.name, options=request.options)
            await self._delete(resource, one.SerializeToString())
        return resource.list_message(items=found)

    async def _bind(self, resource: Resource, data: bytes) -> Any:
        request = core.BindRequest.FromString(data)
        pod = _copy(self._stored(resource, request.namespace, request.binding.metadata.name))
        pod.spec.node_name = request.binding.target.name
        return core.BindResponse(resource_version=(await self.put(pod)).metadata.resource_version)

    def _stored(self, resource: Resource, namespace: str, name: str) -> Any:
        found = self.objects.get((resource.service, namespace, name))
        if found is None:
            raise errors.NotFound(f'{resource.qualified} "{name}" not found')
        return found

    async def watch(self, resource: Resource, data: bytes) -> AsyncIterator[meta.WatchResponse]:
        self.calls.append(("Watch", resource.qualified))
        self.streams += 1
        epoch = self._epoch
        try:
            request = meta.WatchRequest.FromString(data)
            seen = int(request.resource_version or 0)
            if seen < self.oldest:
                raise errors.Expired("too old resource version")
            async with self._changed:
                while True:
                    if self._epoch != epoch:
                        raise errors.Unavailable("going away")
                    events = [
                        e for e in self.log if e[0] > seen and e[1] == resource.service and _selected(request, e[3])
                    ]
                    if events:
                        seen = events[-1][0]
                        yield meta.WatchResponse(
                            events=[meta.WatchedObject(type=e[2], object=e[3].SerializeToString()) for e in events]
                        )
                    await self._changed.wait()
        finally:
            self.streams -= 1


def _selected(request: Any, obj: Any) -> bool:
    if request.namespace and request.namespace != obj.metadata.namespace:
        return False
    field, _, value = request.field_selector.partition("=")
    return field != "metadata.name" or obj.metadata.name == value


def _finalizers(obj: Any) -> bool:
    return bool(obj.metadata.finalizers) or (isinstance(obj, core.Namespace) and bool(obj.spec.finalizers))


def _copy(obj: Any) -> Any:
    new = type(obj)()
    new.CopyFrom(obj)
    return new


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, api: FakeApi) -> None:
        self._api = api

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        service, _, verb = details.method.lstrip("/").rpartition("/")
        resource = self._api._by_service.get(service)
        if verb == "ListResources":
            return grpc.unary_unary_rpc_method_handler(_no_custom_resources)
        if resource is None:
            return None
        api = self._api

        async def unary(data: bytes, context: Any) -> bytes:
            try:
                answer: bytes = (await api.unary(resource, verb, data)).SerializeToString()
            except errors.ApiError as error:
                await _abort(context, error)
            return answer

        async def stream(data: bytes, context: Any) -> AsyncIterator[bytes]:
            try:
                async for response in api.watch(resource, data):
                    yield response.SerializeToString()
            except errors.ApiError as error:
                await _abort(context, error)

        if verb == "Watch":
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


async def _no_custom_resources(data: bytes, context: Any) -> bytes:
    """An empty list: this server has no kinds but the built-in ones."""
    return b""


async def _abort(context: Any, error: errors.ApiError) -> None:
    await context.abort(error.grpc_code, error.message, ((errors.DETAILS_KEY, error.to_details()),))
