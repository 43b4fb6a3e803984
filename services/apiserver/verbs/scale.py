"""GetScale and UpdateScale: the number of replicas of a workload, as autoscaling/v1 Scale."""

from __future__ import annotations

from typing import Any

from raftsman import errors
from raftsman.autoscaling import v1 as autoscaling
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.admission import chain
from raftsman.services.apiserver.admission.attributes import Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.validation.causes import Causes
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import read
from .write import prepared_update


async def get(api: Api, call: Call, raw: bytes) -> bytes:
    request = meta.GetRequest.FromString(raw)
    kind = call.kind
    api.allow(call.user, "get", kind, namespace=request.namespace, name=request.name, subresource="scale")
    return _scale_of(kind, await read.fetch(api, kind, request)).SerializeToString()


async def update(api: Api, call: Call, raw: bytes) -> bytes:
    """errors.Conflict if the scale names a resourceVersion that is not the workload's."""
    request = meta.WriteRequest.FromString(raw)
    wanted = autoscaling.Scale.FromString(request.object)
    metadata = wanted.metadata
    namespace = metadata.namespace or request.namespace
    api.allow(call.user, "update", call.kind, namespace=namespace, name=metadata.name, subresource="scale")
    call.dry_run = request.options.dry_run
    if request.manifest:
        raise errors.BadRequest("a Scale is sent as an object, not as a manifest")

    async def change(found: CachedObject) -> Change:
        if metadata.resource_version and metadata.resource_version != str(found.revision):
            raise failures.conflict(call.kind.resource, metadata.name)
        return await _scaled(api, call, found, wanted.spec.replicas)

    read.namespace_of(call.kind, namespace, metadata.name)
    stored = await api.allocator.update(
        call.kind, metadata.name, change, namespace=namespace, dry_run=request.options.dry_run
    )
    return _scale_of(call.kind, stored).SerializeToString()


async def patched(api: Api, call: Call, request: meta.PatchRequest, body: Any) -> bytes:
    """A patch of the scale, already allowed."""
    from raftsman import codec

    from . import patch

    async def change(found: CachedObject) -> Change:
        tree = codec.to_json(_scale_of(call.kind, found), type_meta=False)
        tree = patch.patched_tree(tree, request.type, body, autoscaling.Scale)
        tree.pop("apiVersion", None)
        tree.pop("kind", None)
        decoded = codec.from_json(tree, autoscaling.Scale)
        codec.check(decoded.problems, what="the Scale")
        given = decoded.message.metadata.resource_version
        if given and given != str(found.revision):
            raise failures.conflict(call.kind.resource, request.name)
        return await _scaled(api, call, found, decoded.message.spec.replicas)

    stored = await api.allocator.update(
        call.kind, request.name, change, namespace=request.namespace, dry_run=request.options.dry_run
    )
    return _scale_of(call.kind, stored).SerializeToString()


async def _scaled(api: Api, call: Call, found: CachedObject, replicas: int) -> Change:
    if replicas < 0:
        causes = Causes()
        causes.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise failures.invalid(call.kind.resource, found.name, causes.found)
    before, scale = _scale_of(call.kind, found), _scale_of(call.kind, found)
    scale.spec.replicas = replicas
    await chain.admit(
        api, call, Operation.UPDATE, namespace=found.namespace, name=found.name, new=scale, old=before,
        subresource="scale",
    )  # fmt: skip
    new = found.parsed()
    call.kind.scale.write(new, scale.spec.replicas)
    return await prepared_update(api, call, new, found.parsed(), admit=False)


def _scale_of(kind: Kind, found: CachedObject) -> autoscaling.Scale:
    workload = found.parsed()
    metadata = workload.metadata
    scale = autoscaling.Scale()
    for field in ("name", "namespace", "uid"):
        setattr(scale.metadata, field, getattr(metadata, field))
    scale.metadata.resource_version = str(found.revision)
    scale.metadata.creation_timestamp.CopyFrom(metadata.creation_timestamp)
    kind.scale.read(workload, scale)
    return scale
