"""Patch: the object as JSON, changed by a JSON patch, a merge patch or a strategic merge patch, then an update; or an
apply, which goes its own way (apply.py).

Computed anew when the object changed meanwhile, unless the patch itself names a resourceVersion.
"""

from __future__ import annotations

from typing import Any

from raftsman import errors
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import apply, decoding, ownership, read, scale, versions
from .write import prepared_update

OPERATIONS_MAX = 10_000
PATCH_BYTES_MAX = 3 << 20


async def patch(api: Api, call: Call, raw: bytes) -> bytes:
    request = meta.PatchRequest.FromString(raw)
    kind = call.kind
    api.allow(call.user, "patch", kind, namespace=request.namespace, name=request.name, subresource=request.subresource)
    namespace = read.namespace_of(kind, request.namespace, request.name)
    if request.type == meta.PATCH_TYPE_APPLY and request.subresource in ("", "status"):
        return await apply.apply(api, call, request)
    ownership.settle_manager(call, request.options)
    body = _body(request)
    if request.type == meta.PATCH_TYPE_STRATEGIC_MERGE and kind.form.strategic is None:
        raise failures.unsupported_media(
            f"{kind.resource.qualified} takes JSON patches, merge patches and apply patches"
        )
    if request.subresource == "scale" and "scale" in kind.subresources:
        return await scale.patched(api, call, request, body)
    if request.subresource not in ("", *kind.parts) and not (request.subresource == "status" and kind.has_status):
        raise failures.not_served(kind.resource, f"/{request.subresource}", "that subresource")

    written = versions.stored_call(call)

    async def change(found: CachedObject) -> Change:
        problems: list[errors.Cause] = []
        new = _changed(call, found, request, body, problems)
        given = new.metadata.resource_version
        if given and given != str(found.revision):
            raise failures.conflict(kind.resource, request.name)
        new = versions.changed_to_stored(kind, new, found)
        return await prepared_update(
            api, written, new, found.parsed(), subresource=request.subresource, problems=problems
        )

    stored = await api.allocator.update(
        written.kind, request.name, change, namespace=namespace, dry_run=request.options.dry_run
    )
    return versions.answer(kind, stored)


def _body(request: meta.PatchRequest) -> Any:
    from raftsman import manifests

    if len(request.patch) > PATCH_BYTES_MAX:
        raise errors.BadRequest(f"a patch of {len(request.patch)} bytes: at most {PATCH_BYTES_MAX}")
    try:
        body = manifests.json_value(request.patch)
    except ValueError as error:
        raise errors.BadRequest(f"the patch is no JSON: {error}") from None
    is_list = request.type == meta.PATCH_TYPE_JSON
    if not isinstance(body, list if is_list else dict):
        raise errors.BadRequest("a JSON patch is a list of operations" if is_list else "the patch is no JSON object")
    if is_list and len(body) > OPERATIONS_MAX:
        raise errors.BadRequest(f"a JSON patch of {len(body)} operations: at most {OPERATIONS_MAX}")
    return body


def _changed(
    call: Call, found: CachedObject, request: meta.PatchRequest, body: Any, problems: list[errors.Cause]
) -> Any:
    kind = call.kind
    call.warnings.clear()
    tree = kind.form.tree(versions.live(kind, found))
    tree.setdefault("apiVersion", kind.resource.api_version)
    tree.setdefault("kind", kind.resource.kind)
    before = tree["metadata"].pop("resourceVersion", None)
    if request.type == meta.PATCH_TYPE_JSON and before is not None:
        tree["metadata"]["resourceVersion"] = before
    changed = patched_tree(tree, request.type, body, kind.form.strategic)
    if (changed.get("apiVersion"), changed.get("kind")) != (kind.resource.api_version, kind.resource.kind):
        raise errors.BadRequest("a patch may not change apiVersion or kind")
    return decoding.from_tree(call, changed, request.options, problems=problems)


def patched_tree(tree: dict[str, Any], type_: int, body: Any, message: type[Any] | None) -> dict[str, Any]:
    """The patched tree. errors.BadRequest or errors.Invalid if the patch does not fit."""
    from raftsman import patch as patches

    if type_ == meta.PATCH_TYPE_JSON:
        changed = patches.json_patch(tree, body)
    elif type_ == meta.PATCH_TYPE_MERGE:
        changed = patches.merge_patch(tree, body)
    elif type_ == meta.PATCH_TYPE_STRATEGIC_MERGE:
        changed = patches.strategic_merge(tree, body, message)
    else:
        raise errors.BadRequest("a patch needs a type: JSON, merge or strategic merge")
    if not isinstance(changed, dict):
        raise errors.BadRequest("the patched object is no JSON object")
    return changed
