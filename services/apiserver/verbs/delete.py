"""Delete and DeleteCollection."""

from __future__ import annotations

import asyncio

from raftsman import errors
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.admission import chain
from raftsman.services.apiserver.admission.attributes import Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage import wire
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.watchcache import selection as selections
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import read, removal, versions

# How many of a collection are deleted at a time.
TOGETHER_MAX = 16
_POLICIES = frozenset({"", "Orphan", "Background", "Foreground"})


async def delete(api: Api, call: Call, raw: bytes) -> bytes:
    """Answers with the object as it is left: marked, or as it was when it went."""
    request = meta.DeleteRequest.FromString(raw)
    kind = call.kind
    api.allow(call.user, "delete", kind, namespace=request.namespace, name=request.name)
    namespace = read.namespace_of(kind, request.namespace, request.name)
    gone = await delete_one(api, versions.stored_call(call), namespace, request.name, request.options)
    return versions.answer(kind, gone)


async def delete_one(api: Api, call: Call, namespace: str, name: str, options: meta.DeleteOptions) -> CachedObject:
    """A delete that was allowed; the object as it is left."""
    kind = call.kind
    check(options)
    if name in kind.undeletable:
        raise failures.forbidden(kind.resource, name, kind.undeletable[name])
    dry_run = call.dry_run = "All" in options.dry_run

    async def change(found: CachedObject) -> Change:
        await chain.admit(api, call, Operation.DELETE, namespace=namespace, name=name, old=found.parsed())
        return removal.deleted(kind, found.parsed(), options)

    return await api.allocator.update(kind, name, change, namespace=namespace, dry_run=dry_run)


def check(options: meta.DeleteOptions) -> None:
    """errors.BadRequest if they say what cannot be."""
    if options.propagation_policy not in _POLICIES:
        raise errors.BadRequest(
            f'propagationPolicy "{options.propagation_policy}" is none of Orphan, Background, Foreground'
        )
    if options.propagation_policy and options.HasField("orphan_dependents"):
        raise errors.BadRequest("orphanDependents and propagationPolicy cannot be both set")
    if options.grace_period_seconds < 0:
        raise errors.BadRequest("gracePeriodSeconds must not be negative")


async def delete_collection(api: Api, call: Call, raw: bytes) -> bytes:
    """Each by itself; what went meanwhile is no error. Answers with the list of what was deleted."""
    request = meta.DeleteCollectionRequest.FromString(raw)
    kind = call.kind
    api.allow(call.user, "deletecollection", kind, namespace=request.namespace)
    selected = selections.parse(
        kind, request.namespace if kind.resource.namespaced else "",
        label_selector=request.label_selector, field_selector=request.field_selector,
    )  # fmt: skip
    await api.feed.fresh()
    written = versions.stored_call(call)
    gone: list[CachedObject] = []
    found = api.cache(kind).select(selected)
    for start in range(0, len(found), TOGETHER_MAX):
        some = found[start : start + TOGETHER_MAX]
        deleting = (delete_one(api, written, one.namespace, one.name, request.options) for one in some)
        for outcome in await asyncio.gather(*deleting, return_exceptions=True):
            if isinstance(outcome, CachedObject):
                gone.append(outcome)
            elif not isinstance(outcome, errors.NotFound):
                raise outcome
    header = wire.framed(0x0A, meta.ListMeta(resource_version=str(api.feed.revision)).SerializeToString())
    return header + b"".join(wire.framed(0x12, versions.answer(kind, one)) for one in gone)
