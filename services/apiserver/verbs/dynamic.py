"""raftsman.dynamic.v1.Objects: the verbs for whatever is served by group, version and name; objects are JSON."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import orjson
from raftsman import codec, errors
from raftsman.autoscaling import v1 as autoscaling
from raftsman.core import v1 as core
from raftsman.dynamic import v1 as dynamic
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.access.identity import ANONYMOUS
from raftsman.services.apiserver.access.tokens import Tokens
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call, Router

from . import bind, components, delete, patch, read, reviews, scale, watch, write

SERVICE = "raftsman.dynamic.v1.Objects"


def register(router: Router, api: Api, issuer: Tokens | None) -> None:
    """Its methods. What the metrics call them after is the namespaces: which resource it is stands in the request."""
    any_kind = api.kinds["namespaces"]
    verbs: dict[str, Any] = {
        "Get": get, "Create": functools.partial(create, issuer), "List": list_, "Update": update,
        "UpdateStatus": update_status, "Patch": patch_, "Apply": apply, "Delete": delete_,
        "DeleteCollection": delete_collection, "GetScale": get_scale, "ListResources": list_resources,
    }  # fmt: skip
    for name, run in verbs.items():
        router.unary(SERVICE, name, any_kind, functools.partial(run, api))
    router.streaming(SERVICE, "Watch", any_kind, functools.partial(watch_, api))


def _of(api: Api, call: Call, resource: dynamic.Resource, verb: str) -> Call:
    """The same call about that resource. errors.NotFound, errors.MethodNotSupported."""
    if call.user is ANONYMOUS:
        raise errors.Unauthorized("Unauthorized: this needs a client certificate or a token")
    kind = api.registry.of_path(resource.group, resource.version, resource.name)
    if kind is None:
        group_version = f"{resource.group}/{resource.version}" if resource.group else resource.version
        raise errors.NotFound(f'the server could not find the resource "{resource.name}" in {group_version}')
    if verb not in kind.resource.facts.verbs:
        raise failures.not_served(kind.resource, f"/{verb}", "that verb")
    call.warnings.extend(filter(None, (kind.warning,)))
    return dataclasses.replace(call, kind=kind)


def _json(kind: Kind, data: bytes) -> bytes:
    return kind.form.whole(kind.form.item(data))


def _answer(kind: Kind, data: bytes) -> bytes:
    return dynamic.ObjectResponse(object=_json(kind, data)).SerializeToString()


def _settle(kind: Kind, request: Any) -> bytes:
    """Cluster-wide kinds have no namespace, whatever a caller's default is."""
    if not kind.resource.namespaced:
        request.namespace = ""
    serialised: bytes = request.SerializeToString()
    return serialised


async def get(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.GetRequest.FromString(raw)
    call = _of(api, call, asked.resource, "get")
    get_ = components.get if call.kind.computed else read.get
    return _answer(call.kind, await get_(api, call, _settle(call.kind, asked.request)))


async def list_(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.ListRequest.FromString(raw)
    call = _of(api, call, asked.resource, "list")
    if call.kind.computed:
        found = core.ComponentStatusList.FromString(
            await components.list_(api, call, asked.request.SerializeToString())
        )
        items = [_json(call.kind, one.SerializeToString()) for one in found.items]
        return dynamic.ListResponse(metadata=found.metadata, items=items).SerializeToString()
    page = await read.listed(api, call, meta.ListRequest.FromString(_settle(call.kind, asked.request)))
    items = [one.kind.form.whole(one.json) for one in page.found]
    return dynamic.ListResponse(metadata=page.header, items=items).SerializeToString()


async def watch_(api: Api, call: Call, raw: bytes, write_: watch.Write) -> None:
    asked = dynamic.WatchRequest.FromString(raw)
    call = _of(api, call, asked.resource, "watch")
    kind = call.kind

    async def translated(answer: bytes) -> None:
        response = meta.WatchResponse.FromString(answer)
        for event in response.events:
            event.object = _json(kind, event.object)
        await write_(response.SerializeToString())

    await watch.watch(api, call, _settle(kind, asked.request), translated)


def _written(asked: dynamic.WriteRequest, kind: Kind) -> bytes:
    if asked.request.object or not asked.request.manifest:
        raise errors.BadRequest("request.manifest: the object is needed there, in JSON or YAML")
    return _settle(kind, asked.request)


async def create(issuer: Tokens | None, api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.WriteRequest.FromString(raw)
    call = _of(api, call, asked.resource, "create")
    request = _written(asked, call.kind)
    if call.kind.message is core.Binding:
        status = codec.to_json(meta.Status.FromString(await bind.create(api, call, request)))
        return dynamic.ObjectResponse(object=orjson.dumps(status)).SerializeToString()
    if not call.kind.stored:
        return _answer(call.kind, await reviews.create(api, issuer, call, request))
    return _answer(call.kind, await write.create(api, call, request))


async def update(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.WriteRequest.FromString(raw)
    call = _of(api, call, asked.resource, "update")
    return _answer(call.kind, await write.update(api, call, _written(asked, call.kind)))


async def update_status(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.WriteRequest.FromString(raw)
    call = _of(api, call, asked.resource, "update")
    if not call.kind.has_status:
        raise failures.not_served(call.kind.resource, "/status", "a status subresource")
    return _answer(call.kind, await write.update_status(api, call, _written(asked, call.kind)))


async def patch_(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.PatchRequest.FromString(raw)
    call = _of(api, call, asked.resource, "patch")
    data = await patch.patch(api, call, _settle(call.kind, asked.request))
    return _scale(data) if asked.request.subresource == "scale" else _answer(call.kind, data)


async def apply(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.PatchRequest.FromString(raw)
    asked.request.type = meta.PATCH_TYPE_APPLY
    return await patch_(api, call, asked.SerializeToString())


async def delete_(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.DeleteRequest.FromString(raw)
    call = _of(api, call, asked.resource, "delete")
    return _answer(call.kind, await delete.delete(api, call, _settle(call.kind, asked.request)))


async def delete_collection(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.DeleteCollectionRequest.FromString(raw)
    call = _of(api, call, asked.resource, "deletecollection")
    found = dynamic.ListResponse.FromString(
        await delete.delete_collection(api, call, _settle(call.kind, asked.request))
    )
    items = [_json(call.kind, item) for item in found.items]
    return dynamic.ListResponse(metadata=found.metadata, items=items).SerializeToString()


async def get_scale(api: Api, call: Call, raw: bytes) -> bytes:
    asked = dynamic.GetRequest.FromString(raw)
    call = _of(api, call, asked.resource, "get")
    if "scale" not in call.kind.subresources:
        raise failures.not_served(call.kind.resource, "/scale", "a scale subresource")
    return _scale(await scale.get(api, call, _settle(call.kind, asked.request)))


def _scale(data: bytes) -> bytes:
    import orjson
    from raftsman import codec

    tree = codec.to_json(autoscaling.Scale.FromString(data))
    return dynamic.ObjectResponse(object=orjson.dumps(tree)).SerializeToString()


async def list_resources(api: Api, call: Call, raw: bytes) -> bytes:
    """Of every version that is served."""
    if call.user is ANONYMOUS:
        raise errors.Unauthorized("Unauthorized: this needs a client certificate or a token")
    answer = dynamic.ListResourcesResponse(generation=api.registry.generation)
    custom = set(map(id, api.registry.custom()))
    for kind in api.registry.kinds():
        answer.resources.append(_facts(kind, custom=id(kind) in custom))
    return answer.SerializeToString()


def _facts(kind: Kind, *, custom: bool) -> dynamic.ResourceFacts:
    facts = kind.resource.facts
    found = dynamic.ResourceFacts(
        resource=dynamic.Resource(group=facts.group, version=facts.version, name=facts.name), kind=facts.kind,
        singular=facts.singular, short_names=facts.short_names, categories=facts.categories,
        namespaced=facts.namespaced, verbs=facts.verbs, subresources=[one.name for one in facts.subresources],
        custom=custom,
    )  # fmt: skip
    if custom:
        for column in kind.columns.definitions()[1:]:
            found.columns.add(
                name=column["name"], type=column["type"], format=column["format"], priority=column["priority"],
                json_path=kind.columns.path(column["name"]),
            )  # fmt: skip
    return found
