"""Server-side apply: a manager's configuration is merged into what is there, and owned by it (KEP-555).

What is not there is created. What the manager applied before and no longer names is removed, unless somebody else owns
it. An object from before ownership was kept belongs to `before-first-apply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftsman import errors
from raftsman.meta import v1 as meta
from raftsman.services.apiserver import failures
from raftsman.services.apiserver.api import Api
from raftsman.services.apiserver.managedfields import managers
from raftsman.services.apiserver.managedfields.managers import Entries
from raftsman.services.apiserver.managedfields.sets import FieldSet
from raftsman.services.apiserver.rpc import Call
from raftsman.services.apiserver.storage.objects import Change
from raftsman.services.apiserver.validation.causes import Causes
from raftsman.services.apiserver.watchcache.object import CachedObject

from . import decoding, ownership, read, versions
from .write import create_object, prepared_update

BEFORE = "before-first-apply"


async def apply(api: Api, call: Call, request: meta.PatchRequest) -> bytes:
    """The object as it is then; `call.created` says whether it was made. The right to patch was checked."""
    ownership.settle_manager(call, request.options)
    kind, namespace = call.kind, read.namespace_of(call.kind, request.namespace, request.name)
    config = versions.config(call, _config(call, request), request.options)
    dry_run, asked, call = request.options.dry_run, call, versions.stored_call(call)
    try:
        return versions.answer(kind, await _onto(api, call, request, config, namespace))
    except errors.NotFound:
        if request.subresource or config["metadata"].get("uid"):
            raise
    api.allow(call.user, "create", kind, namespace=namespace, name=request.name)
    problems: list[errors.Cause] = []
    obj = decoding.from_tree(call, config, request.options, problems=problems)
    decoding.settle_namespace(call.kind, obj.metadata, namespace)
    fields = managers.apply({}, ownership.manager_of(call, managers.APPLY), {}, config, call.kind.form.shapes).fields
    owners = _Applying(fields, force=request.options.force)
    made = await create_object(api, call, obj, dry_run=dry_run, problems=problems, owners=owners)
    asked.created = True
    return versions.answer(kind, made)


async def _onto(
    api: Api, call: Call, request: meta.PatchRequest, config: dict[str, Any], namespace: str
) -> CachedObject:
    kind = call.kind
    given = config["metadata"].get("resourceVersion")

    async def change(found: CachedObject) -> Change:
        if given and given != str(found.revision):
            raise failures.conflict(kind.resource, request.name)
        call.warnings.clear()
        live = found.parsed()
        tree = kind.form.tree(live)
        tree["metadata"].pop("managedFields", None)
        tree.pop("apiVersion", None)
        tree.pop("kind", None)
        manager = ownership.manager_of(call, managers.APPLY, request.subresource)
        applied = managers.apply(entries_of(call, live), manager, tree, config, kind.form.shapes)
        applied.tree["metadata"].pop("resourceVersion", None)
        problems: list[errors.Cause] = []
        new = decoding.from_tree(call, applied.tree, request.options, problems=problems)
        owners = _Applying(applied.fields, force=request.options.force)
        return await prepared_update(
            api, call, new, live, subresource=request.subresource, problems=problems, owners=owners
        )

    dry_run = request.options.dry_run
    return await api.allocator.update(kind, request.name, change, namespace=namespace, dry_run=dry_run)


class _Applying:
    """Ownership of what one apply names."""

    def __init__(self, fields: FieldSet, *, force: bool) -> None:
        self._fields, self._force = fields, force

    def created(self, call: Call, obj: Any) -> None:
        entries: Entries = {}
        if self._fields:
            entries = managers.owning(ownership.manager_of(call, managers.APPLY), self._fields)
        managers.encode(entries, obj.metadata)

    def changed(self, call: Call, new: Any, old: Any, *, subresource: str = "") -> None:
        before = entries_of(call, old)
        ownership.keep(new, old)
        manager = ownership.manager_of(call, managers.APPLY, subresource)
        after = managers.after_apply(
            before, manager, self._fields, call.kind.form.compared(old, new), force=self._force
        )
        if after != before or not old.metadata.managed_fields:
            managers.encode(after, new.metadata)


def entries_of(call: Call, live: Any) -> Entries:
    entries = managers.decoded(live.metadata.managed_fields)
    if not entries:
        before = managers.Manager(BEFORE, managers.UPDATE, call.kind.resource.api_version)
        entries = managers.owning(before, managers.owned(call.kind.form.fields(live)))
    return entries


def _config(call: Call, request: meta.PatchRequest) -> dict[str, Any]:
    """The configuration without what this part of the object ignores. Raises what makes it none."""
    from raftsman import manifests

    documents = manifests.parse(request.patch, source="the configuration")
    if len(documents) != 1:
        raise errors.BadRequest(f"{len(documents)} documents in one configuration: exactly one is needed")
    if not request.options.field_manager:
        causes = Causes()
        causes.required("fieldManager", "is required for apply patch")
        raise failures.invalid(call.kind.resource, request.name, causes.found)
    document = documents[0]
    resource = call.kind.resource
    if (document.api_version, document.kind) != (resource.api_version, resource.kind):
        raise errors.BadRequest(
            f"the configuration is {document.api_version} {document.kind}, not {resource.api_version} {resource.kind}"
        )
    config = {name: value for name, value in document.value.items() if name not in ("apiVersion", "kind")}
    metadata = config.get("metadata")
    if not isinstance(metadata, Mapping | None):
        raise errors.BadRequest(f"metadata: must be an object, not {type(metadata).__name__}")
    config["metadata"] = metadata = dict(metadata or {})
    _check_metadata(call, request, metadata)
    if call.kind.has_status and request.subresource != "status":
        config.pop("status", None)
    elif request.subresource == "status":
        config = {name: config[name] for name in ("metadata", "status") if name in config}
    return config


def _check_metadata(call: Call, request: meta.PatchRequest, metadata: dict[str, Any]) -> None:
    if metadata.get("managedFields"):
        raise errors.BadRequest("metadata.managedFields must be nil")
    for field, wanted in (("name", request.name), ("namespace", request.namespace)):
        sent = metadata.get(field)
        if sent and sent != wanted and (field == "name" or call.kind.resource.namespaced):
            raise errors.BadRequest(
                f"the {field} of the object ({sent}) does not match the {field} on the URL ({wanted})"
            )
    metadata["name"] = request.name
