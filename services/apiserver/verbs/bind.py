"""Bind and BindMany: give a pod to a node, once.

BindMany sends up to BINDINGS_MAX bindings to the store at once, which packs what waits into one log entry and one
sync; each binding holds or fails by itself and has a revision of its own, so that no watch can be cut between two
changes of one revision.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time

from raftsman import errors
from raftsman.core import v1 as core
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.admission import chain
from raftsman.services.apiserver.admission.attributes import Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.kinds import Kind
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import decoding, read

BINDINGS_MAX = 100


async def bind(api: Api, call: Call, raw: bytes) -> bytes:
    request = core.BindRequest.FromString(raw)
    return core.BindResponse(resource_version=str(await _bind(api, call, request))).SerializeToString()


async def create(api: Api, call: Call, raw: bytes) -> bytes:
    """A Binding sent as an object of its own. Answers with a Status."""
    request = meta.WriteRequest.FromString(raw)
    binding = await decoding.decoded(call, request)
    api.allow(call.user, "create", call.kind, namespace=binding.metadata.namespace)
    pods = dataclasses.replace(call, kind=api.kinds["pods"])
    made = core.BindRequest(namespace=binding.metadata.namespace, binding=binding, options=request.options)
    await _bind(api, pods, made)
    return meta.Status(status="Success", code=201).SerializeToString()


async def _bind(api: Api, call: Call, request: core.BindRequest) -> int:
    namespace = _allowed(api, call, request)
    binding = request.binding
    call.dry_run = request.options.dry_run
    name = binding.metadata.name
    await chain.admit(api, call, Operation.CREATE, namespace=namespace, name=name, new=binding, subresource="binding")

    async def change(found: CachedObject) -> Change:
        return Change(bound(call.kind, found, binding))

    stored = await api.objects.update(call.kind, name, change, namespace=namespace, dry_run=call.dry_run)
    return stored.revision


def _allowed(api: Api, call: Call, request: core.BindRequest) -> str:
    """The pod's namespace, if the caller may bind it."""
    metadata = request.binding.metadata
    namespace = request.namespace or metadata.namespace
    api.allow(call.user, "create", call.kind, namespace=namespace, name=metadata.name, subresource="binding")
    read.namespace_of(call.kind, namespace, metadata.name)
    if request.binding.target.kind not in ("", "Node") or not request.binding.target.name:
        raise errors.BadRequest("target: a binding needs the name of a Node")
    return namespace


def bound(kind: Kind, found: CachedObject, binding: core.Binding) -> core.Pod:
    """The pod on its node. errors.Conflict if it is on one already, is another one, or is being deleted."""
    pod: core.Pod = found.parsed()
    wanted = binding.metadata.uid
    if wanted and wanted != pod.metadata.uid:
        why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {pod.metadata.uid}"
        raise failures.conflict(kind.resource, found.name, why)
    if pod.metadata.HasField("deletion_timestamp"):
        why = f"pod {found.name} is being deleted, cannot be assigned to a host"
        raise failures.conflict(kind.resource, found.name, why)
    if pod.spec.node_name:
        why = f'pod {found.name} is already assigned to node "{pod.spec.node_name}"'
        raise failures.conflict(kind.resource, found.name, why)
    pod.spec.node_name = binding.target.name
    for key, value in binding.metadata.annotations.items():
        pod.metadata.annotations[key] = value
    _scheduled(pod)
    return pod


def _scheduled(pod: core.Pod) -> None:
    found = next((one for one in pod.status.conditions if one.type == "PodScheduled"), None)
    condition = found if found is not None else pod.status.conditions.add(type="PodScheduled")
    condition.status = "True"
    condition.last_transition_time.CopyFrom(meta.Time(seconds=int(time.time())))
    for field in ("reason", "message"):
        condition.ClearField(field)


async def bind_many(api: Api, call: Call, raw: bytes) -> bytes:
    """Results in the order of the request. errors.BadRequest if there are more than BINDINGS_MAX."""
    request = core.BindManyRequest.FromString(raw)
    if len(request.bindings) > BINDINGS_MAX:
        raise errors.BadRequest(f"{len(request.bindings)} bindings: at most {BINDINGS_MAX} in one call")
    outcomes = await asyncio.gather(*(_bind(api, call, one) for one in request.bindings), return_exceptions=True)
    answer = core.BindManyResponse()
    for outcome in outcomes:
        result = answer.results.add()
        if isinstance(outcome, errors.ApiError):
            result.error.CopyFrom(outcome.status)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            result.resource_version = str(outcome)
    return answer.SerializeToString()
