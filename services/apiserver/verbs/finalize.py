"""Finalize: a namespace's spec.finalizers, which nothing else may change."""

from __future__ import annotations

from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.admission import chain
from raftsman.services.apiserver.admission.attributes import Operation
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import decoding
from .removal import finished


async def finalize(api: Api, call: Call, raw: bytes) -> bytes:
    """The namespace goes when it is being deleted and its last finalizer is taken away."""
    request = meta.WriteRequest.FromString(raw)
    kind = call.kind
    call.dry_run = request.options.dry_run
    sent = await decoding.decoded(call, request)
    name, given = sent.metadata.name, sent.metadata.resource_version
    api.allow(call.user, "update", kind, namespace="", name=name, subresource="finalize")

    async def change(found: CachedObject) -> Change:
        if given and given != str(found.revision):
            raise failures.conflict(kind.resource, name)
        new = found.parsed()
        new.spec.ClearField("finalizers")
        new.spec.finalizers.extend(sent.spec.finalizers)
        await chain.admit(
            api, call, Operation.UPDATE, namespace="", name=name, new=new, old=found.parsed(), subresource="finalize"
        )
        return Change(new, remove=finished(kind, new))

    return (await api.objects.update(kind, name, change, namespace="", dry_run=call.dry_run)).data
